//! The configuration of a gateway.

use super::{
    Class, Limits, Names, Routes, SessionSource, routes, service, session, stream_cluster,
};
use protocol::fields::{Fields, Problems, header_name};

/// A checked gateway configuration.
#[derive(Debug)]
pub struct GatewayConfig {
    /// The service.
    pub service: String,
    /// Where a request names its session.
    pub session: SessionSource,
    /// The header with a write's id; minted where absent.
    pub id_header: String,
    /// The Envoy cluster of the replay service.
    pub log_cluster: String,
    /// How long a request may wait for the log, milliseconds.
    pub timeout_ms: u64,
    /// Longest body of a write, bytes.
    pub body_bytes: usize,
    /// Sessions of the slot table.
    pub sessions: u64,
    /// Classes of requests; of the others, the default.
    pub routes: Routes<Class>,
    /// Whether a client that sends our headers is refused.
    pub strict: bool,
    /// Names of our headers.
    pub names: Names,
}

/// What `replay_log.timeout_ms` is unless set.
const TIMEOUT_MS: u64 = 2000;

pub(super) fn read(mut fields: Fields<'_>, problems: &mut Problems) -> GatewayConfig {
    let service = service(&mut fields, problems);
    let session = session::read(&mut fields, problems);
    let id_header = id_header(&mut fields, problems);
    let mut log = fields.object("replay_log", problems);
    let log_cluster = stream_cluster(&mut log, problems);
    let timeout_ms = log.number("timeout_ms", TIMEOUT_MS, 10..=600_000, problems);
    log.finish(problems);
    let limits = Limits::read(&mut fields, problems);
    let routes = routes::read(&mut fields, problems, routes::class);
    let strict = fields.boolean("strict", false, problems);
    let names = Names::read(&mut fields, problems);
    fields.finish(problems);
    if names.is_ours(&id_header) {
        problems.add("id.header", "is one of our own headers, which clients may not send");
    }
    if let SessionSource::Header(name) = &session
        && names.is_ours(name)
    {
        problems.add("session.header", "is one of our own headers, which clients may not send");
    }
    GatewayConfig {
        service,
        session,
        id_header,
        log_cluster,
        timeout_ms,
        body_bytes: limits.body_bytes,
        sessions: limits.sessions,
        routes,
        strict,
        names,
    }
}

fn id_header(fields: &mut Fields<'_>, problems: &mut Problems) -> String {
    let mut id = fields.object("id", problems);
    let header = id.string("header", problems);
    if let Some(name) = header {
        header_name(&id.path("header"), name, problems);
    }
    id.finish(problems);
    header.unwrap_or("idempotency-key").to_string()
}
