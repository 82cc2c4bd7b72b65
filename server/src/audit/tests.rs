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
