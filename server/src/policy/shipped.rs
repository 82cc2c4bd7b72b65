//! The policies every node brings along, for agents that have no file of their own.
//!
//! A node denies what no policy allows, so a bare one would deny all but discovery. These allow what only looks.

/// The text of the policy shipped for an agent.
#[must_use]
pub fn shipped_policy(agent: &str) -> Option<&'static str> {
    match agent {
        "rpcutil" => Some(include_str!("../../policies/rpcutil.policy")),
        "choria_util" => Some(include_str!("../../policies/choria_util.policy")),
        _ => None,
    }
}
