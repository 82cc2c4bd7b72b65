//! Whole configurations, from text to values, problems and leftovers.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

fn problems(reader: Reader<'_>) -> Vec<String> {
    reader
        .finish()
        .unwrap_err()
        .to_string()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn lines_are_split_at_the_first_equals_sign_and_trimmed() {
    let text = "\u{feff}a = 1\r\n  # c = 2\n#d=3\n\nb=x = y # no comment\n c   =\nstray\n = lost\n";
    let settings = Settings::parse(text, "server.conf");
    let seen: Vec<_> = settings
        .entries()
        .iter()
        .map(|e| (e.key(), e.value(), e.file(), e.line()))
        .collect();
    assert_eq!(
        seen,
        [
            ("a", "1", "server.conf", 1),
            ("b", "x = y # no comment", "server.conf", 5),
            ("c", "", "server.conf", 6),
        ]
    );
    let stray: Vec<_> = settings
        .stray_lines()
        .iter()
        .map(|stray| stray.line)
        .collect();
    assert_eq!(stray, [7, 8]);
}

#[test]
fn values_come_typed_or_by_default() {
    let text = "port = 4333\non = YES\noff = f\nwait = 1h30m\nbig = 18446744073709551615\n\
                low = -3\nname = node 1\nempty =\nmode = random\n";
    let settings = Settings::parse(text, "f");
    let mut r = settings.reader();
    assert_eq!(r.u16("port", 4222), 4333);
    assert_eq!(r.u16("other_port", 4222), 4222);
    assert!(r.bool("on", false));
    assert!(!r.bool("off", true));
    assert!(r.bool("neither", true));
    assert_eq!(
        r.duration("wait", Duration::ZERO),
        Duration::from_secs(5_400)
    );
    assert_eq!(r.u64("big", 0), u64::MAX);
    assert_eq!(r.i64("low", 0), -3);
    assert_eq!(r.string("name", "x"), "node 1");
    assert_eq!(r.string("nameless", "x"), "x");
    assert_eq!(r.string("empty", "x"), "");
    assert_eq!(r.opt_string("empty"), None);
    assert_eq!(r.one_of("mode", "first", &["first", "random"]), "random");
    assert_eq!(r.list("empty", &["a"]), Vec::<String>::new());
    assert_eq!(r.list("missing", &["a", "b"]), ["a", "b"]);
    r.finish().unwrap();
}

#[test]
fn all_problems_are_told_with_file_line_value_and_limit() {
    let text = "port = 65536\non = maybe\nwait = 5 minutes\ncount = 7\nneg = -1\nslow = 61\n\
                mode = last\nhome = ~rip/x\nempty =\nport = http\n";
    let settings = Settings::parse(text, "/etc/broker.conf");
    let mut r = settings.reader();
    assert_eq!(r.u16("port", 4222), 4222);
    assert!(r.bool("on", true));
    assert_eq!(
        r.duration("wait", Duration::from_secs(2)),
        Duration::from_secs(2)
    );
    assert_eq!(r.u64_in("count", 3, 1..=5), 3);
    r.u32("neg", 0);
    r.duration_in(
        "slow",
        Duration::ZERO,
        Duration::ZERO..=Duration::from_secs(60),
    );
    r.one_of("mode", "first", &["first", "random"]);
    r.path("home", "/");
    r.usize("empty", 0);
    r.required_string("identity");
    r.problem("count", "contradicts port");
    assert_eq!(
        problems(r),
        [
            "/etc/broker.conf:10: port = \"http\" is not a whole number from 0 to 65535",
            "/etc/broker.conf:2: on = \"maybe\" is not yes or no (1 yes true y t, 0 no false n f)",
            "/etc/broker.conf:3: wait = \"5 minutes\" has a unit other than ns, us, ms, s, \
             m (minutes), h, d, w, M (30 days) and y",
            "/etc/broker.conf:4: count = \"7\" is not a whole number from 1 to 5",
            "/etc/broker.conf:5: neg = \"-1\" is not a whole number from 0 to 4294967295",
            "/etc/broker.conf:6: slow = \"61\" is not from 0ns to 60s",
            "/etc/broker.conf:7: mode = \"last\" is not one of first, random",
            "/etc/broker.conf:8: home = \"~rip/x\" names another user's home, which is not looked up",
            "/etc/broker.conf:9: empty = \"\" is not a whole number from 0 to 18446744073709551615",
            "identity is needed and not set",
            "/etc/broker.conf:4: count = \"7\" contradicts port",
        ]
    );
}

#[test]
fn every_spelling_of_a_boolean_is_known() {
    for (words, expected) in [
        ("1 yes true y t YES True", true),
        ("0 no false n f NO False", false),
    ] {
        for word in words.split(' ') {
            let settings = Settings::parse(&format!("b = {word}"), "f");
            let mut r = settings.reader();
            assert_eq!(r.bool("b", !expected), expected, "{word}");
            r.finish().unwrap();
        }
    }
    let settings = Settings::parse("b = on", "f");
    let mut r = settings.reader();
    r.bool("b", true);
    assert!(r.finish().is_err());
}

#[test]
fn some_lists_replace_and_some_add_up() {
    let text = "c = a, b\nc = ,d ,, e,\np = /a:~/b\np = /c:\ns = one, two\ns = three\ns =\n";
    let settings = Settings::parse(text, "f").with_home("/home/rip");
    let mut r = settings.reader();
    assert_eq!(r.list("c", &[]), ["d", "e"]);
    assert_eq!(
        r.path_list("p"),
        ["/a", "/home/rip/b", "/c"].map(PathBuf::from)
    );
    assert_eq!(r.strings("s"), ["one, two", "three"]);
    r.finish().unwrap();
}

#[test]
fn a_tilde_is_the_home_directory_or_a_problem() {
    let text = "a = ~\nb = ~/x/y\nc = /~/x\nd =\n";
    let settings = Settings::parse(text, "f").with_home("/home/rip");
    let mut r = settings.reader();
    assert_eq!(r.path("a", ""), Path::new("/home/rip"));
    assert_eq!(r.path("b", ""), Path::new("/home/rip/x/y"));
    assert_eq!(r.path("c", ""), Path::new("/~/x"));
    assert_eq!(r.path("d", "/default"), Path::new("/default"));
    assert_eq!(r.opt_path("d"), None);
    r.finish().unwrap();

    let homeless = Settings::parse(text, "f");
    let mut r = homeless.reader();
    r.path("b", "");
    assert_eq!(
        problems(r),
        ["f:2: b = \"~/x/y\" needs a home directory, and none is known"]
    );
}

#[test]
fn what_nobody_asked_for_is_left_with_its_place() {
    let settings = Settings::parse("a = 1\nb = 2\na = 3\nplugin.x.y = 4\ntypo = 5\n", "f");
    let mut r = settings.reader();
    r.u64("a", 0);
    r.bool("not_there", false);
    r.finish().unwrap();
    let names: Vec<_> = settings.with_prefix("plugin.x.").map(Entry::key).collect();
    assert_eq!(names, ["plugin.x.y"]);
    assert_eq!(
        settings.unused().count(),
        3,
        "looking at a prefix uses nothing"
    );
    assert_eq!(settings.option("plugin.x.y"), Some("4"));
    let unused: Vec<_> = settings
        .unused()
        .map(|entry| (entry.key(), entry.line()))
        .collect();
    assert_eq!(unused, [("b", 2), ("typo", 5)]);
}

#[test]
fn values_stay_out_of_debug_output() {
    let settings = Settings::parse("plugin.choria.network.system.password = hunter2", "f");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

/// Files in memory; `list` names the files of one directory.
struct Files(BTreeMap<PathBuf, &'static str>);

impl Files {
    fn new(files: &[(&str, &'static str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(path, text)| (PathBuf::from(path), *text))
                .collect(),
        )
    }

    fn load(&self, path: &str, home: Option<&str>) -> Result<Settings, LoadError> {
        let read = |path: &Path| match self.0.get(path) {
            Some(text) => Ok((*text).to_owned()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        // Backwards, since nothing may depend on the order.
        let list = |dir: &Path| {
            let files: Vec<_> = self
                .0
                .keys()
                .rev()
                .filter(|path| path.parent() == Some(dir))
                .cloned()
                .collect();
            if files.is_empty() {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(files)
            }
        };
        Settings::load(Path::new(path), home.map(Path::new), read, list)
    }
}

fn shop() -> Files {
    Files::new(&[
        (
            "/etc/c/server.conf",
            "a = main\nb = main\nplugin.choria.port = 1\n",
        ),
        ("/etc/c/conf.d/20-late.conf", "b = late\n"),
        ("/etc/c/conf.d/10-early.cfg", "b = early\nc = early\n"),
        ("/etc/c/conf.d/ignored.conf.bak", "b = backup\n"),
        ("/etc/c/conf.d/.hidden.conf", "b = hidden\n"),
        ("/etc/c/plugin.d/choria.cfg", "port = 2\n"),
        ("/etc/c/plugin.d/package.conf", "x.y = 3\n"),
        ("/etc/c/plugin.d/README", "nothing = 1\n"),
    ])
}

#[test]
fn files_beside_the_main_one_are_merged_by_name() {
    let settings = shop()
        .load("/etc/c/server.conf", Some("/home/rip"))
        .unwrap();
    for (key, expected) in [
        ("a", Some("main")),
        ("b", Some("late")),
        ("c", Some("early")),
        ("plugin.choria.port", Some("2")),
        ("plugin.package.x.y", Some("3")),
        ("nothing", None),
    ] {
        assert_eq!(settings.option(key), expected, "{key}");
    }
    let port = settings.find("plugin.choria.port").unwrap();
    assert_eq!(
        (port.file(), port.line()),
        ("/etc/c/plugin.d/choria.cfg", 1)
    );
    assert_eq!(settings.home(), Some(Path::new("/home/rip")));
}

#[test]
fn plugin_d_is_passed_over_below_the_home_directory() {
    let settings = shop().load("/etc/c/server.conf", Some("/etc")).unwrap();
    assert_eq!(settings.option("plugin.choria.port"), Some("1"));
    assert_eq!(settings.option("b"), Some("late"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = shop().load("/etc/c/client.conf", None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read /etc/c/client.conf: "),
        "{error}"
    );
    let denied = Settings::load(
        Path::new("/etc/c/server.conf"),
        None,
        |_| Ok(String::new()),
        |_| Err(io::ErrorKind::PermissionDenied.into()),
    );
    assert_eq!(denied.unwrap_err().path, Path::new("/etc/c/conf.d"));
}
