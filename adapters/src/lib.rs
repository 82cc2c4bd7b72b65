//! The stream adapters: fleet messages are taken in, put into an envelope and handed to a durable sink.

#![forbid(unsafe_code)]

pub mod envelope;
pub mod item;
