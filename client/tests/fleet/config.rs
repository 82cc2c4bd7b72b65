//! Settings and certificate files.

use std::io;
use std::path::Path;
use std::time::Duration;

use muster_client::fleet::{CallerSecurity, ConfigError, FleetSettings, Surroundings};
use muster_client::nats::{ServerAddr, TlsMode};
use muster_settings::Settings;

use crate::support::recorded;

const GOOD: &str = "
collectives = mcollective, dmz
plugin.choria.middleware_hosts = broker1.example.net:4222, nats://broker2.example.net:4223
plugin.security.provider = file
plugin.security.file.certificate = /ssl/rip.mcollective.pem
plugin.security.file.key = /ssl/rip.mcollective.key
plugin.security.file.ca = /ssl/ca.pem
ttl = 90
discovery_timeout = 4
";

fn rip() -> Surroundings {
    Surroundings {
        user: "rip".to_owned(),
        hostname: "admin1".to_owned(),
        ..Surroundings::default()
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let name = path
        .strip_prefix("/ssl")
        .map_err(|_| io::ErrorKind::NotFound)?;
    Ok(recorded(&format!("pki/{}", name.display())))
}

#[test]
fn settings_become_a_client() {
    let settings = Settings::parse(GOOD, "client.conf");
    let read = FleetSettings::read(&settings, &rip()).unwrap();
    assert_eq!(settings.unused().count(), 0);
    assert_eq!(read.collectives, ["mcollective", "dmz"]);
    let config = read.load(read_file).unwrap();
    assert_eq!(
        config.client.servers,
        [
            ServerAddr::new("broker1.example.net", 4222),
            ServerAddr::new("broker2.example.net", 4223)
        ]
    );
    assert_eq!(config.client.tls, TlsMode::Required);
    assert!(config.tls.is_some());
    assert_eq!(config.caller.caller_id, "choria=rip.mcollective");
    assert_eq!(config.caller.sender, "rip.mcollective");
    assert_eq!(config.caller.collective, "mcollective");
    assert_eq!(config.caller.ttl, Duration::from_secs(90));
    assert_eq!(config.discovery_timeout, Duration::from_secs(4));
    assert!(matches!(config.caller.security, CallerSecurity::X509(_)));
}

#[test]
fn the_certificate_name_follows_environment_user_and_identity() {
    let with = |around: &Surroundings| {
        let settings = Settings::parse(&format!("{GOOD}identity = n1.example.net"), "client.conf");
        FleetSettings::read(&settings, around).unwrap().certname
    };
    assert_eq!(with(&rip()), "rip.mcollective");
    assert_eq!(
        with(&Surroundings {
            is_root: true,
            ..rip()
        }),
        "n1.example.net"
    );
    let certname = Some("ginger.mcollective".to_owned());
    assert_eq!(
        with(&Surroundings {
            is_root: true,
            certname,
            ..rip()
        }),
        "ginger.mcollective"
    );
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = "ttl = 5
plugin.choria.middleware_hosts = broker1
plugin.security.provider = pkcs11
plugin.security.file.certificate = /c
main_collective = other
discovery_timeout = soon
";
    let settings = Settings::parse(text, "client.conf");
    let errors = FleetSettings::read(&settings, &Surroundings::default())
        .unwrap_err()
        .to_string();
    for part in [
        "client.conf:1: ttl = \"5\"",
        "client.conf:2: plugin.choria.middleware_hosts",
        "client.conf:3: plugin.security.provider",
        "client.conf:5: main_collective",
        "client.conf:6: discovery_timeout",
        "plugin.choria.ssldir is needed and not set",
        "identity",
    ] {
        assert!(errors.contains(part), "{part} is not in:\n{errors}");
    }
    assert_eq!(errors.lines().count(), 7, "{errors}");
}

#[test]
fn files_that_are_not_there_or_of_no_use_are_named() {
    let settings = Settings::parse(GOOD, "client.conf");
    let read = || FleetSettings::read(&settings, &rip()).unwrap();
    let error = read()
        .load(|_| Err(io::ErrorKind::NotFound.into()))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read /ssl/rip.mcollective.pem: "),
        "{error}"
    );
    let swapped = |path: &Path| match path.extension() {
        Some(ext) if ext == "key" => Ok(recorded("pki/node1.example.net.key")),
        _ => read_file(path),
    };
    let error = read().load(swapped).unwrap_err();
    assert!(matches!(error, ConfigError::Signer { .. }), "{error}");
}

