//! The helpers of the examples: the same input, equivalent output, a certificate of our authority.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::process::{Said, make_certificates, muster};

const NODE: &str = "n1.example.net";

/// Each helper, and what it needs.
const HELPERS: [(&str, &[&str]); 3] = [
    ("helper.sh", &["sh", "jq"]),
    ("helper.py", &["python3"]),
    ("helper.rb", &["ruby"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    HELPERS
        .iter()
        .map(|(file, needs)| {
            let missing = needs.iter().find(|program| !is_there(program));
            let name = format!("examples::{file}");
            let trial = Trial::test(name, move || try_out(file, needs[0]));
            if let Some(program) = missing {
                eprintln!("skipped: examples::{file}: {program} is not installed");
            }
            trial.with_ignored_flag(missing.is_some())
        })
        .collect()
}

fn is_there(program: &str) -> bool {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    // A shell knows no version, but it starts.
    output.is_ok()
}

fn try_out(file: &str, interpreter: &str) -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let at = home.path();
    make_certificates(at, [], ["rip.mcollective", "provisioner.mcollective"])?;
    let run = |input: &Value| answer(at, file, interpreter, input);
    let facts = |country: &str| json!({"facts": {"country": country}}).to_string();

    let deferred = run(&json!({"identity": NODE, "csr": null, "inventory": facts("xx")}))?;
    assert_eq!(
        deferred,
        json!({"defer": true, "msg": "no brokers for country \"xx\""})
    );

    let plain = run(&json!({"identity": NODE, "csr": null, "inventory": facts("mt")}))?;
    let expected = json!({
        "defer": false, "msg": "", "certificate": "", "ca": "",
        "configuration": {
            "identity": NODE,
            "collectives": "mcollective",
            "plugin.choria.middleware_hosts": "broker1.mt.example.net:4222",
            "plugin.choria.server.provision": "false",
            "rpcauthorization": "false",
        },
    });
    assert_eq!(plain, expected);

    let csr = json!({"csr": request()?, "ssldir": "/node/ssl", "public_key": ""});
    let signed = run(&json!({"identity": NODE, "csr": csr, "inventory": facts("de")}))?;
    let text = |key: &str| signed[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        text("ca").trim(),
        std::fs::read_to_string(at.join("ca.pem"))?.trim()
    );
    std::fs::write(at.join("made.pem"), text("certificate"))?;
    let shown = Said::of(muster(at, &["ca", "show", "made.pem"]))?.ended_with(0)?;
    shown.says(&[NODE])?;
    let configuration = &signed["configuration"];
    assert_eq!(configuration["plugin.security.provider"], "file");
    assert_eq!(
        configuration["plugin.security.file.key"],
        "/node/ssl/private.pem"
    );

    // A request for another name is refused by the authority, and so by the helper.
    let input = json!({"identity": "n2.example.net", "csr": csr, "inventory": facts("de")});
    assert!(run(&input).is_err(), "{file} had another's name signed");
    Ok(())
}

fn answer(at: &Path, file: &str, interpreter: &str, input: &Value) -> Result<Value, Failed> {
    let helper = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/provisioner")
        .join(file);
    let mut child = Command::new(interpreter)
        .arg(helper)
        .env("PROVISION_CA", at)
        .env("MUSTER", env!("CARGO_BIN_EXE_muster"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut feed = child.stdin.take().ok_or("there is no pipe")?;
    feed.write_all(input.to_string().as_bytes())?;
    drop(feed);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error} in {:?}", String::from_utf8_lossy(&output.stdout)).into())
}

fn request() -> Result<String, Failed> {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, NODE);
    let key = rcgen::KeyPair::generate()?;
    Ok(params.serialize_request(&key)?.pem()?)
}
