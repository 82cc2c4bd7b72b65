//! An authority's folder: its book, renewals, revocations and lists.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use muster_pki::{
    Authority, CaFolder, CertInfo, CrlInfo, FolderError, IfExists, KeyKind, PkiError, Profile,
    Reason, Renewal, Role, Signed, State, Validity,
};
use tempfile::TempDir;

/// A moment of 2026-11-25.
const NOW: u64 = 1_795_586_400;
const DAY: u64 = 86_400;
const DAYS: u32 = 10;

fn validity(days: u32) -> Validity {
    Validity::days_from(NOW, days)
}

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("Test CA", KeyKind::EcdsaP256, validity(DAYS)).unwrap();
    CaFolder::create(dir.path(), &authority, IfExists::Refuse).unwrap();
    dir
}

fn issue(folder: &mut CaFolder, role: Role, name: &str) -> Signed {
    let profile = Profile::new(role, name, validity(DAYS)).dns("more.example.net");
    folder.issue(&profile, NOW, IfExists::Refuse).unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn names(folder: &CaFolder) -> Vec<String> {
    let entries = folder.index().entries().iter();
    entries.map(|entry| entry.name.clone()).collect()
}

#[test]
fn all_that_is_issued_stands_in_the_book() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let first = issue(&mut folder, Role::Broker, "broker1");
    issue(&mut folder, Role::Client, "rip.mcollective");
    drop(folder);
    let folder = CaFolder::open(dir.path()).unwrap();
    let entries = folder.index().entries();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].serial, first.info.serial);
    assert_eq!(entries[0].role, Role::Broker);
    assert_eq!(entries[0].state, State::Valid);
    assert_eq!(entries[0].not_after, NOW + u64::from(DAYS) * DAY);
    assert_eq!(entries[1].name, "rip.mcollective");
    // The first byte is never zero.
    assert_eq!(first.info.serial.to_string().len(), 32);
}

#[test]
fn what_is_not_written_is_not_booked() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    issue(&mut folder, Role::Node, "node1");
    for name in ["node1", "ca", "crl", "../x"] {
        let profile = Profile::new(Role::Node, name, validity(DAYS));
        folder
            .issue(&profile, NOW, IfExists::Refuse)
            .expect_err(name);
    }
    assert_eq!(names(&folder), ["node1"]);
}

#[test]
fn a_renewed_certificate_keeps_names_and_key() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let old = issue(&mut folder, Role::Broker, "broker1");
    let (old_cert, old_key) = (read(&old.cert), read(&old.key.unwrap()));
    let new = folder
        .renew("broker1", validity(5), Renewal::SameKey(None), NOW)
        .unwrap();
    assert_eq!(new.key, None);
    assert_eq!(new.info.dns_names, ["broker1", "more.example.net"]);
    assert_eq!(new.info.not_after, NOW + 5 * DAY);
    assert_ne!(new.info.serial, old.info.serial);
    assert_ne!(read(&new.cert), old_cert);
    assert_eq!(read(&dir.path().join("broker1.key")), old_key);
    // Certificates of brokers and nodes look alike.
    assert_eq!(folder.index().entries()[1].role, Role::Broker);

    // By file and to a file, the old one as it was.
    let out = dir.path().join("elsewhere.pem");
    let which = new.cert.to_string_lossy();
    let third = folder
        .renew(&which, validity(5), Renewal::SameKey(Some(&out)), NOW)
        .unwrap();
    assert_eq!(third.cert, out);
    assert_eq!(CertInfo::from_pem(&read(&new.cert)), Ok(new.info));
    assert_eq!(folder.index().entries().len(), 3);
}