#[test]
fn laboratory_switches_need_no_files() {
    let settings = Settings::parse("", "client.conf");
    let around = Surroundings {
        insecure: true,
        ..rip()
    };
    let config = FleetSettings::read(&settings, &around)
        .unwrap()
        .load(read_file)
        .unwrap();
    assert_eq!(config.client.tls, TlsMode::Off);
    assert!(matches!(config.caller.security, CallerSecurity::Insecure));
    assert_eq!(config.client.servers, [ServerAddr::new("puppet", 4222)]);

    let settings = Settings::parse(GOOD, "client.conf");
    let around = Surroundings {
        disable_tls: true,
        ..rip()
    };
    let config = FleetSettings::read(&settings, &around)
        .unwrap()
        .load(read_file)
        .unwrap();
    assert_eq!(
        (config.client.tls, config.tls.is_none()),
        (TlsMode::Off, true)
    );
    assert!(matches!(config.caller.security, CallerSecurity::X509(_)));
}

#[test]
fn puppet_files_lie_where_puppet_puts_them() {
    let paths = |text: &str, around: &Surroundings| {
        let settings = Settings::parse(text, "client.conf").with_home("/home/rip");
        let read = FleetSettings::read(&settings, around).unwrap();
        let files = read.files.unwrap();
        [files.certificate, files.key, files.ca].map(|path| path.to_string_lossy().into_owned())
    };
    let of = |ssldir: &str| {
        [
            "certs/rip.mcollective",
            "private_keys/rip.mcollective",
            "certs/ca",
        ]
        .map(|name| format!("{ssldir}/{name}.pem"))
    };
    let root = Surroundings {
        is_root: true,
        ..rip()
    };
    assert_eq!(
        paths("", &rip()),
        of("/home/rip/.puppetlabs/etc/puppet/ssl")
    );
    assert_eq!(paths("", &root), of("/etc/puppetlabs/puppet/ssl"));
    assert_eq!(paths("plugin.choria.ssldir = /ssl", &root), of("/ssl"));
}

const TOKEN: &str = "
plugin.security.provider = choria
plugin.security.choria.token_file = /tokens/client.jwt
plugin.security.choria.seed_file = /tokens/client.seed
ttl = 1
";

fn read_token_file(path: &Path) -> io::Result<String> {
    Ok(recorded(&path.to_string_lossy()[1..]))
}

#[test]
fn a_token_says_who_calls() {
    let settings = Settings::parse(TOKEN, "client.conf");
    let read = FleetSettings::read(&settings, &rip()).unwrap();
    assert_eq!(settings.unused().count(), 0);
    assert!(read.warnings[0].contains("plugin.security.choria.ca is not set"));
    let config = read.load(read_token_file).unwrap();
    assert_eq!(config.caller.caller_id, "up=ginger");
    assert_eq!(config.caller.sender, "rip");
    assert_eq!(config.caller.main_collective, "choria");
    assert_eq!(config.caller.ttl, Duration::from_secs(1));
    assert!(matches!(config.caller.security, CallerSecurity::Token(_)));
    assert_eq!(config.client.tls, TlsMode::Required);
    assert!(config.tls.is_some());
    let signer = config.client.connect.signer.unwrap();
    assert_eq!(signer.token(), recorded("tokens/client.jwt"));

    let text = format!(
        "{TOKEN}plugin.security.choria.ca = /pki/ca.pem\nplugin.security.support_legacy_certificates = true"
    );
    let settings = Settings::parse(&text, "client.conf");
    let read = FleetSettings::read(&settings, &rip()).unwrap();
    assert_eq!(read.warnings.len(), 1, "{:?}", read.warnings);
    assert!(read.load(read_token_file).unwrap().tls.is_some());
}

#[test]
fn a_token_that_is_none_for_a_client_is_named() {
    let load = |text: &str| {
        let settings = Settings::parse(text, "client.conf");
        let read = FleetSettings::read(&settings, &rip()).unwrap();
        read.load(read_token_file).unwrap_err().to_string()
    };
    let server = TOKEN.replace("client.", "node1.");
    assert_eq!(
        load(&server),
        "token /tokens/node1.jwt is a server's, not a client's"
    );
    let error = load(&TOKEN.replace("client.seed", "node1.seed"));
    assert!(
        error.starts_with("cannot sign with /tokens/client.jwt: token is for the key"),
        "{error}"
    );
    let error = load(&TOKEN.replace("client.jwt", "issuer.seed"));
    assert!(error.contains("token cannot be read"), "{error}");
}
