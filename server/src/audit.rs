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

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_protocol::ddl::Inputs;
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
        let data = body.as_ref().map_or("{}", |body| body.data);
        let data = hide_secrets(request.agent, data);
        let record = AuditRecord {
            unix,
            request_id: request.request_id,
            request_time: request.time,
            caller: request.caller_id,
            sender: request.sender_id,
            agent: request.agent,
            action: call.action,
            data: &data,
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

/// The inputs without the secrets of the agent that is given some; peers write them out.
fn hide_secrets<'d>(agent: &str, data: &'d str) -> Cow<'d, str> {
    const SECRETS: [&str; 4] = ["token", "key", "server_jwt", "config"];
    if agent != crate::provision::AGENT {
        return Cow::Borrowed(data);
    }
    let Ok(mut inputs) = serde_json::from_str::<Inputs>(data) else {
        return Cow::Borrowed("{}");
    };
    for secret in SECRETS {
        if let Some(value) = inputs.get_mut(secret) {
            *value = "*****".into();
        }
    }
    Cow::Owned(serde_json::Value::Object(inputs).to_string())
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
mod tests;
