//! The agents every node has.

mod choria_util;
mod discovery;
mod rpcutil;

pub use self::choria_util::{ChoriaUtil, choria_util};
pub use self::discovery::Discovery;
pub(crate) use self::rpcutil::write_metadata;
pub use self::rpcutil::{Rpcutil, rpcutil};
