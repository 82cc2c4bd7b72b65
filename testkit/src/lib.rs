//! What tests of the pure cores need around them: seeded randomness, virtual time, and links that behave like TCP.
//!
//! Nothing here sleeps, opens a socket or starts a thread, and the same seed gives the same run, byte for byte.
//! It is a crate for tests only. [`seeds`] reads the environment, so that a run can be repeated or lengthened from outside, and [`corpus`] the inputs of fuzz targets.
//!
//! Reading order: [`Rng`], [`VirtualClock`], [`EventQueue`], [`Link`], [`Trace`], [`for_seeds`].

#![forbid(unsafe_code)]

mod clock;
pub mod corpus;
mod link;
mod queue;
mod rng;
pub mod seeds;
mod trace;

pub use clock::VirtualClock;
pub use link::{Arrival, End, Link, LinkModel};
pub use queue::EventQueue;
pub use rng::Rng;
pub use seeds::for_seeds;
pub use trace::Trace;
