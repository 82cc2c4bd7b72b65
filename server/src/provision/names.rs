//! Names of the mode that others know.

/// The agent.
pub const AGENT: &str = "choria_provision";
/// The collective of nodes in the mode, and the only one they are in.
pub const COLLECTIVE: &str = "provisioning";
/// What their lifecycle events call them.
pub const COMPONENT: &str = "provision_mode_server";
/// Where they register.
pub const REGISTRATION_SUBJECT: &str = "provisioning.registration.data";