#[test]
fn a_new_key_is_of_the_old_ones_kind_or_as_told() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let first = issue(&mut folder, Role::Node, "node1");
    let mut last_key = read(&first.key.unwrap());
    for (kind, wanted) in [
        (None, "ecdsa p-256"),
        (Some(KeyKind::Rsa2048), "rsa 2048"),
        (None, "rsa 2048"),
    ] {
        let renewed = folder
            .renew("node1", validity(5), Renewal::NewKey(kind), NOW)
            .unwrap();
        assert_eq!(renewed.info.key, wanted);
        let path = renewed.key.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let key = read(&path);
        assert_ne!(key, last_key);
        last_key = key;
    }
}

#[test]
fn a_name_means_all_its_certificates_a_number_one() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let first = issue(&mut folder, Role::Node, "node1");
    let second = folder
        .renew("node1", validity(5), Renewal::SameKey(None), NOW)
        .unwrap();
    issue(&mut folder, Role::Node, "node2");
    let by_number = first.info.serial.to_string().to_uppercase();
    let revoked = folder
        .revoke(&by_number, Reason::Superseded, NOW, 30)
        .unwrap();
    assert_eq!(revoked[0].serial, first.info.serial);
    let again = folder.revoke(&by_number, Reason::Superseded, NOW, 30);
    assert!(matches!(again, Err(FolderError::Revoked(_))), "{again:?}");
    let revoked = folder
        .revoke("node1", Reason::KeyCompromise, NOW + 1, 30)
        .unwrap();
    assert_eq!(revoked.len(), 1, "the first one was already");
    assert_eq!(revoked[0].serial, second.info.serial);

    let list = CrlInfo::from_pem(&read(&folder.crl_path())).unwrap();
    assert_eq!(list.revoked, [first.info.serial, second.info.serial]);
    assert_eq!(list.this_update, NOW + 1);
    assert_eq!(list.next_update, Some(NOW + 1 + 30 * DAY));
    let renewed = folder.renew("node1", validity(5), Renewal::SameKey(None), NOW);
    assert!(
        matches!(renewed, Err(FolderError::Revoked(_))),
        "{renewed:?}"
    );
    let unknown = folder.revoke("node3", Reason::Unspecified, NOW, 30);
    assert!(
        matches!(unknown, Err(FolderError::Unknown(_))),
        "{unknown:?}"
    );
}

#[test]
fn a_certificate_older_than_the_book_can_be_revoked_and_a_strange_one_not() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let old = issue(&mut folder, Role::Client, "rip.mcollective");
    // Another authority under the same name.
    let strange = Authority::new("Test CA", KeyKind::EcdsaP256, validity(DAYS)).unwrap();
    let profile = Profile::new(Role::Client, "eve.mcollective", validity(DAYS));
    let strange = strange.issue(&profile).unwrap();
    strange
        .write_files(dir.path(), "eve.mcollective", IfExists::Refuse)
        .unwrap();
    drop(folder);
    fs::remove_file(dir.path().join("issued.txt")).unwrap();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let root = dir.path().join("ca.pem");
    for which in ["eve.mcollective", &*root.to_string_lossy()] {
        let refused = folder.revoke(which, Reason::Unspecified, NOW, 30);
        assert!(
            matches!(refused, Err(FolderError::Foreign(_))),
            "{refused:?}"
        );
    }
    let refused = folder.revoke("ca", Reason::Unspecified, NOW, 30);
    assert!(
        matches!(refused, Err(FolderError::Unknown(_))),
        "{refused:?}"
    );
    let revoked = folder
        .revoke("rip.mcollective", Reason::Unspecified, NOW, 30)
        .unwrap();
    assert_eq!(revoked[0].serial, old.info.serial);
    assert_eq!(revoked[0].role, Role::Client);
}

#[test]
fn lists_grow_in_number_even_without_the_one_before() {
    let dir = folder();
    let folder = CaFolder::open(dir.path()).unwrap();
    let number = |now| folder.write_crl(now, 30).unwrap().1.number.unwrap();
    let first = number(NOW + 1);
    assert_eq!(number(NOW + 1), first + 1, "within one second");
    assert_eq!(number(NOW), first + 2, "by a clock that was set back");
    fs::remove_file(folder.crl_path()).unwrap();
    assert!(number(NOW + 10) > first + 2);
    let none = folder.write_crl(NOW, 0);
    assert!(
        matches!(
            none,
            Err(FolderError::Pki(None, PkiError::BadValidity { .. }))
        ),
        "{none:?}"
    );
}

