//! `muster tool status`: is the node behind a status file well?
//!
//! One line on the standard output and the exit code are all a monitoring system reads: `FILE OK` and 0, or `FILE reason` and 1.
//! The checks are made in the order of [`problem`]; the first that fails is the answer.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use muster_reactor::clock::unix_now;
use serde::Deserialize;

use crate::connection::seconds;
use crate::exit::{Exit, Failure};
use crate::render;
use crate::render::duration::exact;
use crate::timestamp;

/// What a node writes for its broker when it has none.
const NO_SERVER: &str = "unknown";

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The file the node writes.
    #[arg(long, value_name = "FILE")]
    status_file: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

/// What is too old, too near, or otherwise wrong. A duration of 0 turns its check off.
#[derive(Debug, Clone, Args)]
struct Limits {
    /// The node must be connected to a broker, which is the default.
    #[arg(long, hide = true)]
    disconnected: bool,
    /// Do not ask whether the node is connected to a broker.
    #[arg(long, overrides_with = "disconnected")]
    no_disconnected: bool,
    /// The longest time without a message.
    #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "1h")]
    message_since: Duration,
    /// The greatest age of the file.
    #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "30m")]
    max_age: Duration,
    /// The least time the certificate must be good for.
    #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "24h")]
    certificate_age: Duration,
    /// The least time the token must be good for.
    #[arg(long, value_name = "DURATION", value_parser = seconds, default_value = "24h")]
    token_age: Duration,
    /// The node must be in provisioning mode.
    #[arg(long, conflicts_with = "provisioned")]
    unprovisioned: bool,
    /// The node must not be in provisioning mode.
    #[arg(long)]
    provisioned: bool,
}

/// The parts of a status file that are checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    uptime: u64,
    connected_server: String,
    /// Unix seconds; 0 for none yet.
    last_message: i64,
    provisioning_mode: bool,
    certificate_expires: String,
    token_expires: String,
}

pub(crate) fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    let file = args.status_file.display();
    let problem = match args.read() {
        Ok((status, modified)) => problem(&status, modified, unix_now(), &args.limits),
        Err(error) => Some(format!("could not be read: {error}")),
    };
    let exit = match problem {
        None => (Exit::Success, format!("{file} OK\n")),
        Some(problem) => (Exit::Unable, format!("{file} {problem}\n")),
    };
    render::put(&exit.1)?;
    Ok(exit.0)
}

impl StatusArgs {
    /// The file, and when it was written.
    fn read(&self) -> Result<(Status, Duration), String> {
        let text = fs::read_to_string(&self.status_file).map_err(|error| error.to_string())?;
        let status = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let metadata = fs::metadata(&self.status_file).map_err(|error| error.to_string())?;
        let modified = metadata.modified().map_err(|error| error.to_string())?;
        Ok((
            status,
            modified.duration_since(UNIX_EPOCH).unwrap_or_default(),
        ))
    }
}

/// The first thing that is wrong. All moments are since 1970.
fn problem(status: &Status, modified: Duration, now: Duration, limits: &Limits) -> Option<String> {
    if !limits.max_age.is_zero() && modified + limits.max_age < now {
        return Some(format!("older than {}", exact(limits.max_age)));
    }
    let expiries = [
        (
            "certificate",
            &status.certificate_expires,
            limits.certificate_age,
        ),
        ("token", &status.token_expires, limits.token_age),
    ];
    let expiring = expiries
        .into_iter()
        .find_map(|(what, at, margin)| expiry(what, at, margin, now));
    if expiring.is_some() {
        return expiring;
    }
    let is_connected = !matches!(status.connected_server.as_str(), "" | NO_SERVER);
    if !limits.no_disconnected && !is_connected {
        return Some("connection check failed: not connected".to_owned());
    }
    if is_silent(status, now, limits.message_since) {
        let last = timestamp::at_length(status.last_message);
        return Some(format!("no recent messages: last message at {last}"));
    }
    match status.provisioning_mode {
        false if limits.unprovisioned => Some("not in provisioning mode".to_owned()),
        true if limits.provisioned => Some("in provisioning mode".to_owned()),
        _ => None,
    }
}

/// Whether something is good for less than a margin. What has no date, or that of "never", never expires.
fn expiry(what: &str, at: &str, margin: Duration, now: Duration) -> Option<String> {
    if margin.is_zero() || at.is_empty() {
        return None;
    }
    let Some(unix) = timestamp::parse_rfc3339(at) else {
        let is_never = at.starts_with("0001-");
        return (!is_never).then(|| format!("{what} expires at {at:?}, which is no moment"));
    };
    let left = unix - i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if left >= i64::try_from(margin.as_secs()).unwrap_or(i64::MAX) {
        return None;
    }
    let sign = if left < 0 { "-" } else { "" };
    let left = exact(Duration::from_secs(left.unsigned_abs()));
    let at = timestamp::at_length(unix);
    Some(format!("{what} expires {at} ({sign}{left})"))
}

