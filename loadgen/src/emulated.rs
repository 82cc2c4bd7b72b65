//! The agent `emulated0` of the fleet emulators: replies of a size that the caller chooses.

use std::sync::LazyLock;

use muster_protocol::ddl::Ddl;
use muster_protocol::rpc::StatusCode;
use muster_server::agent::{HostView, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};

/// The agent's name.
pub(crate) const AGENT: &str = "emulated0";

/// Its action, with one input, `size`.
pub(crate) const ACTION: &str = "generate";

/// Largest message it makes: what fits in a broker's default payload with its envelopes.
const SIZE_MAX: u64 = 400_000;

const DDL: &str = r#"{
  "metadata": {"name": "emulated0", "description": "Replies of a chosen size", "author": "Muster", "license": "Apache-2.0", "version": "1.0.0", "url": "", "timeout": 120},
  "actions": [{
    "action": "generate", "display": "failed", "description": "Makes a message of a size",
    "input": {"size": {"prompt": "Size", "description": "Bytes of the message", "type": "integer", "optional": true, "default": 20}},
    "output": {"message": {"description": "Digits", "display_as": "Message"}},
    "aggregate": []
  }]
}"#;

static PARSED: LazyLock<Ddl> =
    LazyLock::new(|| Ddl::parse(DDL.as_bytes()).expect("the text above is a DDL"));

/// Makes messages of repeating digits.
#[derive(Debug)]
pub(crate) struct Emulated;

impl RpcAgent for Emulated {
    fn ddl(&self) -> &Ddl {
        &PARSED
    }

    fn call(&self, call: &RpcCall<'_>, _host: &HostView<'_>) -> RpcAnswer {
        let size = call
            .inputs
            .get("size")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(20);
        if size > SIZE_MAX {
            let text = format!("size {size} is above {SIZE_MAX}");
            return RpcOutcome::failed(StatusCode::InvalidData, text).into();
        }
        let digits: String = "0123456789"
            .chars()
            .cycle()
            .take(usize::try_from(size).unwrap_or(0))
            .collect();
        RpcOutcome::ok(format!("{{\"message\":\"{digits}\"}}")).into()
    }
}
