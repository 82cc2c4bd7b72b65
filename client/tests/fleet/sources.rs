//! Sources that read files, from the wish to the names.

use std::path::Path;
use std::time::Duration;

use muster_client::fleet::discovery::{
    DiscoverySettings, FileFormat, FlatFile, LocalSource, Query, Source, Wish, choose,
};
use muster_protocol::filter::Filter;

use crate::support::recorded;

fn discover(source: &LocalSource, filter: &Filter) -> Result<Vec<String>, String> {
    let query = Query {
        filter,
        agent: Some("rpcutil"),
        collective: "mcollective",
        federations: &[],
        timeout: Duration::ZERO,
    };
    source.discover(&query).map_err(|error| error.to_string())
}

fn identities(names: &[&str]) -> Filter {
    Filter {
        identity: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Filter::default()
    }
}

fn file(path: &Path) -> LocalSource {
    LocalSource::FlatFile(FlatFile {
        path: path.to_owned(),
        format: FileFormat::of(path),
        query: None,
    })
}

#[test]
fn a_file_is_narrowed_by_identities_and_by_nothing_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes");
    std::fs::write(&path, "web1\nweb2\ndb1\nweb1\n").unwrap();
    let nodes = file(&path);
    let found = |filter: &Filter| discover(&nodes, filter);
    assert_eq!(found(&Filter::default()).unwrap(), ["web1", "web2", "db1"]);
    assert_eq!(found(&identities(&["/^web/"])).unwrap(), ["web1", "web2"]);
    let both = identities(&["db1", "web2", "absent"]);
    assert_eq!(found(&both).unwrap(), ["web2", "db1"]);
    let nobody = found(&identities(&["absent"])).unwrap();
    assert!(nobody.is_empty(), "nobody is an answer: {nobody:?}");
    let class = Filter {
        class: vec!["web".to_owned()],
        ..Filter::default()
    };
    let error = found(&class).unwrap_err();
    assert!(
        error.contains("only identities can be filtered by"),
        "{error}"
    );
    let absent = discover(&file(&folder.path().join("absent")), &Filter::default());
    assert!(absent.unwrap_err().starts_with("cannot read "));
}

#[test]
fn recorded_results_lead_to_the_nodes_that_replied() {
    let output = recorded("cli/req_ping_json.txt");
    let start = output.find('{').unwrap();
    let end = output.rfind('}').unwrap();
    let wish = Wish {
        piped: Some(output[start..=end].to_owned()),
        ..Wish::default()
    };
    let filter = Filter::default();
    let source = choose(wish, &filter, &DiscoverySettings::default()).unwrap();
    assert_eq!(source.name(), "flatfile");
    let Source::Local(results) = source else {
        panic!("{source:?}")
    };
    let mut found = discover(&results, &filter).unwrap();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "node1.example.net",
            "node2.example.net",
            "node3.example.net"
        ]
    );
    let one = discover(&results, &identities(&["node2.example.net"]));
    assert_eq!(one.unwrap(), ["node2.example.net"]);
}
