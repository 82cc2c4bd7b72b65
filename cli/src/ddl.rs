//! Descriptions of agents, as the client library finds them.

use std::borrow::Cow;
use std::path::PathBuf;

use muster_client::fleet::{DdlLibrary, find_action};
use muster_protocol::ddl::{Action, Ddl};

use crate::exit::Failure;

/// The description of an agent.
pub(crate) fn find(agent: &str, libdirs: &[PathBuf]) -> Result<Cow<'static, Ddl>, Failure> {
    DdlLibrary::new(libdirs).find(agent).map_err(Failure::new)
}

/// An action of an agent.
pub(crate) fn action<'d>(ddl: &'d Ddl, name: &str) -> Result<&'d Action, Failure> {
    find_action(ddl, name).map_err(Failure::new)
}
