//! What the headers are called in each version.

use crate::version::ProtocolVersion;

/// A key, and its path for errors.
pub(super) struct Name {
    pub(super) key: &'static str,
    pub(super) path: &'static str,
}

pub(super) struct HeaderNames {
    pub(super) reply_to: Name,
    pub(super) sender: Name,
    pub(super) seen_by: Name,
    pub(super) federation: FederationNames,
}

pub(super) struct FederationNames {
    pub(super) request_id: Name,
    pub(super) reply_to: Name,
    pub(super) targets: Name,
}

impl HeaderNames {
    pub(super) const fn of(version: ProtocolVersion) -> &'static Self {
        match version {
            ProtocolVersion::V1 => &V1,
            ProtocolVersion::V2 => &V2,
        }
    }
}

static V1: HeaderNames = HeaderNames {
    reply_to: name("reply-to", "headers.reply-to"),
    sender: name("mc_sender", "headers.mc_sender"),
    seen_by: name("seen-by", "headers.seen-by"),
    federation: FederationNames {
        request_id: name("req", "headers.federation.req"),
        reply_to: name("reply-to", "headers.federation.reply-to"),
        targets: name("target", "headers.federation.target"),
    },
};

static V2: HeaderNames = HeaderNames {
    reply_to: name("reply", "headers.reply"),
    sender: name("sender", "headers.sender"),
    seen_by: name("trace", "headers.trace"),
    federation: FederationNames {
        request_id: name("request", "headers.federation.request"),
        reply_to: name("reply", "headers.federation.reply"),
        targets: name("targets", "headers.federation.targets"),
    },
};

const fn name(key: &'static str, path: &'static str) -> Name {
    Name { key, path }
}
