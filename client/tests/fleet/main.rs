//! The fleet client against recorded traffic and against a scripted broker, in virtual time.

mod collector;
mod config;
mod direct;
mod links;
mod session;
mod support;
mod vectors;
