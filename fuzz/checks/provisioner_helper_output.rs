//! What a helper wrote is a decision or an error; a decision to configure has a configuration of texts.

use muster_provisioner::helper::Decision;

pub(crate) fn run(data: &[u8]) {
    match Decision::parse(data) {
        Ok(Decision::Configure(setup)) => assert!(!setup.configuration.is_empty()),
        Ok(Decision::Defer(message)) => assert!(!message.chars().any(char::is_control)),
        Ok(Decision::Shutdown) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
