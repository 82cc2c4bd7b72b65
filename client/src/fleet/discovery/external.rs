//! Names from a program: it gets the question as a file, and leaves the answer in another.
//!
//! It is called as `program [its arguments] REQUEST REPLY PROTOCOL`; the environment has the three as `CHORIA_EXTERNAL_REQUEST`, `CHORIA_EXTERNAL_REPLY` and
//! `CHORIA_EXTERNAL_PROTOCOL`, and `PATH` beside them. What it prints is no answer: it is passed on to the log. When its time is over, it and all it started are killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use muster_protocol::filter::Filter;
use muster_reactor::child::{self, End, Output, Program, Stream};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::words::split_words;
use super::{DiscoveryError, Query, check_names, read_text};

const REQUEST_SCHEMA: &str = "https://choria.io/schemas/choria/discovery/v1/external_request.json";
const REQUEST_PROTOCOL: &str = "io.choria.choria.discovery.v1.external_request";
const REPLY_PROTOCOL: &str = "io.choria.choria.discovery.v1.external_reply";
/// The least time a program gets.
const TIME_MIN: Duration = Duration::from_secs(1);
/// Bytes a program may print.
const PRINTED_MAX: usize = 1 << 20;

/// A program that names nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// The program and its arguments, as a shell would read them; no shell reads them.
    pub command: String,
    /// Options for the program.
    pub options: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Request<'a> {
    protocol: &'static str,
    collective: &'a str,
    filter: &'a Filter,
    federations: &'a [String],
    options: &'a BTreeMap<String, String>,
    #[serde(rename = "$schema")]
    schema: &'static str,
    timeout: f64,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    nodes: Option<Vec<String>>,
    #[serde(default)]
    error: String,
}

impl External {
    pub(super) fn discover(&self, query: &Query<'_>) -> Result<Vec<String>, DiscoveryError> {
        let time_max = query.timeout.max(TIME_MIN);
        let files = self.write_request(query, time_max)?;
        let program = self.program(&files, time_max)?;
        let finished = child::run(&program, &mut |stream, line| self.log(stream, line));
        match finished.end {
            End::Exited(0) => {}
            end => {
                let command = self.command.clone();
                return Err(DiscoveryError::Program { command, end });
            }
        }
        let place = format!("the reply of {:?}", self.command);
        let text = read_text(files.reply.path())?;
        let reply: Reply =
            serde_json::from_str(&text).map_err(|error| DiscoveryError::Malformed {
                place: place.clone(),
                why: error.to_string(),
            })?;
        if !reply.error.is_empty() {
            return Err(DiscoveryError::Refused {
                command: self.command.clone(),
                error: reply.error,
            });
        }
        if reply.protocol != REPLY_PROTOCOL {
            let protocol = reply.protocol;
            return Err(DiscoveryError::Malformed {
                place,
                why: format!("protocol is {protocol:?}, not {REPLY_PROTOCOL}"),
            });
        }
        check_names(reply.nodes.unwrap_or_default(), &place)
    }

    fn write_request(
        &self,
        query: &Query<'_>,
        time_max: Duration,
    ) -> Result<Files, DiscoveryError> {
        let mut filter = query.filter.clone();
        query
            .agent
            .into_iter()
            .for_each(|agent| filter.add_agent(agent));
        let request = Request {
            protocol: REQUEST_PROTOCOL,
            collective: query.collective,
            filter: &filter,
            federations: query.federations,
            options: &self.options,
            schema: REQUEST_SCHEMA,
            timeout: time_max.as_secs_f64(),
        };
        let unwritable = |error| DiscoveryError::Unreadable {
            path: std::env::temp_dir(),
            error,
        };
        let file = |name: &str| {
            let mut builder = tempfile::Builder::new();
            builder.prefix(name).suffix(".json");
            builder.tempfile().map_err(unwritable)
        };
        let mut files = Files {
            request: file("discovery-request-")?,
            reply: file("discovery-reply-")?,
        };
        let text = serde_json::to_vec(&request).map_err(|error| unwritable(error.into()))?;
        files.request.write_all(&text).map_err(unwritable)?;
        Ok(files)
    }

    fn program(&self, files: &Files, time_max: Duration) -> Result<Program, DiscoveryError> {
        let bad = || DiscoveryError::BadCommand(self.command.clone());
        let mut words = split_words(&self.command).ok_or_else(bad)?.into_iter();
        let path = words.next().ok_or_else(bad)?.into();
        let (request, reply) = (os(files.request.path()), os(files.reply.path()));
        let contract = [request.clone(), reply.clone(), REQUEST_PROTOCOL.into()];
        Ok(Program {
            path,
            arguments: words.map(OsString::from).chain(contract).collect(),
            environment: vec![
                ("CHORIA_EXTERNAL_REQUEST".into(), request),
                ("CHORIA_EXTERNAL_REPLY".into(), reply),
                ("CHORIA_EXTERNAL_PROTOCOL".into(), REQUEST_PROTOCOL.into()),
                ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ],
            directory: std::env::temp_dir(),
            input: Vec::new(),
            time_max,
            stdout: Output::Lines {
                bytes_max: PRINTED_MAX,
            },
            stderr: Output::Lines {
                bytes_max: PRINTED_MAX,
            },
        })
    }

