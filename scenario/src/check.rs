//! What must hold beyond the promises.

use serde::{Deserialize, Serialize};

/// Bounds; what is absent is not checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Requests that failed for good, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_errors: Option<u64>,
    /// The slowest request, milliseconds, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_latency_ms: Option<u64>,
    /// Acknowledged writes, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
    /// From the end of the last fault until the primary has everything, milliseconds, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drained_within_ms: Option<u64>,
    /// Sessions handed back to the primary, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_back: Option<u64>,
    /// Writes listed in doubt at any time, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_doubt: Option<u64>,
    /// Requests per second at the cloud's service, in any second, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_per_second: Option<u64>,
    /// The last shop has drained at most this many times later than the median one, after the
    /// last fault, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest_shop_times_median: Option<f64>,
    /// Promises that this scenario is known to break, by the names of the verdict; an error if
    /// they hold. For canaries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
}