/// A node that has just started may have had no message yet.
fn is_silent(status: &Status, now: Duration, since: Duration) -> bool {
    if since.is_zero() || (status.last_message == 0 && status.uptime < since.as_secs()) {
        return false;
    }
    let last = Duration::from_secs(u64::try_from(status.last_message).unwrap_or(0));
    last + since < now
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_587_802);

    fn limits() -> Limits {
        let hour = Duration::from_secs(3600);
        Limits {
            disconnected: false,
            no_disconnected: false,
            message_since: hour,
            max_age: hour / 2,
            certificate_age: 24 * hour,
            token_age: 24 * hour,
            unprovisioned: false,
            provisioned: false,
        }
    }

    fn well() -> Status {
        Status {
            uptime: 86_400,
            connected_server: "nats://broker1.example.net:4222".to_owned(),
            last_message: 1_795_587_000,
            provisioning_mode: false,
            certificate_expires: "2031-01-02T03:04:05Z".to_owned(),
            token_expires: "0001-01-01T00:00:00Z".to_owned(),
        }
    }

    fn checked(change: impl FnOnce(&mut Status, &mut Limits)) -> String {
        let (mut status, mut limits) = (well(), limits());
        change(&mut status, &mut limits);
        problem(&status, NOW, NOW, &limits).unwrap_or_else(|| "OK".to_owned())
    }

    #[test]
    fn each_check_has_its_words() {
        let long_ago = NOW.saturating_sub(Duration::from_secs(1801));
        assert_eq!(
            problem(&well(), long_ago, NOW, &limits()).unwrap(),
            "older than 30m0s"
        );
        assert_eq!(checked(|_, _| ()), "OK");
        for server in ["", "unknown"] {
            assert_eq!(
                checked(|status, _| status.connected_server = server.to_owned()),
                "connection check failed: not connected"
            );
        }
        assert_eq!(
            checked(|status, _| status.last_message = 1_795_580_000),
            "no recent messages: last message at 2026-11-25 04:13:20 +0000 UTC"
        );
        assert_eq!(
            checked(|status, _| status.certificate_expires = "2026-11-25T07:23:22Z".to_owned()),
            "certificate expires 2026-11-25 07:23:22 +0000 UTC (1h0m0s)"
        );
        assert_eq!(
            checked(|status, _| status.token_expires = "2026-11-25T05:23:22Z".to_owned()),
            "token expires 2026-11-25 05:23:22 +0000 UTC (-1h0m0s)"
        );
        assert_eq!(
            checked(|status, _| status.token_expires = "soon".to_owned()),
            "token expires at \"soon\", which is no moment"
        );
        assert_eq!(
            checked(|_, limits| limits.unprovisioned = true),
            "not in provisioning mode"
        );
        assert_eq!(
            checked(|status, limits| {
                status.provisioning_mode = true;
                limits.provisioned = true;
            }),
            "in provisioning mode"
        );
    }

    #[test]
    fn each_check_can_be_turned_off() {
        let text = checked(|status, limits| {
            *status = Status {
                certificate_expires: "2026-11-25T05:23:22Z".to_owned(),
                token_expires: "2026-11-25T05:23:22Z".to_owned(),
                uptime: 86_400,
                ..Status::default()
            };
            *limits = Limits {
                no_disconnected: true,
                message_since: Duration::ZERO,
                certificate_age: Duration::ZERO,
                token_age: Duration::ZERO,
                ..limits.clone()
            };
        });
        assert_eq!(text, "OK");
    }

    #[test]
    fn a_young_node_may_have_had_no_message() {
        let silent = |uptime| {
            checked(|status, _| {
                status.last_message = 0;
                status.uptime = uptime;
            })
        };
        assert_eq!(silent(3599), "OK");
        assert!(silent(3600).starts_with("no recent messages"));
    }

    #[test]
    fn a_file_that_is_none_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("status.json");
        let args = |file: &std::path::Path| StatusArgs {
            status_file: file.to_owned(),
            limits: limits(),
        };
        assert!(args(&file).read().unwrap_err().contains("No such file"));
        fs::write(&file, "{").unwrap();
        assert!(args(&file).read().is_err());
        fs::write(&file, r#"{"identity":"n1","uptime":5,"stats":{}}"#).unwrap();
        assert_eq!(args(&file).read().unwrap().0.uptime, 5);
    }
}
