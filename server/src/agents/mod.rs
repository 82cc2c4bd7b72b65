//! The agents every node has.

mod discovery;
mod members;
mod rpcutil;

pub use self::discovery::Discovery;
pub use self::rpcutil::{Rpcutil, rpcutil};
