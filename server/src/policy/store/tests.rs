use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_protocol::filter::FactsView;
use muster_settings::Settings;

use super::*;

/// Files in memory; each write is a new state.
#[derive(Debug, Default)]
struct Memory {
    files: Mutex<BTreeMap<String, (u64, io::Result<String>)>>,
    reads: AtomicU64,
}

impl Memory {
    fn write(&self, name: &str, text: &str) {
        self.put(name, Ok(text.to_owned()));
    }

    fn put(&self, name: &str, text: io::Result<String>) {
        let mut files = self.files.lock();
        let state = files.get(name).map_or(1, |(state, _)| state + 1);
        files.insert(name.to_owned(), (state, text));
    }
}

impl PolicyFiles for Arc<Memory> {
    fn stamp(&self, name: &str) -> io::Result<Option<FileStamp>> {
        Ok(self.files.lock().get(name).map(|(state, _)| FileStamp {
            modified: (0, 0),
            changed: (0, 0),
            bytes: 0,
            inode: *state,
        }))
    }

    fn read(&self, name: &str) -> io::Result<String> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        match &self.files.lock()[name].1 {
            Ok(text) => Ok(text.clone()),
            Err(error) => Err(io::Error::other(error.to_string())),
        }
    }

    fn describe(&self, name: &str) -> String {
        format!("/etc/policies/{name}")
    }
}

fn store_of(options: PolicyOptions) -> (PolicyStore, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let store = PolicyStore::with_files(options, Box::new(Arc::clone(&memory)));
    (store, memory)
}

fn decide(store: &PolicyStore, agent: &str) -> Decision {
    store.decide(&CallContext {
        caller: "up=x",
        agent,
        action: "status",
        facts: FactsView::parse("{}").unwrap(),
        classes: &[],
    })
}

#[track_caller]
fn denied(store: &PolicyStore, agent: &str, expected: &str) {
    let Decision::Deny { why, .. } = decide(store, agent) else {
        panic!("{agent} is allowed");
    };
    assert_eq!(&*why, expected);
}

const ALLOW: &str = "allow\t*\t*\t*\t*\n";
const DENY: &str = "deny\t*\t*\t*\t*\n";

#[test]
fn an_agent_without_policy_is_denied_and_the_file_is_named() {
    let (store, _) = store_of(PolicyOptions::default());
    denied(
        &store,
        "package",
        "there is no policy file /etc/policies/package.policy",
    );
    let (store, _) = store_of(PolicyOptions {
        enable_default: true,
        allow_unconfigured: true,
        default_name: "all".to_owned(),
        ..PolicyOptions::default()
    });
    denied(
        &store,
        "package",
        "there is no policy file /etc/policies/package.policy, and no /etc/policies/all.policy",
    );
}

#[test]
fn own_file_default_file_shipped_policy() {
    let options = PolicyOptions {
        enable_default: true,
        ..PolicyOptions::default()
    };
    let (store, memory) = store_of(options.clone());
    let ping = |store: &PolicyStore| {
        store.decide(&CallContext {
            caller: "up=x",
            agent: "rpcutil",
            action: "ping",
            facts: FactsView::parse("{}").unwrap(),
            classes: &[],
        }) == Decision::Allow
    };
    assert!(ping(&store));
    memory.write("default.policy", DENY);
    assert!(!ping(&store));
    memory.write("rpcutil.policy", ALLOW);
    assert!(ping(&store));
    memory.files.lock().clear();
    assert!(ping(&store));
    let (strict, _) = store_of(PolicyOptions {
        use_shipped: false,
        ..options
    });
    assert!(!ping(&strict));
    // Without leave the default file is none.
    let (own_only, memory) = store_of(PolicyOptions::default());
    memory.write("default.policy", ALLOW);
    assert_ne!(decide(&own_only, "package"), Decision::Allow);
}

#[test]
fn files_are_read_again_when_they_changed() {
    let (store, memory) = store_of(PolicyOptions::default());
    memory.write("package.policy", "allow\tteam\t*\t*\t*");
    memory.write("groups", "team up=y");
    assert_ne!(decide(&store, "package"), Decision::Allow);
    memory.write("groups", "team up=x");
    assert_eq!(decide(&store, "package"), Decision::Allow);
    let reads = memory.reads.load(Ordering::Relaxed);
    assert_eq!(decide(&store, "package"), Decision::Allow);
    assert_eq!(memory.reads.load(Ordering::Relaxed), reads);
    memory.write("package.policy", DENY);
    denied(
        &store,
        "package",
        "/etc/policies/package.policy:1: the line denies",
    );
}

#[test]
fn what_can_not_be_read_denies() {
    let (store, memory) = store_of(PolicyOptions::default());
    memory.put("package.policy", Err(io::Error::other("no leave")));
    denied(
        &store,
        "package",
        "policy file /etc/policies/package.policy: no leave",
    );
    denied(
        &store,
        "../package",
        "\"../package.policy\" is no name of a policy file",
    );
    // Groups that can not be read are none.
    memory.write("package.policy", "allow\tup=x\t*\t*\t*");
    memory.put("groups", Err(io::Error::other("no leave")));
    assert_eq!(decide(&store, "package"), Decision::Allow);
}

#[test]
fn allow_unconfigured_is_for_files_without_a_default() {
    let (store, memory) = store_of(PolicyOptions {
        allow_unconfigured: true,
        ..PolicyOptions::default()
    });
    assert_ne!(decide(&store, "package"), Decision::Allow);
    memory.write("package.policy", "# nothing\n");
    assert_eq!(decide(&store, "package"), Decision::Allow);
    memory.write("package.policy", "policy default deny\n");
    assert_ne!(decide(&store, "package"), Decision::Allow);
}

#[test]
fn a_directory_holds_policies() {
    let folder = tempfile::tempdir().unwrap();
    let store = PolicyStore::new(PolicyOptions::default(), folder.path());
    let missing = folder.path().join("package.policy").display().to_string();
    denied(
        &store,
        "package",
        &format!("there is no policy file {missing}"),
    );
    fs::write(folder.path().join("package.policy"), ALLOW).unwrap();
    assert_eq!(decide(&store, "package"), Decision::Allow);
    fs::write(
        folder.path().join("package.policy"),
        format!("# longer\n{DENY}"),
    )
    .unwrap();
    denied(&store, "package", &format!("{missing}:2: the line denies"));
    let too_long = "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
    fs::write(folder.path().join("package.policy"), too_long).unwrap();
    denied(
        &store,
        "package",
        &format!("policy file {missing}: it is longer than 1048576 bytes"),
    );
    // A directory in its place is no policy.
    fs::create_dir(folder.path().join("other.policy")).unwrap();
    assert_ne!(decide(&store, "other"), Decision::Allow);
}

#[test]
fn keys_are_read() {
    let read = |text: &str| {
        let settings = Settings::parse(text, "server.conf");
        let mut reader = settings.reader();
        let options = PolicyOptions::read(&mut reader);
        reader
            .finish()
            .map(|()| options)
            .map_err(|errors| errors.to_string())
    };
    assert_eq!(read(""), Ok(PolicyOptions::default()));
    let text = "plugin.actionpolicy.allow_unconfigured = y
plugin.actionpolicy.enable_default = 1
plugin.actionpolicy.default_name = all
plugin.actionpolicy.use_shipped = no
";
    let expected = PolicyOptions {
        allow_unconfigured: true,
        enable_default: true,
        default_name: "all".to_owned(),
        use_shipped: false,
    };
    assert_eq!(read(text), Ok(expected));
    assert!(read("plugin.actionpolicy.enable_default = maybe\n").is_err());
}
