//! Inputs of the agent `choria_provision`, and the description of a release: what is understood of them stays in its
//! place, and nothing panics. The input is the JSON of an action's inputs, or of a release.

use muster_protocol::ddl::{Ddl, Inputs};
use muster_server::provision::{AGENT, Configure, Manifest, Standing};

pub(crate) fn run(data: &[u8]) {
    let _ = Manifest::parse(data);
    let Ok(inputs) = serde_json::from_slice::<Inputs>(data) else {
        return;
    };
    let ddl = Ddl::builtin(AGENT).expect("it is built in");
    for action in &ddl.actions {
        // What is refused names inputs, never a token's value.
        for error in action.validate(&inputs).err().into_iter().flatten() {
            assert!(error.input().len() <= data.len());
        }
        let standing = Standing {
            in_mode: true,
            has_token: true,
            has_config_file: true,
            may_update: true,
        };
        assert_eq!(
            standing.admit(&action.name).is_ok(),
            action.name != "reprovision"
        );
    }
    let Ok(configure) = Configure::read(&inputs) else {
        return;
    };
    for line in configure.lines() {
        assert!(!line.contains(['\n', '\r', '\0']), "{line:?}");
        let (key, _) = line.split_once('=').expect("each line is a setting");
        assert!(!key.is_empty() && !key.starts_with('#'), "{line:?}");
    }
    for path in configure.policy_files() {
        assert!(path.is_relative());
        let mut parts = path.components();
        assert!(parts.all(|part| matches!(part, std::path::Component::Normal(_))));
    }
}
