//! The subjects of the fleet.
//!
//! `C` is a collective, `A` an agent, `I` an identity. An identity may hold dots and then spans several tokens.
//!
//! | purpose | subject | queue group |
//! |---|---|---|
//! | broadcast to an agent | `C.broadcast.agent.A` | – |
//! | one of a service's agents | `C.broadcast.service.A` | `A` |
//! | one node | `C.node.I` | – |
//! | replies | `C.reply.<md5 of the caller id>.<request id>` | – |
//! | registration | `C.broadcast.agent.registration` | – |
//! | into and out of a federation `F` | `choria.federation.F.{federation,collective}` | `F_federation`, `F_collective` |
//!
//! The names are joined as they are; that they hold no spaces or wildcards is checked where they enter the program.

use md5::{Digest as _, Md5};

/// Reply subject of messages that want no reply.
pub const NO_REPLY: &str = "dev.null";
/// Collective of nodes in provisioning mode.
pub const PROVISIONING_COLLECTIVE: &str = "provisioning";
/// Where nodes in provisioning mode announce themselves.
pub const PROVISIONING_REGISTRATION: &str = "provisioning.registration.data";
/// Transitions of autonomous agents.
pub const MACHINE_TRANSITION: &str = "choria.machine.transition";

/// Every node of the collective that has the agent.
#[must_use]
pub fn broadcast(collective: &str, agent: &str) -> String {
    format!("{collective}.broadcast.agent.{agent}")
}

/// One of the nodes that offer the agent as a service; they share the queue group named like the agent.
#[must_use]
pub fn service(collective: &str, agent: &str) -> String {
    format!("{collective}.broadcast.service.{agent}")
}

/// One node.
#[must_use]
pub fn node(collective: &str, identity: &str) -> String {
    format!("{collective}.node.{identity}")
}

/// Replies to one request of a caller.
#[must_use]
pub fn reply_subject(collective: &str, caller_id: &str, request_id: &str) -> String {
    format!("{}.{request_id}", reply_prefix(collective, caller_id))
}

/// All replies to a caller: `<prefix>.>` is what a broker lets a client with a token subscribe to.
#[must_use]
pub fn reply_prefix(collective: &str, caller_id: &str) -> String {
    format!("{collective}.reply.{}", caller_hash(caller_id))
}

/// The caller's token in reply subjects: the MD5 of the caller id in hex. It spreads, it protects nothing.
#[must_use]
pub fn caller_hash(caller_id: &str) -> String {
    format!("{:x}", Md5::digest(caller_id.as_bytes()))
}

/// Where a node sends its registration data unless configured otherwise.
#[must_use]
pub fn registration(collective: &str) -> String {
    broadcast(collective, "registration")
}

/// Where a client sends requests for another federation's collective.
#[must_use]
pub fn federation_request(federation: &str) -> String {
    format!("choria.federation.{federation}.federation")
}

/// Where nodes send replies that must leave their collective.
#[must_use]
pub fn federation_reply(federation: &str) -> String {
    format!("choria.federation.{federation}.collective")
}

/// Queue group of the brokers that read [`federation_request`].
#[must_use]
pub fn federation_request_queue(federation: &str) -> String {
    format!("{federation}_federation")
}

/// Queue group of the brokers that read [`federation_reply`].
#[must_use]
pub fn federation_reply_queue(federation: &str) -> String {
    format!("{federation}_collective")
}

/// A lifecycle event, such as `startup` of component `server`.
#[must_use]
pub fn lifecycle(event: &str, component: &str) -> String {
    format!("choria.lifecycle.event.{event}.{component}")
}

/// The state of a watcher in an autonomous agent.
#[must_use]
pub fn machine_watcher(watcher_type: &str) -> String {
    format!("choria.machine.watcher.{watcher_type}.state")
}

/// Messages handed in on a node for anybody who listens.
#[must_use]
pub fn submission(collective: &str, subject: &str) -> String {
    format!("{collective}.submission.in.{subject}")
}

/// A governor: a campaign's tickets.
#[must_use]
pub fn governor(collective: &str, name: &str) -> String {
    format!("{collective}.governor.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_those_of_the_fleet() {
        let id = "ebd43f0d4a3a45e0afe27ab26fba4d2a";
        for (ours, recorded) in [
            (
                broadcast("mcollective", "discovery"),
                "mcollective.broadcast.agent.discovery",
            ),
            (service("c", "aaa_signer"), "c.broadcast.service.aaa_signer"),
            (
                node("mcollective", "node1.example.net"),
                "mcollective.node.node1.example.net",
            ),
            (
                reply_subject("mcollective", "choria=rip.mcollective", id),
                "mcollective.reply.37bdf08389145a56c13096c178802d3b.ebd43f0d4a3a45e0afe27ab26fba4d2a",
            ),
            (
                reply_prefix("choria", "up=tester"),
                "choria.reply.3343903dd4f593079478ae04ddca0b41",
            ),
            (
                registration("mcollective"),
                "mcollective.broadcast.agent.registration",
            ),
            (
                federation_request("mt1"),
                "choria.federation.mt1.federation",
            ),
            (federation_reply("mt1"), "choria.federation.mt1.collective"),
            (federation_request_queue("mt1"), "mt1_federation"),
            (federation_reply_queue("mt1"), "mt1_collective"),
            (
                lifecycle("startup", "server"),
                "choria.lifecycle.event.startup.server",
            ),
            (machine_watcher("exec"), "choria.machine.watcher.exec.state"),
            (submission("c", "x.y"), "c.submission.in.x.y"),
            (governor("c", "g"), "c.governor.g"),
        ] {
            assert_eq!(ours, recorded);
        }
    }
}
