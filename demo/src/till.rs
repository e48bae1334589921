//! The till: a stateful HTTP service to try Reprise on. Per session it keeps a hash chain over
//! its writes, on disk, so that it shows afterwards what ran, how often and in which order.
//!
//! | request | what happens |
//! |---|---|
//! | POST, PUT, PATCH, DELETE to any path | a write: recorded, then `{"session","count","chain"}` |
//! | GET `/sessions/ID`, or any GET with the session header | `{"session","count","chain","last"}` |
//! | GET `/healthz` | 200 |
//! | GET `/_till/sessions` | every session, see [`Listing`] |
//! | GET `/_till/session?id=ID` | the labels of one session in order, see [`Labels`] |
//! | GET `/stream?chunks=N&ms=M` | N lines, M milliseconds apart |
//!
//! The session is the header `x-session-id`, else the `ID` of a path `/sessions/ID`, else `-`.
//! The label of a write is its header `x-label`, else the string `label` in its JSON body, else
//! the first 64 bytes of the body. Some paths misbehave on purpose: see [`knob::Knob`].

mod answer;
pub mod knob;
mod ledger;
mod process;
mod serve;
mod session;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use process::{TillCommand, TillProcess};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};

/// How a till runs.
#[derive(Clone, Debug)]
pub struct TillOptions {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where it keeps its sessions, one file each.
    pub data: PathBuf,
    /// How long each read and each write takes.
    pub delay: Duration,
    /// The name by which this replica differs from its twin in `/random` and `/fail-at`.
    pub name: String,
    /// Whether each write reaches the disk before its answer. Without it a write survives
    /// `kill -9` of the till, not a power loss.
    pub sync: bool,
}

/// The answer of `/_till/sessions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The name of the replica.
    pub name: String,
    /// All sessions that have at least one write, by their ids.
    pub sessions: Vec<SessionSummary>,
}

/// One session in a [`Listing`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// The session's id.
    pub session: String,
    /// How many writes were recorded.
    pub count: u64,
    /// The hash chain over them.
    pub chain: String,
    /// The label of the last one.
    pub last: Option<String>,
    /// How often a write began while another one of the session was running: the order of a
    /// session must be serial.
    pub overlaps: u64,
    /// How many writes arrived since the till started, recorded or not.
    pub calls: u64,
}

/// The answer of `/_till/session?id=ID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// The session's id.
    pub session: String,
    /// The labels of its writes in the order in which they ran.
    pub labels: Vec<String>,
}

/// A till that runs inside this process until it is dropped.
#[derive(Debug)]
pub struct Till {
    addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Till {
    /// Reads what is on disk and listens.
    ///
    /// # Errors
    /// If the data cannot be read or the address cannot be had.
    pub async fn start(options: TillOptions) -> io::Result<Self> {
        let ledger = ledger::Ledger::open(&options.data, options.sync)?;
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let service = Arc::new(serve::Service::new(ledger, options));
        let server = tokio::spawn(serve::run(listener, service));
        Ok(Self { addr, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until something outside ends the process.
    ///
    /// # Errors
    /// If the server has come to an end.
    pub async fn serve(mut self) -> io::Result<()> {
        (&mut self.server).await.map_err(io::Error::other)
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        self.server.abort();
    }
}
