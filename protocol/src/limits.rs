//! Every limit of the product, with its unit. Configuration may lower or raise what says so.

/// Longest session key, bytes.
pub const SESSION_KEY_BYTES: usize = 256;
/// Longest write id, bytes.
pub const ID_BYTES: usize = 255;
/// No epoch and no number is this high, ever: a record that has one is damaged.
pub const NUMBER_MAX: u64 = 1 << 62;
/// Longest request path with query, bytes.
pub const PATH_BYTES: usize = 8192;
/// Most request header bytes kept with an entry (names and values).
pub const HEADERS_BYTES: usize = 65536;
/// Most request header fields kept with an entry. Envoy takes 100 by default, and on their way to a
/// guard a write gets ours and those of each Envoy: one that no guard takes would hold up its session.
pub const HEADERS_COUNT: usize = 80;
/// Request body, bytes: the default of `limits.body_bytes`.
pub const BODY_BYTES_DEFAULT: u64 = 1 << 20;
/// Request body, bytes: the most that `limits.body_bytes` may be.
pub const BODY_BYTES_MAX: u64 = 16 << 20;
/// One gRPC message, bytes: the largest body, its headers and framing.
pub const MESSAGE_BYTES: usize = (BODY_BYTES_MAX as usize) + 4 * HEADERS_BYTES;
/// Sessions in an Envoy's slot table: the default of `limits.sessions`.
pub const SESSIONS_DEFAULT: u64 = 16_384;
/// Sessions in an Envoy's slot table: the most that `limits.sessions` may be.
pub const SESSIONS_MAX: u64 = 1 << 20;
/// Requests that one worker holds at once; one more is refused.
pub const HELD_REQUESTS: usize = 4096;
/// Response body that a guard remembers, bytes: the default of `remember.response_bytes`.
pub const RESPONSE_BYTES_DEFAULT: u64 = 65_536;
/// Ends that wait in a gateway worker for the next message or tick.
pub const ENDS_QUEUED: usize = 64;
/// How often a filter worker looks at its deadlines, milliseconds.
pub const TICK_MS: u64 = 20;
/// Events that `reprise status` keeps.
pub const EVENTS_KEPT: usize = 1000;
/// Listed cases (divergences, conflicts, doubts) that `reprise status` keeps of each kind.
pub const CASES_KEPT: usize = 1000;

// The filter's own; nobody else needs to know them.

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
