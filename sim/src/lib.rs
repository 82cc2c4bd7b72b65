//! Whole fleets on the pure cores, in virtual time.
