//! What the system says of a process, and of a directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A running process.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// A figure of `/proc/PID/status`, bytes; `None` once it has ended.
    fn figure(self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib << 10)
    }

    /// Processor time that it has used, milliseconds: the same on a busy machine as on an idle one.
    pub fn busy_ms(self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // What follows the name: the state first, the times in user and system 11 and 12 later,
        // in hundredths of a second.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        let times = after.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
        times.sum::<u64>() * 10
    }

    /// The memory that it has now, bytes.
    pub fn resident(self) -> u64 {
        self.figure("VmRSS").unwrap_or(0)
    }
}

/// The most memory that a process ever had, bytes, by its own high-water mark: looked at again
/// and again, because the mark goes with the process.
#[derive(Clone, Default)]
pub struct Peak(Arc<AtomicU64>);

impl Peak {
    /// Looks now; call it at least before the process is killed.
    pub fn look(&self, process: Process) -> u64 {
        let mark = process.figure("VmHWM").unwrap_or(0);
        self.0.fetch_max(mark, Ordering::Relaxed);
        mark
    }

    /// The highest mark seen.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that a directory takes on the disk, but for the reserves.
pub fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        Ok(_) if entry.path().extension().is_some_and(|e| e == "reserve") => 0,
        // Blocks: what is sparse or preallocated counts as it is.
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
