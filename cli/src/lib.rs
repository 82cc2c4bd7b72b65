//! The muster command.
