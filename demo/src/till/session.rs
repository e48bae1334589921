//! One session of a till and its file.
//!
//! ```text
//! till 1 "shop-7"                      the layout's version, the session's id as JSON
//! 1 9f86d0…64 hex digits… "s7-1"       count, chain, the write's label as JSON
//! overlap                              a write began while another was running
//! 2 60303a… "s7-2"
//! ```
//! A line is written with one `write(2)` before the write is answered; what follows the last
//! line end is the trace of a crash and is cut off when the file is read again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::SessionSummary;
use crate::chain::Chain;

/// The first word and the version of every session file.
const MAGIC: &str = "till 1 ";
/// The line that marks an overlap.
const OVERLAP: &str = "overlap";

/// A write as the chain sees it.
#[derive(Clone, Debug)]
pub struct Write {
    /// The request's method.
    pub method: String,
    /// The request's path with its query.
    pub path: String,
    /// The request's body.
    pub body: bytes::Bytes,
    /// What the checker knows the write by.
    pub label: String,
}

/// Where a session stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The writes recorded.
    pub count: u64,
    /// The chain over them.
    pub chain: Chain,
    /// The label of the last one.
    pub last: Option<String>,
    overlaps: u64,
    /// The length of the file in bytes: what comes after it was never acknowledged.
    length: u64,
}

/// A session and its file. The file is opened for each write, so that the number of sessions
/// is not bounded by that of file descriptors.
#[derive(Debug)]
pub struct Session {
    id: String,
    path: PathBuf,
    sync: bool,
    state: Mutex<State>,
    running: AtomicU64,
    calls: AtomicU64,
}

impl Session {
    /// A session without writes, whose file does not exist yet.
    pub fn new(id: &str, path: PathBuf, sync: bool) -> Self {
        Self::with(id.to_owned(), path, sync, State::default())
    }

    /// Reads the file of a session.
    pub fn open(path: PathBuf, sync: bool) -> io::Result<Self> {
        let text = std::fs::read(&path)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            OpenOptions::new().write(true).open(&path)?.set_len(whole as u64)?;
        }
        let mut lines = text[..whole].split(|&byte| byte == b'\n');
        let bad = |line: &[u8]| {
            let line = String::from_utf8_lossy(line).into_owned();
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: not a line of a till: {line:?}", path.display()),
            )
        };
        let head = lines.next().unwrap_or_default();
        let id = str::from_utf8(head)
            .ok()
            .and_then(|head| head.strip_prefix(MAGIC))
            .and_then(|id| serde_json::from_str(id).ok())
            .ok_or_else(|| bad(head))?;
        let mut state = State { length: whole as u64, ..State::default() };
        for line in lines.filter(|line| !line.is_empty()) {
            match Line::parse(line).ok_or_else(|| bad(line))? {
                Line::Overlap => state.overlaps += 1,
                Line::Write { count, .. } if count != state.count + 1 => return Err(bad(line)),
                Line::Write { count, chain, label } => {
                    state.count = count;
                    state.chain = chain;
                    state.last = Some(label);
                }
            }
        }
        Ok(Self::with(id, path, sync, state))
    }

    fn with(id: String, path: PathBuf, sync: bool, state: State) -> Self {
        let state = Mutex::new(state);
        Self { id, path, sync, state, running: AtomicU64::new(0), calls: AtomicU64::new(0) }
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// What `/_till/sessions` says of it.
    pub fn summary(&self) -> SessionSummary {
        let state = self.state();
        SessionSummary {
            session: self.id.clone(),
            count: state.count,
            chain: state.chain.to_string(),
            last: state.last,
            overlaps: state.overlaps,
            calls: self.calls.load(Ordering::Relaxed),
        }
    }

    /// The labels of its writes in order, from the file.
    pub fn labels(&self) -> io::Result<Vec<String>> {
        let length = self.lock().length;
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut text = std::fs::read(&self.path)?;
        text.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let writes = text.split(|&byte| byte == b'\n').skip(1).filter_map(Line::parse);
        Ok(writes
            .filter_map(|line| match line {
                Line::Write { label, .. } => Some(label),
                Line::Overlap => None,
            })
            .collect())
    }

    /// Notes that a write begins; it runs until what is returned is dropped. One that begins
    /// while another runs is an overlap, which is kept in the file as well.
    pub fn begin(self: &Arc<Self>) -> io::Result<Running> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let others = self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(self));
        if others > 0 {
            let mut state = self.lock();
            state.overlaps += 1;
            self.append(&mut state, &format!("{OVERLAP}\n"))?;
        }
        Ok(running)
    }

    /// Records a write. When this returns, it survives the death of the process.
    pub fn record(&self, write: &Write) -> io::Result<State> {
        let mut state = self.lock();
        let count = state.count + 1;
        let chain = state.chain.next(&write.method, &write.path, &write.body);
        let label = serde_json::to_string(&write.label)?;
        self.append(&mut state, &format!("{count} {chain} {label}\n"))?;
        state.count = count;
        state.chain = chain;
        state.last = Some(write.label.clone());
        Ok(state.clone())
    }

    fn append(&self, state: &mut State, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        let text = if state.length == 0 {
            format!("{MAGIC}{}\n{line}", serde_json::to_string(&self.id)?)
        } else {
            line.to_owned()
        };
        if let Err(error) = self.write(&mut file, text.as_bytes()) {
            file.set_len(state.length)?;
            return Err(error);
        }
        state.length += text.len() as u64;
        Ok(())
    }

    fn write(&self, file: &mut File, text: &[u8]) -> io::Result<()> {
        file.write_all(text)?;
        if self.sync { file.sync_data() } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of the session `id` below `dir`: its bytes where they are plain, else `%xx`; a
    /// long name is replaced by its hash.
    pub fn file(dir: &Path, id: &str) -> PathBuf {
        let mut name = String::new();
        for byte in id.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
                name.push(char::from(byte));
            } else {
                name.push_str(&format!("%{byte:02x}"));
            }
        }
        if name.len() > 200 {
            name = format!("%{}", Chain::default().next("", "", id.as_bytes()));
        }
        dir.join(name).with_extension("till")
    }
}

/// A write that is running; dropped when it has ended.
#[derive(Debug)]
pub struct Running(Arc<Session>);

impl Running {
    /// The session that it belongs to.
    pub fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

enum Line {
    Overlap,
    Write { count: u64, chain: Chain, label: String },
}

impl Line {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        if line == OVERLAP {
            return Some(Self::Overlap);
        }
        let mut parts = line.splitn(3, ' ');
        let count = parts.next()?.parse().ok()?;
        let chain = Chain::from_hex(parts.next()?)?;
        let label = serde_json::from_str(parts.next()?).ok()?;
        Some(Self::Write { count, chain, label })
    }
}
