//! `ClientCore` against a scripted server, in virtual time.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod flush;
mod garbage;
mod handshake;
mod limits;
mod messages;
mod reconnect;
mod support;
