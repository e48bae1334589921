//! The stores on disk side by side: durable commits, filling, kill -9, opening, deleting all and
//! getting the space back. Each measurement is a process of its own, both stores take turns.
//!
//! `cargo run --release -p benches --example stores -- [DIR [ENTRIES [ROUNDS]]]`

use replay_log::store::{FjallStore, SledStore, Store, Write};
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KINDS: [&str; 2] = ["fjall", "sled"];
const VALUE_BYTES: usize = 1024;

fn main() {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--child", what, kind, dir, entries] => {
            let entries = entries.parse().expect("a number");
            child(what, kind, Path::new(dir), entries);
        }
        _ => {
            let dir = args.first().copied().unwrap_or("/tmp");
            let entries = args.get(1).map_or(1_000_000, |n| n.parse().expect("a number"));
            let rounds = args.get(2).map_or(3, |n| n.parse().expect("a number"));
            (0..rounds).for_each(|round| run_all(Path::new(dir), entries, round));
        }
    }
}

fn run_all(dir: &Path, entries: u64, round: u32) {
    for what in ["commit", "fill", "open", "delete"] {
        for kind in KINDS {
            let dir = dir.join(format!("reprise-stores-{kind}"));
            if what == "commit" {
                let _ = std::fs::remove_dir_all(&dir);
            }
            print!("{round}\t{kind}\t{what}");
            run(what, kind, &dir, entries);
            if what == "commit" || what == "delete" {
                std::fs::remove_dir_all(&dir).expect("removes the store");
            }
        }
    }
}

/// Prints what the child says, and kills it when it has said all.
fn run(what: &str, kind: &str, dir: &Path, entries: u64) {
    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--child", what, kind, &dir.to_string_lossy(), &entries.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    for line in lines.map_while(Result::ok).take_while(|line| line != "done") {
        print!("\t{line}");
    }
    println!();
    let _ = std::io::stdout().flush();
    child.kill().expect("is killed");
    child.wait().expect("ends");
}

fn child(what: &str, kind: &str, dir: &Path, entries: u64) {
    let begun = Instant::now();
    let mut store: Box<dyn Store> = match kind {
        "fjall" => Box::new(FjallStore::open(dir).expect("opens")),
        _ => Box::new(SledStore::open(dir).expect("opens")),
    };
    let opened = begun.elapsed();
    match what {
        "commit" => [1, 16, 256].into_iter().for_each(|batch| commits(&mut *store, batch)),
        "fill" => fill(&mut *store, entries),
        "open" => scan(&*store, opened),
        _ => delete(&mut *store, entries),
    }
    println!("done");
    // The parent kills it here, with everything open.
    std::thread::sleep(Duration::from_secs(60));
}

fn commits(store: &mut dyn Store, batch: u64) {
    let mut random = Random(batch);
    let mut times = Vec::new();
    let begun = Instant::now();
    for n in 0.. {
        let writes: Vec<_> = (0..batch).map(|i| put(n * batch + i, &mut random)).collect();
        let at = Instant::now();
        store.commit(&writes).expect("commits");
        times.push(at.elapsed());
        if begun.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    let total: Duration = times.iter().sum();
    times.sort();
    println!(
        "{batch}: {:.0} commits/s p50 {:.2} p99 {:.2} max {:.0} ms",
        times.len() as f64 / total.as_secs_f64(),
        ms(times[times.len() / 2]),
        ms(times[times.len() * 99 / 100]),
        ms(times[times.len() - 1]),
    );
}

fn fill(store: &mut dyn Store, entries: u64) {
    let mut random = Random(7);
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    for from in (0..entries).step_by(256) {
        let writes: Vec<_> = (from..entries.min(from + 256)).map(|n| put(n, &mut random)).collect();
        let at = Instant::now();
        store.commit(&writes).expect("commits");
        longest = longest.max(at.elapsed());
    }
    let per_entry = store.stats().disk_bytes as f64 / entries as f64;
    println!(
        "{:.1} s, longest commit {:.0} ms, {per_entry:.0} bytes/entry, RSS {} MB",
        begun.elapsed().as_secs_f64(),
        ms(longest),
        peak_mb()
    );
}

fn scan(store: &dyn Store, opened: Duration) {
    let rss = peak_mb();
    let begun = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    let mut visit = |_: &[u8], value: &[u8]| {
        count += 1;
        bytes += value.len();
        Ok(true)
    };
    store.scan(b"", &mut visit).expect("scans");
    println!(
        "opened after kill -9 in {:.2} s, RSS {rss} MB; {count} entries of {bytes} bytes read in {:.2} s, RSS {} MB",
        opened.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        peak_mb()
    );
}

fn delete(store: &mut dyn Store, entries: u64) {
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    let mut commit = |store: &mut dyn Store, writes: &[Write]| {
        let at = Instant::now();
        store.commit(writes).expect("commits");
        longest = longest.max(at.elapsed());
    };
    let before = store.stats().disk_bytes;
    for from in (0..entries).step_by(256) {
        let delete = |n| Write::Delete { key: key(n) };
        let writes: Vec<_> = (from..entries.min(from + 256)).map(delete).collect();
        commit(store, &writes);
    }
    let deleted = begun.elapsed();
    let mut random = Random(1);
    let begun = Instant::now();
    let (mut work, mut sizes) = (Vec::new(), Vec::new());
    while begun.elapsed() < Duration::from_secs(20) {
        if sizes.len() % 10 == 0
            && let Some(offered) = store.reclaim()
        {
            work.push(std::thread::spawn(offered));
        }
        commit(store, &[put(entries, &mut random)]);
        sizes.push((begun.elapsed(), store.stats().disk_bytes));
        std::thread::sleep(Duration::from_millis(50));
    }
    let last = sizes.last().map_or(0, |(_, size)| *size);
    let at = sizes.iter().find(|(_, size)| *size < last + (8 << 20));
    println!(
        "deleted in {:.1} s; {} MB became {} MB within {:.1} s, longest commit {:.0} ms, RSS {} MB",
        deleted.as_secs_f64(),
        before >> 20,
        last >> 20,
        at.map_or(0.0, |(at, _)| at.as_secs_f64()),
        ms(longest),
        peak_mb()
    );
    for work in work {
        work.join().expect("ends").expect("gives space back");
    }
}

fn key(n: u64) -> Vec<u8> {
    [b"e/".as_slice(), &n.to_be_bytes()].concat()
}

fn put(n: u64, random: &mut Random) -> Write {
    let value = (0..VALUE_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    Write::Put { key: key(n), value }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The most memory that this process has had.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kb.unwrap_or(0) >> 10
}

/// Incompressible numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
