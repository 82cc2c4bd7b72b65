//! The audit log: one line of JSON for every call that was allowed, written before it is carried out.
//!
//! ```text
//! {"timestamp":"2026-01-02T03:04:05.123456+0000","request_id":"…","request_time":1767323045,
//!  "caller":"choria=rip.mcollective","sender":"rip.example.net","agent":"package","action":"status",
//!  "data":{"package":"zsh"}}
//! ```
//!
//! on one line, byte for byte what the servers of today write, so that both may write to one file. The file is opened
//! for every line, which makes rotating it safe. A line that can not be written is counted and told to the log; the
//! call goes on.
//!
//! This is a part of the daemon: it opens files. Facts: section 13 of the server's fact sheet.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_protocol::json::{write_integer, write_string};
use muster_protocol::rfc3339::rfc3339_utc;
use muster_protocol::rpc::RpcRequest;
use muster_settings::Reader;
use tracing::warn;

use crate::agent::{Audit, RpcCall};

/// Where the groups of the system stand.
const GROUP_FILE: &str = "/etc/group";
/// Mode of a log file that is made, unless configured otherwise.
const MODE_DEFAULT: u32 = 0o600;

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOptions {
    /// The file, appended to.
    pub file: PathBuf,
    /// The mode it is made with, less the process's umask.
    pub mode: u32,
    /// The group that is to own it.
    pub group: Option<String>,
}

/// Writes the audit log.
#[derive(Debug)]
pub struct AuditLog {
    options: AuditOptions,
    group_id: Option<u32>,
    written: AtomicU64,
    failed: AtomicU64,
}

/// The line of a call, with its line feed.
#[derive(Debug, Clone, Copy)]
pub struct AuditRecord<'r> {
    /// When it is carried out, since the Unix epoch.
    pub unix: Duration,
    /// The request's id.
    pub request_id: &'r str,
    /// Unix second in which the request was made, at the sender.
    pub request_time: i64,
    /// Who calls.
    pub caller: &'r str,
    /// The sending host.
    pub sender: &'r str,
    /// The agent.
    pub agent: &'r str,
    /// The action.
    pub action: &'r str,
    /// JSON text of the inputs.
    pub data: &'r str,
}

impl AuditOptions {
    /// Reads the keys `rpcaudit` and `plugin.rpcaudit.logfile*`; `None` if there is to be no audit log. Without a file
    /// there is none whatever `rpcaudit` says, and a sentence of warning.
    pub fn read(reader: &mut Reader<'_>, warnings: &mut Vec<String>) -> Option<Self> {
        let wanted = reader.bool("rpcaudit", false);
        let file = reader.opt_path("plugin.rpcaudit.logfile");
        let group = reader.opt_string("plugin.rpcaudit.logfile.group");
        let mode = reader.parsed("plugin.rpcaudit.logfile.mode", parse_mode);
        if !wanted {
            return None;
        }
        let Some(file) = file else {
            let warning =
                "rpcaudit is on and plugin.rpcaudit.logfile is not set: nothing is audited";
            warnings.push(warning.to_owned());
            return None;
        };
        Some(Self {
            file,
            mode: mode.unwrap_or(MODE_DEFAULT),
            group,
        })
    }
}

