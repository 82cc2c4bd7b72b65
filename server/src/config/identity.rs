//! The node's name where none is configured.

use crate::facts::Facts;

/// The fact with the host's full name.
const FACT: &str = "networking.fqdn";

/// Finds the name of a node, as the servers of today do: what the kernel says if that has more than one dot, else the
/// full name that the table of hosts or the name service knows, else the fact `networking.fqdn`, else what the kernel says.
/// `facts` is asked only when it comes to that; no program is run.
#[must_use]
pub fn derive_identity(
    kernel: Option<&str>,
    full: Option<&str>,
    facts: impl FnOnce() -> Facts,
) -> Option<String> {
    let kernel = kernel.filter(|name| !name.is_empty());
    if let Some(name) = kernel.filter(|name| name.matches('.').count() > 1) {
        return Some(name.to_owned());
    }
    if let Some(name) = full.filter(|name| name.contains('.')) {
        return Some(name.to_owned());
    }
    let facts = facts();
    let fact = facts.view().get(FACT);
    let fact = fact.and_then(|json| serde_json::from_str::<String>(&json).ok());
    let fact = fact.filter(|name| !name.is_empty());
    fact.or_else(|| kernel.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kernel: &str, full: Option<&str>, facts: &'static str, expected: Option<&str>) {
        let facts = || Facts::parse(facts).unwrap();
        assert_eq!(
            derive_identity(Some(kernel), full, facts).as_deref(),
            expected
        );
    }

    #[test]
    fn the_fullest_name_counts() {
        let fact = r#"{"networking":{"fqdn":"web1.fact.net"}}"#;
        check(
            "web1.example.net",
            Some("x.y"),
            fact,
            Some("web1.example.net"),
        );
        check(
            "web1",
            Some("web1.example.net"),
            fact,
            Some("web1.example.net"),
        );
        check("web1.net", Some("web1.net"), fact, Some("web1.net"));
        check("web1", Some("web1"), fact, Some("web1.fact.net"));
        check("web1", None, fact, Some("web1.fact.net"));
        check("web1", None, r#"{"networking":{"fqdn":7}}"#, Some("web1"));
        check("", None, "{}", None);
    }
}
