use super::super::{Engine, Failed, Write};
use super::FjallStore;
use std::fs;
use std::path::PathBuf;

fn put(n: u32, length: usize) -> Write {
    let value = n.to_be_bytes().repeat(length / 4);
    Write::Put { key: n.to_be_bytes().to_vec(), value }
}

/// The thread that writes memtables out or the commit itself, whichever meets the full disk first:
/// both are told from a broken disk, everything acknowledged is there, and with room it goes on.
///
/// `mount -t tmpfs -o size=300m tmpfs DIR`, then `REPRISE_SMALL_DISK=DIR`.
#[test]
#[ignore = "needs a small file system of its own"]
fn a_full_disk_is_told_from_a_broken_one_and_with_room_it_goes_on() {
    let disk = PathBuf::from(std::env::var("REPRISE_SMALL_DISK").expect("a small file system"));
    let mut causes = Vec::new();
    for round in 0..10u32 {
        let dir = disk.join("store");
        let reserve = disk.join("reserve");
        fs::write(&reserve, vec![1; (64 << 20) + (round as usize * 1_999_993)]).unwrap();
        let mut store = <FjallStore as Engine>::open(&dir).unwrap();
        let mut acknowledged = 0;
        let cause = loop {
            let batch: Vec<_> = (0..4).map(|n| put(acknowledged * 4 + n, 9_000)).collect();
            match Engine::commit(&mut store, &batch) {
                Ok(()) => acknowledged += 1,
                Err(Failed::Full(cause)) => break cause,
                Err(Failed::Fatal(cause)) => panic!("round {round}: {cause}"),
            }
        };
        causes.push(cause);
        drop(store);
        fs::remove_file(&reserve).unwrap();
        let mut store = <FjallStore as Engine>::open(&dir).unwrap();
        for n in 0..acknowledged * 4 {
            let Write::Put { key, value } = put(n, 9_000) else { unreachable!() };
            assert!(Engine::get(&store, &key).unwrap() == Some(value), "round {round}: {n}");
        }
        let batch: Vec<_> = (0..4).map(|n| put(acknowledged * 4 + n, 9_000)).collect();
        if let Err(Failed::Full(cause) | Failed::Fatal(cause)) = Engine::commit(&mut store, &batch)
        {
            panic!("round {round}: {cause}");
        }
        drop(store);
        fs::remove_dir_all(&dir).unwrap();
    }
    println!("{causes:#?}");
    let by_worker = causes.iter().filter(|cause| cause.contains("fjall's thread")).count();
    assert!(by_worker > 0 && by_worker < causes.len(), "{causes:#?}");
}
