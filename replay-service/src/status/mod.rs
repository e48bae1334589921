//! What `GET /status` says: the engines' figures as JSON whose keys stay as they are.

pub mod text;

use protocol::Replica;
use replay_log::journal::{self, ConflictCase, ForcedCase, InDoubtCase};
use replay_log::log::{self, Case, Event, HeldUp};
use replay_log::store::{Durability, StoreStats};
use serde_json::{Map, Value, json};

/// The whole status; an engine that this site does not have is `null`.
pub fn json(service: &str, log: Option<&log::Status>, journal: Option<&journal::Status>) -> Value {
    json!({
        "service": service,
        "version": env!("CARGO_PKG_VERSION"),
        "log": log.map(log_json),
        "journal": journal.map(journal_json),
    })
}

fn log_json(s: &log::Status) -> Value {
    json!({
        "sessions": s.sessions,
        "pinned": s.pinned,
        "entries": s.entries,
        "bytes": s.bytes,
        "full": s.full.is_some(),
        "full_cause": s.full.map(log::Full::name),
        "numbered": s.numbered,
        "deduplicated": s.deduplicated,
        "withdrawn": s.withdrawn,
        "maybe_done": s.maybe_done,
        "handed_back": s.handed_back,
        "held": s.held,
        "longest_hold_ms": s.longest_hold_ms,
        "holds_expired": s.holds_expired,
        "taken_over": s.taken_over,
        "refused": {
            "full": s.refused_full,
            "payload-mismatch": s.refused_mismatch,
            "cut": s.refused_cut,
            "invalid": s.refused_invalid,
            "superseded": s.refused_superseded,
        },
        "backlog": by_replica(s.backlog),
        "oldest_ms": by_replica(s.oldest_ms),
        "delivered": by_replica(s.delivered),
        "delivered_duplicates": by_replica(s.duplicates),
        "deliveries_repeated": by_replica(s.repeated),
        "away": by_replica(s.away),
        "unseeded": by_replica(s.unseeded),
        "gateways": s.gateways,
        "ids": s.ids,
        "ids_evicted_early": s.ids_evicted_early,
        "diverged": s.diverged.iter().map(case).collect::<Vec<_>>(),
        "in_doubt": s.in_doubt.iter().map(held_up).collect::<Vec<_>>(),
        "held_up": s.held_up.iter().map(held_up).collect::<Vec<_>>(),
        "conflicts": s.conflicts.iter().map(case).collect::<Vec<_>>(),
        "quarantined": s.quarantined.iter().map(case).collect::<Vec<_>>(),
        "events": s.events.iter().map(event).collect::<Vec<_>>(),
        "store": store(s.store),
    })
}

fn journal_json(s: &journal::Status) -> Value {
    json!({
        "replica": s.replica.name(),
        "unseeded": s.unseeded,
        "incomplete": s.incomplete,
        "sessions": s.sessions,
        "cached_sessions": s.cached_sessions,
        "running": s.running,
        "waiting": s.waiting,
        "ran": s.ran,
        "duplicates": s.duplicates,
        "gaps": s.gaps,
        "redone": s.redone,
        "skipped": s.skipped,
        "conflicts": s.conflicts,
        "contradictions": s.contradictions,
        "malformed": s.malformed,
        "turned_away": s.turned_away,
        "waited": s.waited,
        "overdue": s.overdue,
        "distrusted": s.distrusted,
        "stale_epochs": s.stale_epochs,
        "refused_unseeded": s.refused_unseeded,
        "guards": s.guards,
        "remembered_bytes": s.remembered_bytes,
        "in_doubt_total": s.in_doubt_total,
        "in_doubt": s.in_doubt.iter().map(doubt_here).collect::<Vec<_>>(),
        "forced": s.forced_cases.iter().map(forced_here).collect::<Vec<_>>(),
        "conflicting": s.conflict_cases.iter().map(conflict_here).collect::<Vec<_>>(),
        "store": store(s.store),
    })
}

fn doubt_here(d: &InDoubtCase) -> Value {
    json!({
        "session": d.session.to_string(),
        "number": d.number.to_string(),
        "method": d.method,
        "path": d.path,
        "id": d.id,
    })
}

fn forced_here(f: &ForcedCase) -> Value {
    json!({
        "session": f.session.to_string(),
        "number": f.number.to_string(),
        "from": f.from.map(|at| at.to_string()),
    })
}

fn conflict_here(c: &ConflictCase) -> Value {
    json!({
        "session": c.session.to_string(),
        "number": c.number.to_string(),
        "method": c.method,
        "path": c.path,
        "id": c.id,
        "at": c.at.map(|at| at.to_string()),
    })
}

fn by_replica<T: Copy>(values: [T; 2]) -> Value
where
    Value: From<T>,
{
    let entry = |r: Replica| (r.name().to_string(), values[r.index()].into());
    Value::Object(Replica::BOTH.map(entry).into_iter().collect())
}

fn case(c: &Case) -> Value {
    let answer = |replica: Replica| {
        let (status, digest) = &c.answers[replica.index()];
        json!({"status": status, "digest": digest})
    };
    json!({
        "session": c.session,
        "number": c.number.to_string(),
        "method": c.method,
        "path": c.path,
        "kind": c.kind,
        "detail": c.detail,
        "primary": answer(Replica::Primary),
        "secondary": answer(Replica::Secondary),
    })
}

fn held_up(d: &HeldUp) -> Value {
    json!({
        "kind": d.kind,
        "session": d.session,
        "number": d.number.to_string(),
        "replica": d.replica.name(),
        "method": d.method,
        "path": d.path,
    })
}

fn event(e: &Event) -> Value {
    let mut event = Map::new();
    event.insert("seq".into(), e.seq.into());
    event.insert("at_ms".into(), e.at_ms.into());
    event.insert("kind".into(), e.kind.into());
    if let Some(replica) = e.replica {
        event.insert("replica".into(), replica.name().into());
    }
    if let Some(session) = &e.session {
        event.insert("session".into(), session.as_str().into());
    }
    if !e.detail.is_empty() {
        event.insert("detail".into(), e.detail.as_str().into());
    }
    Value::Object(event)
}

fn store(stats: StoreStats) -> Value {
    let durability = match stats.durability {
        Durability::Memory => "memory",
        Durability::Synced => "synced",
    };
    json!({
        "bytes": stats.disk_bytes,
        "durability": durability,
        "room": stats.room,
        "torn": stats.torn,
    })
}
