//! Whether the mode is on: decided once, when the process starts, from what was found.

use super::build::BuildSettings;

/// The configuration file as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigFile {
    /// It is not there.
    Missing,
    /// It is there; what its key `plugin.choria.server.provision` says, where it has it.
    Present {
        /// The key.
        provision: Option<bool>,
    },
}

/// The token of the node itself, where its security goes by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerToken {
    /// The configuration names none.
    NotUsed,
    /// It is good.
    Good,
    /// Token or seed are missing.
    Missing,
    /// One of them cannot be read, or they do not go together.
    Unusable,
    /// It is past its end.
    Expired,
    /// It is another node's: the host was cloned.
    OtherIdentity,
}

/// What the decision goes by.
#[derive(Debug, Clone, Copy)]
pub struct ModeFacts<'a> {
    /// What is compiled in or said by the provisioning token.
    pub build: &'a BuildSettings,
    /// Whether there is a file with a provisioning token.
    pub jwt_exists: bool,
    /// The configuration file.
    pub config: ConfigFile,
    /// The node's own token.
    pub token: ServerToken,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is a configured node.
    Configured,
    /// It waits for a provisioner.
    Provisioning(Reason),
    /// It can be neither: there is no configuration, and nothing says who gives one.
    Impossible,
}

/// Why a node waits for a provisioner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no configuration.
    NoConfig,
    /// The configuration asks for it.
    Asked,
    /// The configuration does not say, and it is the default.
    Default,
    /// The node's own token is of no use.
    Token(ServerToken),
}

/// Decides.
///
/// A token that is of no use counts for more than a key that switches the mode off: such a node could not connect. A key
/// that switches it on counts only where provisioning is the default, as with peers; that way a key that was forgotten in
/// a file brings no node of a site without a provisioner down.
#[must_use]
pub fn decide(facts: &ModeFacts<'_>) -> Mode {
    let can_be = facts.build.agent && (facts.build.has_target() || facts.jwt_exists);
    let ConfigFile::Present { provision } = facts.config else {
        return if can_be {
            Mode::Provisioning(Reason::NoConfig)
        } else {
            Mode::Impossible
        };
    };
    if !can_be {
        return Mode::Configured;
    }
    match facts.token {
        ServerToken::NotUsed | ServerToken::Good => {}
        token => return Mode::Provisioning(Reason::Token(token)),
    }
    match provision {
        Some(true) if facts.build.default => Mode::Provisioning(Reason::Asked),
        None if facts.build.default => Mode::Provisioning(Reason::Default),
        Some(_) | None => Mode::Configured,
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoConfig => "there is no configuration",
            Self::Asked => "plugin.choria.server.provision asks for it",
            Self::Default => "it is the default, and the configuration does not say otherwise",
            Self::Token(ServerToken::Missing) => "the node's token or its seed is missing",
            Self::Token(ServerToken::Expired) => "the node's token has expired",
            Self::Token(ServerToken::OtherIdentity) => "the node's token is another node's",
            Self::Token(_) => "the node's token cannot be used",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MISSING: ConfigFile = ConfigFile::Missing;
    const SILENT: ConfigFile = ConfigFile::Present { provision: None };
    const ON: ConfigFile = ConfigFile::Present {
        provision: Some(true),
    };
    const OFF: ConfigFile = ConfigFile::Present {
        provision: Some(false),
    };

    #[derive(Clone, Copy)]
    enum Target {
        None,
        Compiled,
        Jwt,
    }

    fn of(target: Target, default: bool, config: ConfigFile, token: ServerToken) -> Mode {
        let mut build = BuildSettings {
            agent: true,
            default,
            ..BuildSettings::default()
        };
        if matches!(target, Target::Compiled) {
            build.brokers.push("p:4222".to_owned());
        }
        decide(&ModeFacts {
            build: &build,
            jwt_exists: matches!(target, Target::Jwt),
            config,
            token,
        })
    }

    #[test]
    fn the_table() {
        use Mode::{Configured, Impossible, Provisioning};
        use Target::{Compiled, Jwt, None};
        let good = ServerToken::Good;
        for (target, default, config, token, expected) in [
            (None, false, MISSING, good, Impossible),
            (None, true, MISSING, good, Impossible),
            (
                Compiled,
                false,
                MISSING,
                good,
                Provisioning(Reason::NoConfig),
            ),
            (Jwt, false, MISSING, good, Provisioning(Reason::NoConfig)),
            (None, true, SILENT, good, Configured),
            (None, true, ON, good, Configured),
            (None, true, SILENT, ServerToken::Expired, Configured),
            (Jwt, false, SILENT, good, Configured),
            (Jwt, false, ON, good, Configured),
            (Jwt, false, OFF, good, Configured),
            (Jwt, true, SILENT, good, Provisioning(Reason::Default)),
            (Compiled, true, ON, good, Provisioning(Reason::Asked)),
            (Jwt, true, OFF, good, Configured),
            (Jwt, true, OFF, ServerToken::NotUsed, Configured),
        ] {
            let found = of(target, default, config, token);
            assert_eq!(found, expected, "{default} {config:?} {token:?}");
        }
        for token in [
            ServerToken::Missing,
            ServerToken::Unusable,
            ServerToken::Expired,
            ServerToken::OtherIdentity,
        ] {
            let expected = Provisioning(Reason::Token(token));
            assert_eq!(of(Jwt, false, SILENT, token), expected);
            assert_eq!(of(Jwt, false, OFF, token), expected);
        }
    }

    #[test]
    fn a_node_without_the_agent_waits_for_nobody() {
        let build = BuildSettings {
            brokers: vec!["p:1".to_owned()],
            ..BuildSettings::default()
        };
        let facts = ModeFacts {
            build: &build,
            jwt_exists: true,
            config: MISSING,
            token: ServerToken::NotUsed,
        };
        assert_eq!(decide(&facts), Mode::Impossible);
    }
}
