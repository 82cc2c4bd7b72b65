//! Any text may lie in a facts file: what is no set of facts is left out and told, and the rest can be asked for anything.

use muster_server::Facts;
use muster_server::facts::FactsFormat;

const PATHS: [&str; 6] = ["os.family", "a", "#", "a.0", "if.#(name==\"eth0\").ip", "*"];

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let good = r#"{"country":"mt"}"#;
    for format in [FactsFormat::Json, FactsFormat::Yaml] {
        let (facts, errors) = Facts::merge([(format, &*text), (FactsFormat::Json, good)]);
        assert!(
            errors.iter().all(|(index, _)| *index == 0),
            "only the first can be at fault"
        );
        assert_eq!(facts.view().get("country").as_deref(), Some("\"mt\""));
        // What was merged is one JSON object, whatever went in.
        let value: serde_json::Value = serde_json::from_str(facts.json()).expect("facts are json");
        assert!(value.is_object());
        for path in PATHS {
            let _ = facts.view().get(path);
        }
    }
}
