//! A flipped byte in the middle of a store: the start is refused, and a salvage puts what can be
//! read in its place.

mod support;

use protocol::pb;
use std::path::{Path, PathBuf};
use support::{Reprise, config, refused, run, write};

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Flips a byte of the first record of many in the store's own journal.
fn flip(store: &Path) -> PathBuf {
    let mut all = files(store).into_iter();
    let path = all.find(|path| path.extension().is_some_and(|e| e == "jnl")).expect("a journal");
    let mut bytes = std::fs::read(&path).expect("readable");
    let at = bytes.windows(4).position(|window| window == b"id-2" || window == b"s/s\x0a");
    let at = at.expect("a record");
    bytes[at] ^= 0x40;
    std::fs::write(&path, bytes).expect("writable");
    path
}

#[tokio::test]
async fn a_flipped_byte_stops_the_start_and_a_salvage_lets_it_go_on() {
    let data = tempfile::tempdir().expect("a directory");
    let dir = data.path().display();
    let text =
        config(&format!("store = 'fjall'\ndata = '{dir}'\n[journal]\nreplica = 'primary'\n"));
    let mut reprise = Reprise::start(&text).await;
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    for seq in 1..=20 {
        let begin = write(seq);
        assert_eq!(guard.begin(begin.clone()).await.verdict(), pb::begun::Verdict::Run);
        guard.outcome(&begin, pb::outcome::Kind::Ran).await;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &text).expect("written");
    let salvage = || run_salvage(file.path());
    let (code, output) = salvage().await;
    assert_eq!(code, Some(1), "another process has it open: {output}");
    assert!(output.contains("in use"), "{output}");
    reprise.signal("-KILL").await;
    reprise.exit_code().await;

    let (code, output) = salvage().await;
    assert_eq!((code, output.as_str()), (Some(0), "the journal is sound; nothing is changed\n"));
    let damaged = flip(&data.path().join("journal"));
    let (code, stderr) = refused("serve", &text).await;
    assert_eq!(code, 1, "{stderr}");
    let name = damaged.file_name().unwrap().to_string_lossy();
    assert!(
        stderr.contains(&*name) && stderr.contains("reprise salvage --config FILE"),
        "{stderr}"
    );
    let (code, output) = salvage().await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("what was attempted before is in doubt"), "{output}");
    assert!(data.path().join("journal.damaged-1").exists());

    let reprise = Reprise::start(&text).await;
    let status = reprise.status().await;
    assert_eq!(status["journal"]["incomplete"], true);
    let mut guard = reprise.guard().await;
    guard.hello(protocol::VERSION, "primary").await;
    // Numbered while the log knew the damaged store.
    let again = pb::Begin { again: true, delivery: true, journal: vec![9; 8], ..write(21) };
    assert_eq!(guard.begin(again).await.verdict(), pb::begun::Verdict::InDoubt);
    let status = reprise.status().await;
    assert_eq!(status["journal"]["in_doubt"][0]["session"], "s");
}

async fn run_salvage(config: &Path) -> (Option<i32>, String) {
    let config = config.to_string_lossy();
    let output = run(&["salvage", "--config", &config]).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}
