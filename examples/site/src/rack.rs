//! Agent `rack`: where in the building this machine stands, as a file on it says.

use std::fs;
use std::path::PathBuf;

use muster_protocol::ddl::Ddl;
use muster_protocol::rpc::StatusCode;
use muster_server::agent::{HostView, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};
use serde_json::json;

/// Callers read the same text: put it as `mcollective/agent/rack.json` into a folder of their `libdir`.
const DDL: &str = include_str!("rack.json");

/// The agent.
#[derive(Debug)]
pub(crate) struct Rack {
    ddl: Ddl,
    file: PathBuf,
}

impl Rack {
    /// An agent that reads this file.
    pub(crate) fn new(file: impl Into<PathBuf>) -> Result<Self, serde_json::Error> {
        Ok(Self {
            ddl: Ddl::parse(DDL.as_bytes())?,
            file: file.into(),
        })
    }

    fn place(&self) -> RpcOutcome {
        match fs::read_to_string(&self.file) {
            Ok(text) => RpcOutcome::ok(json!({ "rack": text.trim() }).to_string()),
            Err(error) => {
                let file = self.file.display();
                RpcOutcome::failed(StatusCode::Aborted, format!("cannot read {file}: {error}"))
            }
        }
    }
}

impl RpcAgent for Rack {
    fn ddl(&self) -> &Ddl {
        &self.ddl
    }

    fn call(&self, _call: &RpcCall<'_>, _host: &HostView<'_>) -> RpcAnswer {
        self.place().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_what_the_file_says() {
        let file = std::env::temp_dir().join(format!("rack-{}", std::process::id()));
        fs::write(&file, "b2-17\n").unwrap();
        let place = Rack::new(&file).unwrap().place();
        fs::remove_file(&file).unwrap();
        assert_eq!(place, RpcOutcome::ok(r#"{"rack":"b2-17"}"#));
        assert_ne!(Rack::new("/nonexistent/rack").unwrap().place(), place);
    }
}
