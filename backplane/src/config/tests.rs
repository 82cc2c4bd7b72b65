use super::*;
use crate::auth::Right;

const STANDARD: &str = "
interval: 600
management:
  name: app
  brokers:
    - choria1.example.net:4222
    - choria2.example.net:4223
  logfile: /var/log/app/backplane.log
  loglevel: warning
  tls:
    scheme: file
    identity: app1.example.net
    ca: /path/to/ca.pem
    cert: /path/to/cert.pem
    key: /path/to/key.pem
    cache: /path/to/ssl_cache
  auth:
    full:
      - sre.choria
    read_only:
      - 1stline.choria
";

#[test]
fn every_key_is_read() {
    let config = ManagementConfig::from_yaml(STANDARD).unwrap();
    assert_eq!(config.name, "app");
    let brokers: Vec<_> = config.brokers.iter().map(ToString::to_string).collect();
    assert_eq!(
        brokers,
        ["choria1.example.net:4222", "choria2.example.net:4223"]
    );
    assert_eq!(config.log_file, Some("/var/log/app/backplane.log".into()));
    assert_eq!(config.log_level, "warn");
    let files = TlsSetting::Files {
        identity: Some("app1.example.net".to_owned()),
        certificate: "/path/to/cert.pem".into(),
        key: "/path/to/key.pem".into(),
        ca: "/path/to/ca.pem".into(),
    };
    assert_eq!(config.tls, Some(files));
    assert!(config.auth.allows("choria=sre.choria", Right::Full));
    assert!(!config.auth.allows("choria=1stline.choria", Right::Full));
    assert!(config.auth.allows("choria=1stline.choria", Right::ReadOnly));
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "management: {name: a1, brokers: [b:4222], tls: {scheme: puppet}, auth: }";
    let config = ManagementConfig::from_yaml(text).unwrap();
    let puppet = TlsSetting::Puppet {
        identity: None,
        ssl_dir: None,
    };
    assert_eq!(config.tls, Some(puppet));
    assert_eq!((config.log_level, config.log_file), ("warn", None));
    assert!(!config.auth.allows("choria=sre.choria", Right::ReadOnly));
    let text = "management: {name: a, brokers: [b:4222], auth: {insecure: true}}";
    let config = ManagementConfig::from_yaml(text).unwrap();
    assert!(config.tls.is_none() && config.auth.is_insecure());
}

#[test]
fn every_problem_is_named_at_once() {
    let text = r#"
management:
  name: My App
  brokers: [nowhere, 7]
  loglevel: loud
  logfile: "a\nb"
  tsl: {}
  tls: {scheme: magic, identity: [1], sll_dir: x}
  auth: {insecure: perhaps, full: ["("], read_only: x}
"#;
    let problems = ManagementConfig::from_yaml(text).unwrap_err().to_string();
    for key in [
        "management.name \"My App\" does not match",
        "management.brokers[0] ",
        "management.brokers[1] is not a text",
        "management.loglevel \"loud\" is not one of debug",
        "management.logfile is not a text",
        "management.tsl is not known; there is name",
        "management.tls.scheme \"magic\" is not one of puppet, manual, file",
        "management.tls.identity is not a text",
        "management.tls.sll_dir is not known",
        "management.auth.insecure is neither true nor false",
        "management.auth.full[0] is no regular expression",
        "management.auth.read_only is not a list",
    ] {
        assert!(problems.contains(key), "{key} in\n{problems}");
    }
    assert_eq!(problems.lines().count(), 12, "{problems}");
}

#[test]
fn what_is_needed_is_asked_for() {
    let problems = |text: &str| ManagementConfig::from_yaml(text).unwrap_err().to_string();
    assert_eq!(
        problems("interval: 600"),
        "management is needed and not there"
    );
    assert_eq!(problems("management: 3").lines().count(), 3);
    let text = "management: {name: a, brokers: [b:1], tls: {scheme: manual}}";
    assert_eq!(
        problems(text),
        "management.tls.cert is needed and not set\n\
         management.tls.key is needed and not set\n\
         management.tls.ca is needed and not set"
    );
    assert!(problems("management: [").starts_with("document is not yaml"));
}
