//! `find`: the names of nodes.

use std::time::Duration;

use super::text::one_line;

/// The line above a request, while it is found out who is meant.
pub(crate) fn discovering(method: &str) -> String {
    format!("Discovering nodes using the {method} method ....")
}

/// The same line, finished.
pub(crate) fn discovered(method: &str, nodes: usize) -> String {
    format!("{} {nodes}\n", discovering(method))
}

/// A name a line.
pub(crate) fn names(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("{}\n", one_line(name)))
        .collect()
}

/// A JSON list.
pub(crate) fn json(names: &[String]) -> String {
    serde_json::to_string_pretty(names).expect("a list of texts has a JSON form") + "\n"
}

/// The line below the names where more is wanted.
pub(crate) fn closing(method: &str, nodes: usize, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    format!("\nDiscovered {nodes} nodes using the {method} method in {seconds:.2} seconds\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<String> {
        ["node1.example.net", "node2.example.net"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn names_at_length() {
        let nodes = sample();
        let text =
            discovered("mc", 2) + &names(&nodes) + &closing("mc", 2, Duration::from_millis(2_004));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn names_for_machines() {
        insta::assert_snapshot!(json(&sample()));
        assert_eq!(json(&[]), "[]\n");
    }
}
