//! A configuration is either read or refused with a reason, and nothing of its secrets is shown.

use std::num::NonZeroUsize;

use muster_provisioner::config::ProvisionerConfig;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match ProvisionerConfig::from_yaml(text, "f", NonZeroUsize::MIN) {
        Ok(config) => {
            assert!(!config.helper.is_empty());
            if let Some(token) = config
                .token
                .as_ref()
                .filter(|token| token.expose().len() > 20)
            {
                let shown = format!("{:?}", config.token);
                assert!(!shown.contains(token.expose()));
            }
        }
        Err(problems) => {
            assert!(!problems.problems.is_empty());
            assert!(problems.to_string().starts_with('f'));
        }
    }
}
