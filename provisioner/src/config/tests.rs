use super::*;

fn read(text: &str) -> Result<ProvisionerConfig, ConfigProblems> {
    ProvisionerConfig::from_yaml(text, "p.yaml", NonZeroUsize::new(3).expect("not zero"))
}

fn problems(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn a_helper_is_all_that_is_needed() {
    let config = read("helper: /usr/bin/helper --site 'eu west'\n").unwrap();
    assert_eq!(config.helper, ["/usr/bin/helper", "--site", "eu west"]);
    assert_eq!(config.workers.get(), 3);
    assert_eq!(config.interval, Duration::from_secs(60));
    assert_eq!(config.lifecycle_component, "provision_mode_server");
    assert_eq!(config.features, Features::default());
    assert_eq!(config.log_level, "info");
    assert_eq!((config.log_file, config.monitor_port), (None, None));
    assert_eq!(config.server_token_validity.as_secs(), 31_536_000);
    assert!(
        config
            .deny
            .matching("ginger.privileged.mcollective")
            .is_some()
    );
    assert!(config.token.is_none() && config.management.is_none());
}

#[test]
fn every_key_is_read() {
    let text = "\
workers: 16
interval: 5m
logfile: /var/log/p.log
loglevel: debug
helper: h
token: s3cret
choria_insecure: true
site: eu1
monitor_port: 8080
management: {name: provisioner, brokers: ['b:4222'], auth: {insecure: true}}
features: {jwt: true, ed25519: true, upgrades: true}
lifecycle_component: unprovisioned
broker_provisioning_password: pa55word
cert_deny_list: ['^root']
jwt_verify_cert: /etc/jwt.pem
jwt_signing_key: /etc/issuer.seed
jwt_signing_token: /etc/issuer.jwt
server_jwt_validity: 30d
leader_election: true
upgrades_repository: https://example.net/muster
upgrades_optional: true
broker_port: 4222
";
    let config = read(text).unwrap();
    assert_eq!(config.workers.get(), 16);
    assert_eq!(config.interval, Duration::from_secs(300));
    assert_eq!(config.monitor_port, Some(8080));
    assert_eq!(config.management.as_ref().unwrap().name, "provisioner");
    assert!(config.features.jwt && config.features.ed25519 && !config.features.pki);
    assert!(config.deny.matching("root.example.net").is_some());
    assert!(config.deny.matching("ginger.mcollective").is_none());
    assert_eq!(config.server_token_validity.as_secs(), 30 * 86_400);
    assert!(config.leader_election && config.is_insecure);
    assert!(config.upgrades.as_ref().unwrap().is_optional);
    assert_eq!(config.warnings.len(), 1);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("pa55word"),
        "{shown}"
    );
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_lines() {
    let text = "\
interval: 10s
helper: 'a ''b'
workers: 0
tokne: x
rego_policy: /etc/p.rego
features:
  pki: true
  ed25519: true
  magic: true
lifecycle_component: a.b
cert_deny_list: ['(', 'b']
loglevel: loud
monitor_port: 70000
leader_election: maybe
";
    assert_eq!(
        problems(text)
            .lines()
            .map(|line| line.split(" ").take(2).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>(),
        [
            "p.yaml: jwt_verify_cert",
            "p.yaml: jwt_signing_key",
            "p.yaml:1: interval",
            "p.yaml:2: helper",
            "p.yaml:3: workers",
            "p.yaml:4: tokne",
            "p.yaml:5: rego_policy",
            "p.yaml:7: features.pki",
            "p.yaml:9: features.magic",
            "p.yaml:10: lifecycle_component",
            "p.yaml:11: cert_deny_list",
            "p.yaml:12: loglevel",
            "p.yaml:13: monitor_port",
            "p.yaml:14: leader_election",
        ]
    );
}

#[test]
fn problems_say_what_is_wrong() {
    for (text, expected) in [
        ("", "p.yaml: helper is needed and not set"),
        ("helper: ''", "p.yaml:1: helper is needed and not set"),
        ("helper: [a]", "p.yaml:1: helper is not a text"),
        (
            "helper: h\nfeatures: {upgrades: true}",
            "p.yaml: upgrades_repository is needed by features.upgrades and not set",
        ),
        (
            "helper: h\nfeatures: yes please",
            "p.yaml:2: features is not a mapping of features to true or false",
        ),
        (
            "helper: h\ninterval: soon",
            "p.yaml:2: interval \"soon\" is not a duration such as 30, 10s or 1h30m",
        ),
        (
            "helper: h\nserver_jwt_validity: 10m",
            "p.yaml:2: server_jwt_validity 600s is too small, 1h is the least",
        ),
        (
            "helper: h\nupgrades_repository: ftp://x",
            "p.yaml:2: upgrades_repository \"ftp://x\" is not an http or https url",
        ),
    ] {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn a_problem_with_the_management_stanza_is_named_with_its_place() {
    let shown = problems("helper: h\nmanagement: {name: A-B, brokers: ['b:4222']}\n");
    assert_eq!(
        shown,
        "p.yaml:2: management.name \"A-B\" does not match ^[a-z0-9]+$"
    );
}

#[test]
fn a_token_that_is_too_long_is_not_repeated() {
    let shown = problems(&format!("helper: h\ntoken: {}\n", "x".repeat(129)));
    assert_eq!(shown, "p.yaml:2: token has 129 characters, nodes take 128");
}

#[test]
fn what_is_no_mapping_is_named() {
    for text in ["- a\n- b\n", "a: [", "a: b: c", "\u{0}"] {
        let shown = problems(text);
        assert!(shown.starts_with("p.yaml"), "{shown}");
        assert!(shown.contains("the document is no mapping"), "{shown}");
    }
    let shown = problems(&" ".repeat(DOCUMENT_BYTES_MAX + 1));
    assert!(shown.contains("more than"), "{shown}");
}

#[test]
fn the_packaged_file_is_good() {
    let config = read(include_str!("../../../packaging/etc/provisioner.yaml")).unwrap();
    assert!(config.features.pki);
    assert_eq!(config.log_file.as_deref(), Some("stdout"));
}
