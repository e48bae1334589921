//! The link between the two sites, as a TCP relay inside this process that can be cut.
//!
//! | mode | new connections | client to server | server to client |
//! |---|---|---|---|
//! | [`Mode::Pass`] | go through | passes | passes |
//! | [`Mode::Refuse`] | refused by the kernel, as with nobody listening; those there are reset | | |
//! | [`Mode::Hole`] | accepted, then nothing | stops | stops |
//! | [`Mode::Stall`] | accepted, then nothing | stops, comes late | stops, comes late |
//! | [`Mode::Mute`] | go through | passes | swallowed |
//! | [`Mode::Deaf`] | go through | swallowed | passes |
//! | [`Mode::Slow`] | go through | so many bytes a second, all together | the same |
//!
//! When a mode ends, every connection that lost something in it is **reset**, on both sides: in
//! `Hole` all of them (what was sent meanwhile never arrives; the TCP of a real link would have
//! given up), in `Mute` and `Deaf` those of which bytes or an end were swallowed. `Stall` resets
//! nothing: what was sent meanwhile arrives when it ends, as a late retransmission does, even
//! where the client has long turned away.
//!
//! In two things a relay is not a real link. A client's connect succeeds in `Hole`, since the
//! kernel answers it; and a server that refuses connections shows as a reset right after the
//! connect. A half-closed connection stays half open, as it should.

mod connection;
mod listen;
mod pace;
mod state;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// What the link does with what is sent over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Nobody listens: connections are refused, those there are reset.
    Refuse,
    /// Nothing passes, nothing is said.
    Hole,
    /// Nothing passes until the mode ends, then all of it.
    Stall,
    /// Requests arrive, answers are swallowed.
    Mute,
    /// Requests are swallowed; what the server says arrives.
    Deaf,
    /// Everything passes at so many bytes per second in each direction, all connections together.
    Slow(u32),
}

impl Mode {
    /// What becomes of bytes from the client to the server.
    fn up(self) -> Flow {
        match self {
            Self::Pass | Self::Mute | Self::Slow(_) => Flow::Pass,
            Self::Refuse | Self::Hole | Self::Stall => Flow::Stop,
            Self::Deaf => Flow::Swallow,
        }
    }

    /// What becomes of bytes from the server to the client.
    fn down(self) -> Flow {
        match self {
            Self::Pass | Self::Deaf | Self::Slow(_) => Flow::Pass,
            Self::Refuse | Self::Hole | Self::Stall => Flow::Stop,
            Self::Mute => Flow::Swallow,
        }
    }

    /// The bytes per second of each direction, if they are bounded.
    fn rate(self) -> Option<u32> {
        match self {
            Self::Slow(rate) => Some(rate.max(1)),
            _ => None,
        }
    }
}

/// What becomes of the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Pass,
    Stop,
    Swallow,
}

/// What has gone through the relay so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections reset by the relay.
    pub reset: u64,
    /// From clients to the server.
    pub up: Bytes,
    /// From the server to clients.
    pub down: Bytes,
}

/// Bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Passed on.
    pub passed: u64,
    /// Swallowed.
    pub swallowed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    open: AtomicU64,
    reset: AtomicU64,
    up: Direction,
    down: Direction,
}

#[derive(Debug, Default)]
struct Direction {
    passed: AtomicU64,
    swallowed: AtomicU64,
    pace: pace::Pace,
}

impl Direction {
    fn counts(&self) -> Bytes {
        Bytes {
            passed: self.passed.load(Ordering::Relaxed),
            swallowed: self.swallowed.load(Ordering::Relaxed),
        }
    }
}

/// A change of mode, and where to say that it has taken effect.
type Change = (Mode, oneshot::Sender<io::Result<()>>);

/// A relay; its connections are closed when it is dropped.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    changes: mpsc::Sender<Change>,
    counters: Arc<Counters>,
    listener: JoinHandle<()>,
}

impl Relay {
    /// Listens on `listen` (port 0 picks a free one) and relays to `to`.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn start(listen: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        let port = listen::Port::reserve(listen)?;
        let addr = port.addr();
        let counters = Arc::new(Counters::default());
        let (changes, receiver) = mpsc::channel(1);
        let run = listen::run(port.listen()?, port, to, receiver, Arc::clone(&counters));
        Ok(Self { addr, changes, counters, listener: tokio::spawn(run) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the mode and waits until it is in effect: once this returns, no byte is treated
    /// in the old way.
    ///
    /// # Errors
    /// If the relay cannot listen again after [`Mode::Refuse`].
    pub async fn set(&self, mode: Mode) -> io::Result<()> {
        let (done, effect) = oneshot::channel();
        let ended = || io::Error::other("the relay has ended");
        self.changes.send((mode, done)).await.map_err(|_| ended())?;
        effect.await.map_err(|_| ended())?
    }

    /// What has gone through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            accepted: self.counters.accepted.load(Ordering::Relaxed),
            open: self.counters.open.load(Ordering::Relaxed),
            reset: self.counters.reset.load(Ordering::Relaxed),
            up: self.counters.up.counts(),
            down: self.counters.down.counts(),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
