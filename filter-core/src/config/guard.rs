//! The configuration of a guard.

use super::{Limits, Names, Routes, routes, service, stream_cluster};
use protocol::fields::{Fields, Problems};
use protocol::pb::InDoubtPolicy;
use protocol::{Replica, limits};

/// A checked guard configuration.
#[derive(Debug)]
pub struct GuardConfig {
    /// The service.
    pub service: String,
    /// The replica that it stands before.
    pub replica: Replica,
    /// The Envoy cluster of the journal.
    pub journal_cluster: String,
    /// The Envoy cluster of the replica itself.
    pub service_cluster: String,
    /// How long a run may take, milliseconds.
    pub run_timeout_ms: u64,
    /// How long to wait for what precedes a request, milliseconds.
    pub gap_wait_ms: u64,
    /// Longest response body that is remembered, bytes.
    pub response_bytes: usize,
    /// Longest body of a write, bytes.
    pub body_bytes: usize,
    /// Sessions of the slot table.
    pub sessions: u64,
    /// What becomes of writes in doubt.
    pub in_doubt: InDoubt,
    /// Names of our headers.
    pub names: Names,
}

/// `in_doubt`: what becomes of writes of which nobody knows whether they ran.
#[derive(Debug)]
pub struct InDoubt {
    default: InDoubtPolicy,
    routes: Routes<InDoubtPolicy>,
}

impl InDoubt {
    /// The policy for a write.
    pub fn policy(&self, method: &str, path: &str) -> InDoubtPolicy {
        self.routes.of(method, path).unwrap_or(self.default)
    }

    fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> InDoubt {
        let mut fields = fields.object("in_doubt", problems);
        let default = fields.choice("default", &POLICIES, problems);
        let routes = routes::read(&mut fields, problems, |route, problems| {
            if !route.has("policy") {
                route.required("policy", problems);
            }
            route.choice("policy", &POLICIES, problems).unwrap_or(InDoubtPolicy::ByMethod)
        });
        fields.finish(problems);
        InDoubt { default: default.unwrap_or(InDoubtPolicy::ByMethod), routes }
    }
}

/// What `run_timeout_ms` is unless set.
const RUN_TIMEOUT_MS: u64 = 5000;
/// What `gap_wait_ms` is unless set.
const GAP_WAIT_MS: u64 = 800;

const POLICIES: [(&str, InDoubtPolicy); 3] = [
    ("by_method", InDoubtPolicy::ByMethod),
    ("hold", InDoubtPolicy::Hold),
    ("redo", InDoubtPolicy::Redo),
];

pub(super) fn read(mut fields: Fields<'_>, problems: &mut Problems) -> GuardConfig {
    let service = service(&mut fields, problems);
    let replica = replica(&mut fields, problems);
    let mut journal = fields.object("journal", problems);
    let journal_cluster = stream_cluster(&mut journal, problems);
    journal.finish(problems);
    let service_cluster = fields.required("service_cluster", problems).to_string();
    let run_timeout_ms = fields.number("run_timeout_ms", RUN_TIMEOUT_MS, 10..=600_000, problems);
    let gap_wait_ms = fields.number("gap_wait_ms", GAP_WAIT_MS, 1..=600_000, problems);
    if gap_wait_ms > run_timeout_ms {
        let what = format!("is longer than run_timeout_ms ({run_timeout_ms})");
        problems.add("gap_wait_ms", what);
    }
    let mut remember = fields.object("remember", problems);
    let response_bytes = remember.number(
        "response_bytes",
        limits::RESPONSE_BYTES_DEFAULT,
        0..=limits::BODY_BYTES_MAX,
        problems,
    );
    remember.finish(problems);
    let limits = Limits::read(&mut fields, problems);
    let in_doubt = InDoubt::read(&mut fields, problems);
    let names = Names::read(&mut fields, problems);
    fields.finish(problems);
    GuardConfig {
        service,
        replica,
        journal_cluster,
        service_cluster,
        run_timeout_ms,
        gap_wait_ms,
        response_bytes: usize::try_from(response_bytes).unwrap_or(usize::MAX),
        body_bytes: limits.body_bytes,
        sessions: limits.sessions,
        in_doubt,
        names,
    }
}

fn replica(fields: &mut Fields<'_>, problems: &mut Problems) -> Replica {
    let choices = Replica::BOTH.map(|r| (r.name(), r));
    if !fields.has("replica") {
        fields.required("replica", problems);
    }
    fields.choice("replica", &choices, problems).unwrap_or(Replica::Primary)
}
