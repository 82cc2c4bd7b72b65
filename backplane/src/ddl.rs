//! The agent `backplane` as its callers know it.

use std::sync::LazyLock;

use muster_protocol::ddl::Ddl;

/// The agent's name.
pub const AGENT: &str = "backplane";
/// The version of the backplane, which is the agent's too.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The agent's description as clients load it: all actions, whatever an application offers.
pub const DDL_JSON: &str = include_str!("backplane.json");

/// The agent's description.
///
/// # Panics
/// Never; a test reads it.
#[must_use]
pub fn ddl() -> &'static Ddl {
    static DDL: LazyLock<Ddl> = LazyLock::new(|| {
        let mut ddl = Ddl::parse(DDL_JSON.as_bytes()).expect("a test reads it");
        VERSION.clone_into(&mut ddl.metadata.version);
        ddl
    });
    &DDL
}

/// The collective of an application's instances.
#[must_use]
pub fn collective(name: &str) -> String {
    format!("{name}_backplane")
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::ddl::Display;

    #[test]
    fn the_description_is_the_one_callers_know() {
        let ddl = ddl();
        assert_eq!(ddl.metadata.name, AGENT);
        assert_eq!(ddl.metadata.timeout, 10);
        let shown = |display| {
            let actions = ddl.actions.iter().filter(|a| a.display == display);
            actions.map(|action| &*action.name).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Display::Always),
            [
                "info", "pause", "resume", "flip", "debuglvl", "infolvl", "warnlvl", "critlvl"
            ]
        );
        assert_eq!(shown(Display::Failed), ["ping", "health", "shutdown"]);
        for action in &ddl.actions {
            for aggregate in &action.aggregate {
                let output = aggregate.output().unwrap();
                assert!(
                    action.output.contains_key(output),
                    "{} {output}",
                    action.name
                );
            }
        }
    }
}
