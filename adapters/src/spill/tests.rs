use super::*;
use crate::item::MessageId;
use proptest::prelude::*;

fn item(number: u64) -> Item {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Item {
        id: MessageId::from_bytes(id),
        subject: format!("in.n{number}").into(),
        sender: format!("n{number}").into(),
        envelope: vec![b'x'; usize::try_from(number % 37).unwrap()].into(),
    }
}

fn items(range: std::ops::Range<u64>) -> Vec<Item> {
    range.map(item).collect()
}

fn config(directory: &Path) -> SpillConfig {
    SpillConfig {
        directory: directory.to_owned(),
        bytes_max: SPILL_MIN,
        sync: false,
    }
}

fn read_all(spill: &Spill) -> Vec<Numbered> {
    let mut read = Vec::new();
    spill.read(usize::MAX, Duration::ZERO, &mut read).unwrap();
    read
}

fn just_items(read: &[Numbered]) -> Vec<Item> {
    read.iter().map(|numbered| numbered.item.clone()).collect()
}

#[test]
fn what_goes_in_comes_out_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    assert_eq!(writer.append(&items(0..10)).unwrap().taken, 10);
    assert_eq!(just_items(&read_all(&spill)), items(0..10));
    assert_eq!(read_all(&spill), []);
    writer.append(&items(10..12)).unwrap();
    let read = read_all(&spill);
    assert_eq!(just_items(&read), items(10..12));
    assert_eq!(spill.waiting(), 12);
    spill
        .done(read.iter().map(|numbered| numbered.sequence))
        .unwrap();
    assert_eq!(spill.waiting(), 10);
}

#[test]
fn what_is_not_done_comes_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    writer.append(&items(0..10)).unwrap();
    let read = read_all(&spill);
    // Item 4 is not done, so those behind it are read again: their ids tell.
    let done = read.iter().filter(|numbered| numbered.item != item(4));
    spill.done(done.map(|numbered| numbered.sequence)).unwrap();
    drop((writer, spill));
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    assert_eq!(just_items(&read_all(&spill)), items(4..10));
    writer.append(&items(10..11)).unwrap();
    assert_eq!(just_items(&read_all(&spill)), items(10..11));
}

#[test]
fn the_bound_holds_and_what_is_done_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    let large = |number: u64| Item {
        envelope: vec![b'y'; 10_000].into(),
        ..item(number)
    };
    let mut taken = 0;
    for number in 0..200 {
        let appended = writer.append(&[large(number)]).unwrap();
        assert_eq!(appended.taken + appended.refused, 1);
        taken += appended.taken;
    }
    assert!((100..=104).contains(&taken), "{taken}");
    assert!(spill.bytes() <= SPILL_MIN);
    let read = read_all(&spill);
    assert_eq!(read.len(), taken);
    spill
        .done(read.iter().map(|numbered| numbered.sequence))
        .unwrap();
    assert!(spill.bytes() <= SPILL_MIN / 4, "{}", spill.bytes());
    assert_eq!(writer.append(&[large(1)]).unwrap().taken, 1);
}

#[test]
fn one_process_at_a_time_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let _open = open(config(folder.path())).unwrap();
    let error = open(config(folder.path())).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
}

#[test]
fn damage_in_the_middle_is_counted_and_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    writer.append(&items(0..10)).unwrap();
    // Another process's segment: a new writer begins a new file.
    drop((writer, spill));
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    writer.append(&items(10..20)).unwrap();
    drop((writer, spill));
    let path = segment_path(folder.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_writer, spill) = open(config(folder.path())).unwrap();
    let read = read_all(&spill);
    let good = read.len() as u64;
    assert_eq!(just_items(&read[read.len() - 10..]), items(10..20));
    assert_eq!(spill.damaged(), 20 - good);
    assert!(good < 20);
    spill
        .done(read.iter().map(|numbered| numbered.sequence))
        .unwrap();
    assert_eq!(spill.waiting(), 0);
}

#[test]
fn a_crash_at_any_byte_loses_only_what_was_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, spill) = open(config(folder.path())).unwrap();
    let mut ends = vec![0];
    for number in 0..6 {
        writer.append(&items(number..number + 1)).unwrap();
        ends.push(spill.bytes());
    }
    drop((writer, spill));
    let whole = fs::read(segment_path(folder.path(), 1)).unwrap();
    for cut in 0..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(segment_path(folder.path(), 1), &whole[..cut]).unwrap();
        let (mut writer, spill) = open(config(folder.path())).unwrap();
        let taken = ends.iter().filter(|end| **end <= cut as u64).count() as u64 - 1;
        assert_eq!(
            just_items(&read_all(&spill)),
            items(0..taken),
            "cut at {cut}"
        );
        writer.append(&items(90..91)).unwrap();
        assert_eq!(just_items(&read_all(&spill)), items(90..91), "cut at {cut}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Read(usize),
    /// Done are these of the items that were read.
    Done(Vec<bool>),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u64..20).prop_map(Step::Append),
        (1_usize..30).prop_map(Step::Read),
        prop::collection::vec(any::<bool>(), 0..30).prop_map(Step::Done),
        Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Against a plain list: what was taken and is not done is always read, in order; what is done before all others is not read again.
    #[test]
    fn nothing_taken_is_ever_lost(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, mut spill) = open(config(folder.path())).unwrap();
        let (mut made, mut at, mut done) = (0, 0, BTreeSet::new());
        let mut open_items: Vec<Numbered> = Vec::new();
        for step in steps {
            match step {
                Step::Append(count) => {
                    prop_assert_eq!(writer.append(&items(made..made + count)).unwrap().refused, 0);
                    made += count;
                }
                Step::Read(max) => {
                    let mut read = Vec::new();
                    spill.read(max, Duration::ZERO, &mut read).unwrap();
                    let end = made.min(at + max as u64);
                    prop_assert_eq!(just_items(&read), items(at..end));
                    at = end;
                    open_items.extend(read);
                }
                Step::Done(which) => {
                    let mut rest = Vec::new();
                    for (place, numbered) in open_items.drain(..).enumerate() {
                        if which.get(place) == Some(&true) {
                            done.insert(numbered.sequence - 1);
                            spill.done([numbered.sequence]).unwrap();
                        } else {
                            rest.push(numbered);
                        }
                    }
                    open_items = rest;
                }
                Step::Restart => {
                    drop((writer, spill));
                    (writer, spill) = open(config(folder.path())).unwrap();
                    at = (0..made).find(|number| !done.contains(number)).unwrap_or(made);
                    done.retain(|number| *number < at);
                    open_items.clear();
                }
            }
        }
    }
}
