//! Bounds that only the filter knows; what others must know too stands in `protocol::limits`.

/// Bodies that one worker holds at once, bytes; a write beyond it is refused.
pub const HELD_BYTES: usize = 256 << 20;
/// First wait before a lost stream is opened again, milliseconds.
pub const BACKOFF_FIRST_MS: u64 = 20;
/// Longest wait before a lost stream is opened again, milliseconds.
pub const BACKOFF_LAST_MS: u64 = 500;
/// How long a stream may take from opening to its welcome, milliseconds.
pub const GREETING_MS: u64 = 2_000;
/// Ends and cancels kept while there is no stream, each; the oldest go first. The log settles
/// what it never hears of when the gateway's stream closes.
pub const KEPT_REPORTS: usize = 16_384;
/// What a guard's answer may take beyond its gap wait and its run, milliseconds.
pub const ANSWER_MARGIN_MS: u64 = 500;
/// How long a guard remembers a begin that nobody waits for any more, milliseconds: a grant may
/// cross with the notice that its context has left.
pub const LEFT_MS: u64 = 5_000;
/// A body over its limit is read to its end, so that the refusal can be heard, up to this many
/// times the limit.
pub const OVERREAD: usize = 8;
/// Sessions that share one key of the slot table.
pub const WAYS: usize = 4;
/// Attempts at a compare-and-set before giving up; each failure means that another worker got
/// through.
pub const CAS_ATTEMPTS: usize = 10_000;
/// What clients are told to wait when nothing better is known, seconds.
pub const RETRY_AFTER_S: u64 = 1;