impl AuditLog {
    /// A log; nothing is opened before the first line. A group the system does not know is left aside, with a warning
    /// in the log.
    #[must_use]
    pub fn new(options: AuditOptions) -> Self {
        let group_id = options.group.as_deref().and_then(|group| {
            let found = fs::read_to_string(GROUP_FILE)
                .ok()
                .and_then(|groups| group_id(&groups, group));
            if found.is_none() {
                warn!(group, "the audit log keeps its group: this one is unknown");
            }
            found
        });
        Self {
            options,
            group_id,
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// How many lines were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// How many lines could not be written.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(self.options.mode)
            .open(&self.options.file)?;
        if let Some(group_id) = self.group_id
            && file.metadata()?.gid() != group_id
            && let Err(error) = std::os::unix::fs::fchown(&file, None, Some(group_id))
        {
            // The line counts for more than the group.
            let path = self.options.file.display();
            warn!(file = %path, %error, "the audit log keeps its group");
        }
        // One write a line, so that lines of several processes do not mix.
        file.write_all(line)
    }
}

impl Audit for AuditLog {
    fn record(&self, call: &RpcCall<'_>, unix: Duration) {
        let request = call.request;
        // The inputs as they came: a map would have lost the order of their members.
        let body = RpcRequest::parse(request.body);
        let record = AuditRecord {
            unix,
            request_id: request.request_id,
            request_time: request.time,
            caller: request.caller_id,
            sender: request.sender_id,
            agent: request.agent,
            action: call.action,
            data: body.as_ref().map_or("{}", |body| body.data),
        };
        match self.append(&record.line()) {
            Ok(()) => self.written.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                let path = self.options.file.display();
                warn!(
                    file = %path, id = request.request_id, caller = request.caller_id, %error,
                    "a call is missing in the audit log"
                );
                self.failed.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

impl AuditRecord<'_> {
    /// The line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(256 + self.data.len());
        line.extend_from_slice(br#"{"timestamp":"#);
        write_string(&mut line, &timestamp(self.unix));
        line.extend_from_slice(br#","request_id":"#);
        write_string(&mut line, self.request_id);
        line.extend_from_slice(br#","request_time":"#);
        write_integer(&mut line, self.request_time);
        for (key, text) in [
            (&br#","caller":"#[..], self.caller),
            (br#","sender":"#, self.sender),
            (br#","agent":"#, self.agent),
            (br#","action":"#, self.action),
        ] {
            line.extend_from_slice(key);
            write_string(&mut line, text);
        }
        line.extend_from_slice(br#","data":"#);
        compact(&mut line, self.data);
        line.extend_from_slice(b"}\n");
        line
    }
}

/// A moment with microseconds and offset, in UTC.
fn timestamp(unix: Duration) -> String {
    let seconds = rfc3339_utc(Duration::from_secs(unix.as_secs()));
    let seconds = seconds.trim_end_matches('Z');
    format!("{seconds}.{:06}+0000", unix.subsec_micros())
}

/// Appends JSON without blanks, and with the characters escaped that Go's encoder escapes.
fn compact(out: &mut Vec<u8>, json: &str) {
    let mut in_text = false;
    let mut escaped = false;
    for c in json.chars() {
        match c {
            ' ' | '\t' | '\n' | '\r' if !in_text => continue,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        in_text ^= c == '"' && !escaped;
        escaped = in_text && c == '\\' && !escaped;
    }
}

/// A file mode, in the bases Go's parser tells apart by their beginnings.
fn parse_mode(text: &str) -> Result<u32, String> {
    let (digits, radix) = match text.get(..2) {
        Some("0o" | "0O") => (&text[2..], 8),
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0b" | "0B") => (&text[2..], 2),
        _ if text.starts_with('0') => (text, 8),
        _ => (text, 10),
    };
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "is no file mode such as 0600 or 0640".to_owned())
}

/// The number of a group in the text of the system's file of groups.
fn group_id(groups: &str, group: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (name == group).then(|| fields.nth(1)?.parse().ok())?
    })
}

impl fmt::Display for AuditRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.line()).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use muster_settings::Settings;
    use serde_json::Value;

    use super::*;
    use crate::agent::AgentRequest;

    const RECORD: AuditRecord<'_> = AuditRecord {
        unix: Duration::new(1_767_323_045, 123_456_789),
        request_id: "0123456789abcdef0123456789abcdef",
        request_time: 1_767_323_044,
        caller: "choria=rip.mcollective",
        sender: "rip.example.net",
        agent: "package",
        action: "status",
        data: "{ \"package\" : \"zsh\",\n\t\"z\": [1, 2.50, \"a \\\" <b>\\\\\"], \"a\": null }",
    };

    fn request(body: &[u8]) -> AgentRequest<'_> {
        AgentRequest {
            body,
            caller_id: RECORD.caller,
            sender_id: RECORD.sender,
            request_id: RECORD.request_id,
            collective: "mcollective",
            agent: RECORD.agent,
            time: RECORD.request_time,
            ttl: 60,
        }
    }

    fn options(text: &str) -> (Result<Option<AuditOptions>, String>, Vec<String>) {
        let settings = Settings::parse(text, "server.conf");
        let mut reader = settings.reader();
        let mut warnings = Vec::new();
        let options = AuditOptions::read(&mut reader, &mut warnings);
        let checked = reader.finish().map_err(|errors| errors.to_string());
        (checked.map(|()| options), warnings)
    }

    #[test]
    fn a_line_is_what_the_peers_write() {
        let expected = concat!(
            r#"{"timestamp":"2026-01-02T03:04:05.123456+0000","request_id":"0123456789abcdef0123456789abcdef","#,
            r#""request_time":1767323044,"caller":"choria=rip.mcollective","sender":"rip.example.net","#,
            r#""agent":"package","action":"status","#,
            r#""data":{"package":"zsh","z":[1,2.50,"a \" \u003cb\u003e\\"],"a":null}}"#,
            "\n"
        );
        let line = String::from_utf8(RECORD.line()).unwrap();
        assert_eq!(line, expected);
        assert_eq!(RECORD.to_string(), expected.trim_end());
        assert!(serde_json::from_str::<Value>(&line).is_ok());
        let whole = AuditRecord {
            unix: Duration::from_secs(0),
            data: "{}",
            ..RECORD
        };
        assert!(
            whole
                .to_string()
                .contains("1970-01-01T00:00:00.000000+0000")
        );
    }

    #[test]
    fn lines_are_appended_and_the_file_is_made_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.log");
        let log = AuditLog::new(AuditOptions {
            file: file.clone(),
            mode: 0o600,
            group: None,
        });
        let inputs = serde_json::from_str(r#"{"b":1,"a":2}"#).unwrap();
        let body = br#"{"agent":"package","action":"status","data":{"b":1, "a":2}}"#;
        let request = request(body);
        let call = RpcCall {
            action: "status",
            inputs: &inputs,
            request: &request,
        };
        log.record(&call, RECORD.unix);
        // Rotated away: the next line makes a new file.
        fs::rename(&file, folder.path().join("audit.log.1")).unwrap();
        log.record(&call, RECORD.unix);
        log.record(&call, RECORD.unix);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with("\"data\":{\"b\":1,\"a\":2}}\n"), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!((log.written(), log.failed()), (3, 0));
    }

    #[test]
    fn a_line_that_can_not_be_written_is_counted() {
        let log = AuditLog::new(AuditOptions {
            file: PathBuf::from("/nowhere/at/all/audit.log"),
            mode: 0o600,
            group: Some("no such group".to_owned()),
        });
        let inputs = serde_json::Map::new();
        let request = request(b"{}");
        let call = RpcCall {
            action: "status",
            inputs: &inputs,
            request: &request,
        };
        log.record(&call, RECORD.unix);
        assert_eq!((log.written(), log.failed()), (0, 1));
    }

    #[test]
    fn keys_are_read() {
        let file = "plugin.rpcaudit.logfile = /var/log/audit.log\n";
        let all = format!(
            "rpcaudit = 1\n{file}plugin.rpcaudit.logfile.group = adm\nplugin.rpcaudit.logfile.mode = 0640\n"
        );
        let expected = AuditOptions {
            file: PathBuf::from("/var/log/audit.log"),
            mode: 0o640,
            group: Some("adm".to_owned()),
        };
        assert_eq!(options(&all), (Ok(Some(expected)), Vec::new()));
        assert_eq!(options(file), (Ok(None), Vec::new()));
        assert_eq!(options(""), (Ok(None), Vec::new()));
        let (none, warnings) = options("rpcaudit = 1\n");
        assert_eq!(none, Ok(None));
        assert_eq!(warnings.len(), 1);
        let (plain, _) = options(&format!("rpcaudit = yes\n{file}"));
        assert_eq!(plain.unwrap().unwrap().mode, 0o600);
        let (problem, _) = options("plugin.rpcaudit.logfile.mode = 600\n");
        assert!(
            problem
                .unwrap_err()
                .contains("is no file mode such as 0600 or 0640")
        );
    }

    #[test]
    fn modes_and_groups_are_read() {
        for (text, mode) in [
            ("0600", 0o600),
            ("0o640", 0o640),
            ("384", 0o600),
            ("0x180", 0o600),
            ("0", 0),
        ] {
            assert_eq!(parse_mode(text), Ok(mode), "{text}");
        }
        for text in ["", "600", "rw", "0888", "-1", "0x"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
        let groups = "root:x:0:\nadm:x:4:syslog\nbroken\nlast:x:77";
        assert_eq!(group_id(groups, "adm"), Some(4));
        assert_eq!(group_id(groups, "last"), Some(77));
        assert_eq!(group_id(groups, "broken"), None);
        assert_eq!(group_id(groups, "none"), None);
    }
}
