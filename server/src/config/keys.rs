//! Every key a node reads, as `docs/config.md` has them.
//!
//! This table is the one place where the keys are described: a test holds the document to it, and another one holds it
//! to what the configuration really asks for.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyInfo {
    /// The key; `<agent>` stands for a name.
    pub name: &'static str,
    /// Type and unit of its value.
    pub kind: &'static str,
    /// What counts where it is not there.
    pub default: &'static str,
    /// What it does.
    pub effect: &'static str,
}

const fn key(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    effect: &'static str,
) -> KeyInfo {
    KeyInfo {
        name,
        kind,
        default,
        effect,
    }
}

/// The keys of a node, in the order of the document.
pub const KEYS: &[KeyInfo] = &[
    key(
        "identity",
        "text",
        "the host's full name",
        "the node's name",
    ),
    key(
        "collectives",
        "list",
        "`mcollective`",
        "the collectives it is in",
    ),
    key(
        "main_collective",
        "text",
        "the first of them",
        "the one it is mainly in",
    ),
    key(
        "ttl",
        "seconds, 30–86400",
        "60",
        "what the node reports; how long a request lives is the request's to say",
    ),
    key(
        "loglevel",
        "debug, info, warn, error, fatal",
        "info",
        "how much is logged",
    ),
    key(
        "logfile",
        "path, `stdout`, `stderr`, `discard`",
        "`stdout`",
        "where to",
    ),
    key(
        "plugin.yaml",
        "paths, separated by `:`",
        "none",
        "facts, YAML or JSON, merged at the top level",
    ),
    key(
        "classesfile",
        "path",
        "`/opt/puppetlabs/puppet/cache/state/classes.txt`",
        "classes, one a line",
    ),
    key(
        "libdir",
        "paths, separated by `:`",
        "none",
        "where agents in other languages are found, in `mcollective/agent` and `choria/agent`",
    ),
    key(
        "plugin.choria.agent_provider.mcorpc.libdir",
        "paths, separated by `:`",
        "none",
        "more of the same, after those of `libdir`",
    ),
    key(
        "plugin.choria.agent_provider.mcorpc.agent_shim",
        "path",
        "none",
        "the program that runs Ruby agents",
    ),
    key(
        "plugin.choria.agent_provider.mcorpc.config",
        "path",
        "none",
        "its configuration file, needed with it",
    ),
    key(
        "soft_shutdown_timeout",
        "seconds",
        "2",
        "how long calls under way are waited for when the node ends",
    ),
    key(
        "plugin.choria.server.provision",
        "boolean",
        "what is compiled in, or the provisioning token says",
        "whether the node waits for a provisioner when it starts; on counts only where that is the default",
    ),
    key(
        "plugin.choria.middleware_hosts",
        "list of `host:port`",
        "looked up at the start, else `puppet:4222`",
        "the brokers; those that were looked up stay until a restart",
    ),
    key(
        "plugin.choria.use_srv",
        "boolean",
        "true",
        "whether brokers are looked up where none is configured",
    ),
    key(
        "plugin.choria.srv_domain",
        "text",
        "`CHORIA_SRV_DOMAIN`, else the fact `networking.domain`, else the host's domain",
        "where they are looked up",
    ),
    key(
        "plugin.choria.network.connect_timeout",
        "duration, at most 120s",
        "2s",
        "how long a connection attempt may take",
    ),
    key(
        "plugin.nats.user",
        "text",
        "none",
        "the name shown to the broker; `MCOLLECTIVE_NATS_USERNAME` goes before it",
    ),
    key(
        "plugin.nats.pass",
        "text",
        "none",
        "the password that goes with it; `MCOLLECTIVE_NATS_PASSWORD` goes before it",
    ),
    key(
        "plugin.nats.credentials",
        "path",
        "none",
        "is refused: such files are not read",
    ),
    key(
        "plugin.security.provider",
        "text",
        "`puppet`",
        "`puppet`, `file` or `choria`: certificates where Puppet keeps them or where the keys below say, or a token",
    ),
    key(
        "plugin.security.file.certificate",
        "path",
        "none",
        "the node's certificate",
    ),
    key("plugin.security.file.key", "path", "none", "its key"),
    key(
        "plugin.security.file.ca",
        "path",
        "none",
        "the authority of callers and brokers",
    ),
    key(
        "plugin.security.file.crl",
        "path",
        "none",
        "revocation lists of the authority, read again when they change; a revoked caller or broker is refused",
    ),
    key(
        "plugin.choria.ssldir",
        "path",
        "root: `/etc/puppetlabs/puppet/ssl`, others: `~/.puppetlabs/etc/puppet/ssl`",
        "provider `puppet`: where `certs/<identity>.pem`, `private_keys/<identity>.pem` and `certs/ca.pem` are",
    ),
    key(
        "plugin.security.choria.token_file",
        "path",
        "none",
        "provider `choria`: the node's token; its identity must be the node's",
    ),
    key(
        "plugin.security.choria.seed_file",
        "path",
        "none",
        "provider `choria`: the seed of the token's key, 64 hex digits",
    ),
    key(
        "plugin.security.choria.certificate",
        "path",
        "none",
        "provider `choria`: the node's certificate, where the broker wants one",
    ),
    key("plugin.security.choria.key", "path", "none", "its key"),
    key(
        "plugin.security.choria.ca",
        "path",
        "none",
        "provider `choria`: the authority of brokers; without it their certificates are not checked, with a warning",
    ),
    key(
        "plugin.security.choria.trusted_signers",
        "list of public keys",
        "none",
        "provider `choria`: keys whose tokens are believed; either these or issuers",
    ),
    key(
        "plugin.security.choria.sign_replies",
        "boolean",
        "true",
        "provider `choria`: whether replies are signed and carry the node's token",
    ),
    key(
        "plugin.security.issuer.names",
        "list",
        "none",
        "provider `choria`: organisations whose tokens are believed",
    ),
    key(
        "plugin.security.issuer.<name>.public",
        "public key",
        "none",
        "the key of such an organisation, 64 hex digits",
    ),
    key(
        "plugin.security.support_legacy_certificates",
        "boolean",
        "false",
        "certificates without alternative names are not accepted: on is warned of",
    ),
    key(
        "plugin.choria.security.certname_whitelist",
        "list of patterns",
        "`\\.mcollective$`, `\\.choria$`",
        "certificate names that may call",
    ),
    key(
        "plugin.choria.security.privileged_users",
        "list of patterns",
        "`\\.privileged.mcollective$`, `\\.privileged.choria$`",
        "certificate names that may call for others",
    ),
    key(
        "rpcauthorization",
        "boolean",
        "true",
        "whether calls are authorised; false lets every verified caller call",
    ),
    key(
        "rpcauthprovider",
        "text",
        "`action_policy`",
        "by what; no other is there",
    ),
    key(
        "plugin.actionpolicy.allow_unconfigured",
        "boolean",
        "false",
        "what a policy file without `policy default` falls back to",
    ),
    key(
        "plugin.actionpolicy.enable_default",
        "boolean",
        "false",
        "whether there is a policy for agents without one",
    ),
    key(
        "plugin.actionpolicy.default_name",
        "text",
        "`default`",
        "its name",
    ),
    key(
        "plugin.actionpolicy.use_shipped",
        "boolean",
        "true",
        "whether the read-only policies shipped are in force for agents without a file",
    ),
    key(
        "rpcaudit",
        "boolean",
        "false",
        "whether allowed calls are recorded",
    ),
    key("plugin.rpcaudit.logfile", "path", "none", "where to"),
    key(
        "plugin.rpcaudit.logfile.group",
        "text",
        "none",
        "the group that is to own the file",
    ),
    key(
        "plugin.rpcaudit.logfile.mode",
        "octal mode",
        "0600",
        "the mode it is made with",
    ),
    key(
        "plugin.<agent>.activate_agent",
        "boolean",
        "true",
        "false switches an agent off",
    ),
    key(
        "registration",
        "list of `file_content`, `inventory_content`",
        "none",
        "what the node registers",
    ),
    key(
        "registerinterval",
        "seconds",
        "300",
        "time between two registrations of a source, at least",
    ),
    key(
        "registration_splay",
        "boolean",
        "true",
        "whether the first one comes at a random moment of the interval",
    ),
    key(
        "registration_collective",
        "text",
        "the main collective",
        "the collective registrations are published in",
    ),
    key(
        "plugin.choria.registration.file_content.data",
        "path",
        "none",
        "the file that is registered",
    ),
    key(
        "plugin.choria.registration.file_content.target",
        "subject",
        "the agent `registration`",
        "where to",
    ),
    key(
        "plugin.choria.registration.file_content.compression",
        "boolean",
        "true",
        "whether it is compressed",
    ),
    key(
        "plugin.choria.registration.inventory_content.target",
        "subject",
        "the agent `registration`",
        "where the inventory is registered",
    ),
    key(
        "plugin.choria.registration.inventory_content.compression",
        "boolean",
        "true",
        "whether it is compressed",
    ),
    key(
        "plugin.choria.registration.size_trigger",
        "bytes",
        "0: off",
        "a change of size for which a source is registered before the interval is over",
    ),
    key(
        "plugin.choria.registration.size_interval",
        "seconds",
        "30",
        "how often the size is looked at",
    ),
    key(
        "plugin.choria.legacy_lifecycle_format",
        "boolean",
        "false",
        "whether events are sent bare, and not as CloudEvents",
    ),
    key(
        "plugin.choria.status_file_path",
        "path",
        "none",
        "a file with the node's state, in JSON",
    ),
    key(
        "plugin.choria.status_update_interval",
        "seconds",
        "30",
        "how often it is written",
    ),
    key(
        "plugin.choria.stats_address",
        "IP address",
        "127.0.0.1",
        "where statistics are served",
    ),
    key(
        "plugin.choria.stats_port",
        "port",
        "0: off",
        "where statistics are served",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{NodeConfig, NodeFlags};
    use muster_settings::Settings;

    const DOCUMENT: &str = include_str!("../../../docs/config.md");

    /// The rows of the node's table.
    fn rows() -> Vec<&'static str> {
        let (_, section) = DOCUMENT.split_once("## Node (").unwrap();
        let section = section.split("\n## ").next().unwrap();
        section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect()
    }

    #[test]
    fn the_document_has_every_key_as_it_is_here() {
        let expected: Vec<_> = KEYS
            .iter()
            .map(|key| {
                let (name, kind) = (key.name, key.kind);
                format!("| `{name}` | {kind} | {} | {} |", key.default, key.effect)
            })
            .collect();
        assert_eq!(rows(), expected, "wanted:\n{}", expected.join("\n"));
    }

    #[test]
    fn every_key_that_is_read_is_here_and_the_reverse() {
        // A pattern of keys is read where there is such a key, and what a provider needs where it is the provider.
        let mut asked = BTreeSet::new();
        for provider in ["puppet", "file", "choria"] {
            let text = format!(
                "plugin.<agent>.activate_agent = 1
plugin.security.issuer.names = <name>
plugin.security.provider = {provider}
"
            );
            let settings = Settings::parse(&text, "f");
            let mut reader = settings.reader();
            NodeConfig::read(&mut reader, &NodeFlags::default());
            asked.extend(settings.asked());
            assert!(reader.finish().is_err(), "{provider}");
        }
        let here: BTreeSet<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
        assert_eq!(here.len(), KEYS.len());
        assert_eq!(asked, here);
    }
}
