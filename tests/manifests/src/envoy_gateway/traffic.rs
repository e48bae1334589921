//! `BackendTrafficPolicy`.

use serde::Deserialize;

use super::{Connection, Duration, Http2, TargetRef};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackendTrafficPolicy {
    target_refs: Vec<TargetRef>,
    load_balancer: Option<LoadBalancer>,
    retry: Option<Retry>,
    health_check: Option<HealthCheck>,
    circuit_breaker: Option<CircuitBreaker>,
    timeout: Option<Timeout>,
    connection: Option<Connection>,
    dns: Option<Dns>,
    http2: Option<Http2>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
enum LoadBalancer {
    ConsistentHash { consistent_hash: ConsistentHash },
    LeastRequest,
    RoundRobin,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase", deny_unknown_fields)]
enum ConsistentHash {
    Headers { headers: Vec<Header> },
    Cookie { cookie: Header },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retry {
    num_retries: Option<u32>,
    num_attempts_per_priority: Option<u32>,
    retry_on: Option<RetryOn>,
    per_retry: Option<PerRetry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RetryOn {
    triggers: Option<Vec<Trigger>>,
    http_status_codes: Option<Vec<u16>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Trigger {
    #[serde(rename = "5xx")]
    Any5xx,
    GatewayError,
    Reset,
    ConnectFailure,
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    RefusedStream,
    RetriableStatusCodes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PerRetry {
    timeout: Option<Duration>,
    back_off: Option<BackOff>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackOff {
    base_interval: Option<Duration>,
    max_interval: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HealthCheck {
    active: Option<Active>,
    panic_threshold: Option<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Active {
    r#type: Checker,
    timeout: Option<Duration>,
    interval: Option<Duration>,
    initial_jitter: Option<Duration>,
    unhealthy_threshold: Option<u32>,
    healthy_threshold: Option<u32>,
    http: HttpCheck,
}

#[derive(Deserialize)]
enum Checker {
    #[serde(rename = "HTTP")]
    Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpCheck {
    path: String,
    expected_statuses: Option<Vec<u16>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CircuitBreaker {
    max_connections: Option<u32>,
    max_pending_requests: Option<u32>,
    max_parallel_requests: Option<u32>,
    max_parallel_retries: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timeout {
    tcp: Option<TcpTimeout>,
    http: Option<HttpTimeout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TcpTimeout {
    connect_timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpTimeout {
    connection_idle_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    stream_idle_timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dns {
    dns_refresh_rate: Option<Duration>,
    respect_dns_ttl: Option<bool>,
    lookup_family: Option<LookupFamily>,
}

#[derive(Deserialize)]
enum LookupFamily {
    IPv4,
    IPv6,
    IPv4Preferred,
    IPv6Preferred,
    IPv4AndIPv6,
}
