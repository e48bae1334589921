//! Every timeout of the stack, derived from one number: the detection time.

/// The chain of timeouts, in milliseconds. `envoy-configs/edge.yaml` explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a silent replica may take before its request is tried at the other.
    pub detect: u64,
    /// When the log takes an entry over whose end it has not heard of.
    pub takeover: u64,
    /// How long a guard lets a write wait for its predecessors.
    pub gap_wait: u64,
    /// How long a write may run at a replica before its outcome is in doubt.
    pub run: u64,
    /// To connect to a guard or a replica.
    pub connect: u64,
    /// Between two health checks; two in a row must fail.
    pub health_interval: u64,
    /// For one health check.
    pub health_timeout: u64,
    /// Between two HTTP/2 pings to a guard.
    pub ping_interval: u64,
    /// For the answer to a ping.
    pub ping_timeout: u64,
    /// For a whole write, with all its tries.
    pub route: u64,
    /// For one delivery.
    pub delivery: u64,
    /// For a stream on which nothing moves.
    pub stream_idle: u64,
}

/// The shortest detection time: below it the health checks would be noise.
pub const DETECT_MS_MIN: u64 = 100;

/// How long a stack that starts gives its replicas to pass their first health checks.
pub(super) fn first_checks(detect: u64) -> std::time::Duration {
    std::time::Duration::from_millis((2 * detect).max(2000))
}

impl Times {
    /// The chain for a detection time in milliseconds.
    pub fn for_detect(detect: u64) -> Self {
        Self {
            detect,
            takeover: detect / 2,
            gap_wait: detect * 4 / 5,
            run: (detect * 5).max(5000),
            connect: detect / 2,
            health_interval: detect / 8,
            health_timeout: detect / 4,
            ping_interval: detect / 4,
            ping_timeout: detect / 2,
            route: detect * 4,
            delivery: detect * 2,
            stream_idle: (detect * 6).max(15_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timeout_is_shorter_than_the_next_for_every_detection_time() {
        for detect in (DETECT_MS_MIN..20_000).step_by(37) {
            let t = Times::for_detect(detect);
            let chain = [t.takeover, t.gap_wait, t.detect, t.route, t.stream_idle];
            assert!(chain.is_sorted_by(|a, b| a < b), "{t:?}");
            assert!(t.route > 3 * t.detect, "three tries fit: {t:?}");
        }
    }

    #[test]
    fn a_silent_primary_is_left_before_the_per_try_timeout() {
        for detect in (DETECT_MS_MIN..20_000).step_by(37) {
            let t = Times::for_detect(detect);
            assert!(2 * (t.health_interval + t.health_timeout) < t.detect, "{t:?}");
            assert!(t.ping_interval + t.ping_timeout < t.detect, "{t:?}");
        }
    }
}
