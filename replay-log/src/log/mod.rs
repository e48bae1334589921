//! (being written)
use crate::store::{Store, StoreError};
use crate::{Now, StreamId};
use protocol::{Number, Replica, SessionKey, Stamp, Word, pb};

/// How a log behaves; times in milliseconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct LogConfig {
    pub service: String,
    /// `Some(cluster)`: Envoy mirrors numbered writes to this cluster (`mirror: envoy`).
    pub mirror_cluster: Option<String>,
    /// Only one gateway Envoy may be connected.
    pub sole_gateway: bool,
    pub takeover_ms: u64,
    pub delivery_parallel: usize,
    pub handback_hold_ms: u64,
    pub mirror_grace_ms: u64,
    pub remember_ids_ms: u64,
    pub remember_ids_bytes: u64,
    pub session_idle_ms: u64,
    pub max_bytes: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message of a gateway's stream; the first must be a hello.
    Gateway { stream: StreamId, message: pb::GatewayRequest },
    /// A gateway's stream ended.
    GatewayClosed { stream: StreamId },
    /// A delivery came to an end: the guard's word, or none when no answer with a word came.
    Delivered { replica: Replica, session: SessionKey, number: Number, word: Option<Word> },
    /// A probe came to an end: whether guard and journal answered.
    Probed { replica: Replica, word: Option<Word> },
    /// The local journal's own news that a write ran at its replica (`mirror: envoy`).
    JournalRan { replica: Replica, session: SessionKey, word: Word },
    /// Nothing but time passed.
    Tick,
}

/// One request to be sent through the delivery listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub replica: Replica,
    pub session: SessionKey,
    pub number: Number,
    /// Goes out as the stamp header.
    pub stamp: Stamp,
    pub method: String,
    pub path: String,
    /// Request headers as captured (lower-case names, no pseudo-headers except `:authority`, `:scheme`).
    pub headers: Vec<pb::Header>,
    pub body: Vec<u8>,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    ToGateway { stream: StreamId, message: pb::GatewayResponse },
    /// End this stream (after what was sent before has gone out).
    CloseGateway { stream: StreamId },
    Deliver(Box<Delivery>),
    /// Ask this replica's guard, through the delivery listener, whether it is there.
    Probe { replica: Replica },
}

pub struct Log { _store: Box<dyn Store> }

impl Log {
    /// `random`: 16 bytes of entropy for a new store's incarnation and for jitter.
    pub fn open(_store: Box<dyn Store>, _config: LogConfig, _random: [u8; 16], _now: Now) -> Result<Log, StoreError> { unimplemented!() }
    pub fn handle(&mut self, _now: Now, _input: Input) { unimplemented!() }
    /// Makes everything staged durable, then hands out what was staged.
    pub fn commit(&mut self, _now: Now) -> Result<Vec<Output>, StoreError> { unimplemented!() }
    /// When a Tick is due, on the monotonic clock.
    pub fn next_wake_ms(&self) -> Option<u64> { unimplemented!() }
    pub fn status(&self) -> Status { unimplemented!() }
}
/// figures and lists for `/status` (plain data, fields as in SPEC)
pub struct Status;