    fn log(&self, stream: Stream, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        match stream {
            Stream::Stdout => tracing::info!(command = self.command, "{line}"),
            Stream::Stderr => tracing::error!(command = self.command, "{line}"),
        }
    }
}

/// Question and answer; gone with this value.
struct Files {
    request: NamedTempFile,
    reply: NamedTempFile,
}

fn os(path: &Path) -> OsString {
    path.as_os_str().to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(script: &str) -> (tempfile::TempDir, External) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a program");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let command = format!("'{}' --here 'of two'", path.display());
        let options = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        (folder, External { command, options })
    }

    fn discover(program: &External) -> Result<Vec<String>, DiscoveryError> {
        let filter = Filter {
            class: vec!["web".to_owned()],
            ..Filter::default()
        };
        let federations = ["mt1".to_owned()];
        let query = Query {
            filter: &filter,
            agent: Some("rpcutil"),
            collective: "mcollective",
            federations: &federations,
            timeout: Duration::ZERO,
        };
        program.discover(&query)
    }

    #[test]
    fn the_program_gets_the_question_and_its_answer_counts() {
        let script = r#"
[ "$1" = --here ] && [ "$2" = "of two" ] || exit 3
[ "$CHORIA_EXTERNAL_REQUEST" = "$3" ] && [ "$CHORIA_EXTERNAL_REPLY" = "$4" ] || exit 4
[ "$CHORIA_EXTERNAL_PROTOCOL" = "$5" ] && [ -z "$HOME" ] || exit 5
echo working
cp "$3" "$(dirname "$0")/request"
echo '{"protocol":"io.choria.choria.discovery.v1.external_reply","nodes":["n2","n1"],"error":""}' > "$4""#;
        let (folder, program) = program(script);
        assert_eq!(discover(&program).unwrap(), ["n2", "n1"]);
        let request = fs::read_to_string(folder.path().join("request")).unwrap();
        assert_eq!(
            request,
            concat!(
                r#"{"protocol":"io.choria.choria.discovery.v1.external_request","collective":"mcollective","#,
                r#""filter":{"fact":[],"cf_class":["web"],"agent":["rpcutil"],"identity":[],"compound":[]},"#,
                r#""federations":["mt1"],"options":{"k":"v"},"#,
                r#""$schema":"https://choria.io/schemas/choria/discovery/v1/external_request.json","timeout":1.0}"#
            )
        );
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        let reply = |text: &str| {
            let (_folder, program) = program(&format!("printf '%s' '{text}' > \"$4\""));
            let error = discover(&program).unwrap_err().to_string();
            error.replace(&program.command, "PROGRAM")
        };
        assert!(reply("").contains("EOF while parsing"), "{}", reply(""));
        assert!(reply(r#"{"error":"no database"}"#).ends_with(": no database"));
        assert!(reply(r#"{"nodes":["n1"]}"#).contains("protocol is \"\", not "));
        let protocol = r#""protocol":"io.choria.choria.discovery.v1.external_reply""#;
        assert!(reply(&format!(r#"{{{protocol},"nodes":["n 1"]}}"#)).contains("names \"n 1\""));
        assert!(reply(&format!(r#"{{{protocol},"nodes":"n1"}}"#)).contains("invalid type"));
        let (_folder, none) = program(&format!("printf '%s' '{{{protocol}}}' > \"$4\""));
        assert_eq!(discover(&none).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_an_error() {
        let (_folder, failing) = program("echo oh >&2; exit 7");
        let error = discover(&failing).unwrap_err().to_string();
        assert!(error.ends_with("ended with exit code 7"), "{error}");
        let (_folder, hanging) = program("sleep 60 & wait");
        let error = discover(&hanging).unwrap_err();
        assert!(
            matches!(
                error,
                DiscoveryError::Program {
                    end: End::TimedOut(TIME_MIN),
                    ..
                }
            ),
            "{error:?}"
        );
        for command in ["", "  ", "'open"] {
            let external = External {
                command: command.to_owned(),
                options: BTreeMap::new(),
            };
            let error = discover(&external).unwrap_err();
            assert!(matches!(error, DiscoveryError::BadCommand(_)), "{error}");
        }
    }
}
