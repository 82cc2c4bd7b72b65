//! `ClientCore` against a scripted server, in virtual time.

mod flush;
mod garbage;
mod handshake;
mod limits;
mod messages;
mod reconnect;
mod support;