#[test]
fn a_lost_book_makes_no_list_forget() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let first = issue(&mut folder, Role::Node, "node1");
    folder
        .revoke("node1", Reason::KeyCompromise, NOW, 30)
        .unwrap();
    drop(folder);
    let before = read(&dir.path().join("crl.pem"));
    fs::remove_file(dir.path().join("issued.txt")).unwrap();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    let refused = folder.write_crl(NOW + 1, 30).unwrap_err().to_string();
    assert!(
        refused.contains(&first.info.serial.to_string()),
        "{refused}"
    );
    assert_eq!(read(&dir.path().join("crl.pem")), before);
    // Its file, which is still there, brings it back.
    folder
        .revoke("node1", Reason::KeyCompromise, NOW + 1, 30)
        .unwrap();
    let list = CrlInfo::from_pem(&read(&folder.crl_path())).unwrap();
    assert_eq!(list.revoked, [first.info.serial]);
}

#[test]
fn an_authority_out_of_its_time_signs_nothing() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    issue(&mut folder, Role::Node, "node1");
    let end = NOW + u64::from(DAYS) * DAY;
    let profile = Profile::new(Role::Node, "node2", validity(DAYS));
    for now in [NOW - 1, end + 1] {
        let same = Renewal::SameKey(None);
        for error in [
            folder.issue(&profile, now, IfExists::Refuse).unwrap_err(),
            folder.renew("node1", validity(5), same, now).unwrap_err(),
            folder.write_crl(now, 30).unwrap_err(),
        ] {
            let is_for_dates =
                matches!(error, FolderError::Pki(_, PkiError::AuthorityDates { .. }));
            assert!(is_for_dates, "{error}");
        }
    }
    folder.issue(&profile, end, IfExists::Refuse).unwrap();
}

#[test]
fn a_damaged_book_is_named_with_its_line_and_left_alone() {
    let dir = folder();
    let path = dir.path().join("issued.txt");
    fs::write(&path, "# fine\nnot fine\n").unwrap();
    let error = CaFolder::open(dir.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("issued.txt:2: 2 words, five are the least"),
        "{error}"
    );
    assert_eq!(read(&path), "# fine\nnot fine\n");
}

#[test]
fn a_new_authority_keeps_the_book_of_the_one_before_apart() {
    let dir = folder();
    let mut folder = CaFolder::open(dir.path()).unwrap();
    issue(&mut folder, Role::Node, "node1");
    folder
        .revoke("node1", Reason::Unspecified, NOW, 30)
        .unwrap();
    drop(folder);
    let authority = Authority::new("Next CA", KeyKind::EcdsaP256, validity(DAYS)).unwrap();
    CaFolder::create(dir.path(), &authority, IfExists::Refuse).unwrap_err();
    assert_eq!(names(&CaFolder::open(dir.path()).unwrap()), ["node1"]);
    CaFolder::create(dir.path(), &authority, IfExists::Replace).unwrap();
    assert_eq!(names(&CaFolder::open(dir.path()).unwrap()), [""; 0]);
    assert!(read(&dir.path().join("issued.txt.old")).contains("node1"));
    assert!(!dir.path().join("crl.pem").exists());
}

#[test]
fn one_folder_serves_one_at_a_time() {
    let dir = folder();
    let path = dir.path().to_owned();
    let mut held = CaFolder::open(dir.path()).unwrap();
    let other = std::thread::spawn(move || {
        let mut folder = CaFolder::open(&path).unwrap();
        issue(&mut folder, Role::Node, "node2");
        names(&folder)
    });
    issue(&mut held, Role::Node, "node1");
    drop(held);
    assert_eq!(other.join().unwrap(), ["node1", "node2"]);
}
