use super::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;

const MIB: u64 = 1 << 20;
/// The reserve in these tests.
const RESERVE: u64 = 8 * MIB;

fn put(key: u64, length: usize) -> Write {
    // What does not compress.
    let mut x = key | 1;
    let mut next = || {
        x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (x >> 56) as u8
    };
    let value = (0..length).map(|_| next()).collect();
    Write::Put { key: key.to_be_bytes().to_vec(), value }
}

fn delete(key: u64) -> Write {
    Write::Delete { key: key.to_be_bytes().to_vec() }
}

fn contents(store: &dyn Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.insert(key.to_vec(), value.to_vec());
        Ok(true)
    };
    store.scan(b"", &mut visit).unwrap();
    found
}

fn apply(model: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &[Write]) {
    for write in batch {
        match write {
            Write::Put { key, value } => model.insert(key.clone(), value.clone()),
            Write::Delete { key } => model.remove(key),
        };
    }
}

/// A small file system of its own, where the machine lets us mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "reprise-test"]);
        let mounted = mount.arg(dir.path()).output().is_ok_and(|out| out.status.success());
        if !mounted {
            println!("not run: it needs the right to mount a tmpfs");
        }
        mounted.then_some(SmallDisk(dir))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("log")
    }

    fn reserve(&self) -> PathBuf {
        self.0.path().join("log.reserve")
    }

    /// Lets only so many bytes free.
    fn fill(&self, leave: u64) {
        let stat = rustix::fs::statvfs(self.0.path()).unwrap();
        let bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(leave);
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        let block = vec![1; MIB as usize];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(MIB);
            ballast.write_all(&block[..part as usize]).unwrap();
            left -= part;
        }
    }

    fn relieve(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    fn open<E: Engine>(&self, min_free: u64) -> DiskStore<E> {
        let space = Space::new(&self.store(), RESERVE, min_free);
        DiskStore::open(&self.store(), space).unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// At each of several points short of full: the commit that meets the end of the disk is made,
/// so are others that follow, reads go on, and when there is room again it is seen.
fn goes_on_when_its_disk_is_full<E: Engine>() {
    for leave in [0, 4_096, 40_000, 300_000, 1_000_000] {
        let Some(disk) = SmallDisk::mount(160 * MIB) else { return };
        let mut store = disk.open::<E>(0);
        let mut model = BTreeMap::new();
        let mut commit = |store: &mut DiskStore<E>, batch: Vec<Write>| {
            store.commit(&batch).unwrap_or_else(|e| panic!("{} leaving {leave}: {e}", E::NAME));
            apply(&mut model, &batch);
        };
        commit(&mut store, (0..50).map(|n| put(n, 5_000)).collect());
        assert!(store.has_room());
        disk.fill(leave);
        let mut key = 50;
        while store.has_room() {
            commit(&mut store, (key..key + 10).map(|n| put(n, 9_000)).collect());
            key += 10;
            assert!(key < 10_000, "the disk is never full");
        }
        assert!(!disk.reserve().exists() && !store.stats().room);
        // What ends work is small.
        for n in 0..50 {
            commit(&mut store, vec![delete(n), put(n + 1_000_000, 100)]);
            assert!(!store.has_room());
        }
        assert_eq!(contents(&store), model);
        disk.relieve();
        assert!(store.has_room() && disk.reserve().exists());
        let commit = |store: &mut DiskStore<E>, model: &mut BTreeMap<_, _>| {
            let batch: Vec<_> = (key..key + 50).map(|n| put(n, 9_000)).collect();
            store.commit(&batch).unwrap();
            apply(model, &batch);
        };
        commit(&mut store, &mut model);
        assert!(store.has_room());
        assert_eq!(contents(&store), model);
        drop(store);
        assert_eq!(contents(&disk.open::<E>(0)), model);
    }
}

#[test]
fn fjall_goes_on_when_its_disk_is_full_and_sees_when_there_is_room_again() {
    goes_on_when_its_disk_is_full::<FjallStore>();
}

#[test]
fn sled_goes_on_when_its_disk_is_full_and_sees_when_there_is_room_again() {
    goes_on_when_its_disk_is_full::<SledStore>();
}

fn opens_on_a_full_disk<E: Engine>() {
    let Some(disk) = SmallDisk::mount(160 * MIB) else { return };
    let mut store = disk.open::<E>(0);
    let batch: Vec<_> = (0..500).map(|n| put(n, 5_000)).collect();
    store.commit(&batch).unwrap();
    let mut model = BTreeMap::new();
    apply(&mut model, &batch);
    drop(store);
    disk.fill(0);
    let mut store = disk.open::<E>(0);
    assert_eq!(contents(&store), model);
    store.commit(&[delete(3)]).unwrap();
    apply(&mut model, &[delete(3)]);
    assert_eq!(contents(&store), model);
    disk.relieve();
    assert!(store.has_room());
}

#[test]
fn a_store_opens_on_a_full_disk() {
    opens_on_a_full_disk::<FjallStore>();
    opens_on_a_full_disk::<SledStore>();
}

#[test]
fn a_disk_that_fills_slowly_is_seen_before_it_is_full() {
    let Some(disk) = SmallDisk::mount(160 * MIB) else { return };
    let mut store = disk.open::<SledStore>(64 * MIB);
    assert!(store.has_room());
    disk.fill(60 * MIB);
    store.commit(&[put(1, 10)]).unwrap();
    assert!(!store.has_room() && disk.reserve().exists());
    assert!(store.free_bytes().unwrap() < 64 * MIB);
    disk.relieve();
    assert!(store.has_room());
}

thread_local! {
    /// What the next commits and openings of [`Fake`] do, and what it holds.
    static SCRIPT: RefCell<VecDeque<Act>> = const { RefCell::new(VecDeque::new()) };
    static RECORDS: RefCell<BTreeMap<Vec<u8>, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Works,
    /// It finds no room after so many writes.
    Full(usize),
    Breaks,
}

fn next_act() -> Act {
    SCRIPT.with_borrow_mut(|script| script.pop_front().unwrap_or(Act::Works))
}

struct Fake;

impl Engine for Fake {
    const NAME: &'static str = "fake";
    const RESERVE_BYTES: u64 = 0;

    fn open(dir: &Path) -> Result<Fake, StoreError> {
        match next_act() {
            Act::Works => Ok(Fake),
            act => Err(StoreError::Open { path: dir.into(), cause: format!("{act:?}") }),
        }
    }

    fn commit(&mut self, batch: &[Write]) -> Result<(), Failed> {
        let act = next_act();
        let kept = if let Act::Full(kept) = act { kept } else { batch.len() };
        RECORDS.with_borrow_mut(|records| apply(records, &batch[..kept]));
        match act {
            Act::Works => Ok(()),
            Act::Full(_) => Err(Failed::Full("no room".into())),
            Act::Breaks => Err(Failed::Fatal("input/output error".into())),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(RECORDS.with_borrow(|records| records.get(key).cloned()))
    }

    fn scan(&self, _: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for (key, value) in RECORDS.with_borrow(Clone::clone) {
            visit(&key, &value)?;
        }
        Ok(())
    }

    fn torn(&self) -> u64 {
        0
    }

    fn reclaim(&mut self) -> Option<Reclaim> {
        None
    }
}

/// A store of the fake engine whose acts after its opening are these.
fn fake(dir: &Path, min_free: u64, acts: &[Act]) -> DiskStore<Fake> {
    RECORDS.set(BTreeMap::new());
    SCRIPT.set([Act::Works].into_iter().chain(acts.iter().copied()).collect());
    DiskStore::open(&dir.join("log"), Space::new(&dir.join("log"), 65_536, min_free)).unwrap()
}

#[test]
fn whatever_a_full_disk_left_of_a_batch_it_is_committed_whole() {
    for kept in 0..=2 {
        let dir = tempfile::tempdir().unwrap();
        let mut store = fake(dir.path(), 0, &[Act::Works, Act::Full(kept)]);
        store.commit(&[put(1, 10)]).unwrap();
        store.commit(&[delete(1), put(2, 10)]).unwrap();
        let mut model = BTreeMap::new();
        apply(&mut model, &[put(2, 10)]);
        assert_eq!(contents(&store), model);
        // The file system of the tests has room for another reserve.
        assert!(store.has_room() && dir.path().join("log.reserve").exists());
    }
}

#[test]
fn what_fails_otherwise_or_twice_is_fatal_and_says_so() {
    use Act::{Breaks, Full, Works};
    let cases: [(&[Act], &str); 4] = [
        (&[Breaks], "input/output error"),
        (&[Full(0), Works, Full(0)], "the reserve was given up, and then fake: no room"),
        (&[Full(0), Works, Breaks], "the reserve was given up, and then fake: input/output error"),
        (&[Full(0), Breaks], "and then fake: cannot open"),
    ];
    for (acts, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut store = fake(dir.path(), 0, acts);
        let error = store.commit(&[put(1, 10)]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("1 writes"), "{error}");
        let again = store.commit(&[]).unwrap_err().to_string();
        assert!(again.contains("an earlier commit failed"), "{again}");
    }
}

#[test]
fn a_reserve_that_was_given_up_comes_back_only_with_room_for_more_than_itself() {
    let dir = tempfile::tempdir().unwrap();
    let store = fake(dir.path(), u64::MAX / 2, &[]);
    assert!(!store.has_room() && !dir.path().join("log.reserve").exists());
}

#[test]
fn half_a_reserve_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let reserve = dir.path().join("log.reserve");
    fs::write(&reserve, [0; 100]).unwrap();
    // As long as it should be, but nothing behind it.
    File::create(&reserve).unwrap().set_len(65_536).unwrap();
    let store = fake(dir.path(), 0, &[]);
    assert!(store.has_room());
    let whole = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&reserve).unwrap()) * 512;
    assert_eq!(whole, 65_536);
}
