//! The fleet client against recorded traffic and against a scripted broker, in virtual time.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod batch;
mod blocking;
mod collector;
mod config;
mod direct;
mod federation;
mod links;
mod remote;
mod session;
mod signer;
mod sources;
mod support;
mod vectors;
mod vectors_v2;
mod ways;
