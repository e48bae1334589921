//! Header names. All begin with [`PREFIX`] unless a plugin configuration sets others.

/// Names under this prefix are ours: gateways remove them from what clients send.
pub const PREFIX: &str = "x-reprise-";
/// Request: what a gateway or delivery says of a request to a guard, see [`crate::Stamp`].
pub const STAMP: &str = "x-reprise-stamp";
/// Response: what a guard says of it, see [`crate::Word`]. Never reaches a client.
pub const WORD: &str = "x-reprise-word";
/// Request: steers Envoy's routes; removed before it leaves Envoy.
pub const ROUTE: &str = "x-reprise-route";
/// Request: names the cluster that Envoy mirrors to, in `mirror: envoy`.
pub const MIRROR: &str = "x-reprise-mirror";
/// Request: the write's id, for the service to read.
pub const ID: &str = "x-reprise-id";
/// Request: when a gateway first met the write, unix milliseconds, for the service to read.
pub const TIME: &str = "x-reprise-time";
/// Response to a client: `remembered` or `forgotten` when it answers a repeated write.
pub const REPLAYED: &str = "x-reprise-replayed";

/// Values of [`ROUTE`].
pub mod route {
    /// The primary first, then the secondary.
    pub const PRIMARY: &str = "primary";
    /// The secondary first, then the primary.
    pub const SECONDARY: &str = "secondary";
    /// The primary and nobody else.
    pub const PRIMARY_ONLY: &str = "primary-only";
    /// The secondary and nobody else (delivery only).
    pub const SECONDARY_ONLY: &str = "secondary-only";
}

/// Whether a method belongs to the replicated set: POST, PUT, PATCH, DELETE.
pub fn is_write(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH" | "DELETE")
}

/// Whether running it twice is the same as once (RFC 9110 9.2.2), of the methods that are writes.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "PUT" | "DELETE")
}
