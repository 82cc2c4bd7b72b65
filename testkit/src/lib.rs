//! Seeded randomness, virtual time and links for tests.
