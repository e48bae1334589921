//! Memory depends on what is in use.

use crate::rig::*;
use protocol::limits;
use protocol::pb;
use protocol::pb::begun::Verdict;
use protocol::pb::guard_request::Kind as Ask;
use replay_log::journal::JournalConfig;
use replay_log::store::MemoryStore;

#[test]
fn sessions_not_in_use_leave_memory_and_come_back_from_disk() {
    let mut rig = Rig::new();
    let name = |n: usize| format!("session-{n}");
    let sessions = limits::SESSIONS_DEFAULT as usize + 500;
    for n in 0..sessions {
        let noop = pb::Begin { noop: true, ..of(&name(n), write(7, 1)) };
        rig.send(1, Ask::Begin(noop));
    }
    let status = rig.journal.status();
    assert_eq!(status.sessions, sessions as u64);
    assert_eq!(status.cached_sessions, limits::SESSIONS_DEFAULT);
    assert_eq!(rig.ask(of(&name(0), write(7, 1))), Some(Verdict::Ran));
    assert_eq!(rig.ask(of(&name(0), write(7, 2))), Some(Verdict::Run));
    rig.tick_after(config().session_idle_ms);
    assert_eq!(rig.journal.status().cached_sessions, 1);
}

#[test]
fn what_is_in_flight_or_waits_stays_in_memory() {
    let mut rig = Rig::new();
    let lasting = pb::Begin { run_timeout_ms: u32::MAX, ..of("runs", write(7, 1)) };
    assert_eq!(rig.ask(lasting), Some(Verdict::Run));
    let waits = rig.begin(pb::Begin { wait_ms: u32::MAX, ..of("waits", write(7, 2)) });
    rig.tick_after(10 * config().session_idle_ms);
    assert_eq!(rig.journal.status().cached_sessions, 2);
    rig.send(1, Ask::Leave(pb::Leave { token: waits }));
    rig.tick_after(config().session_idle_ms);
    assert_eq!(rig.journal.status().cached_sessions, 1);
}

#[test]
fn remembered_responses_are_bounded_over_all_sessions() {
    let bound = 20_000;
    let small = JournalConfig { remember_bytes: bound, ..config() };
    let mut rig = Rig::on(MemoryStore::new(), small);
    for n in 0..500 {
        rig.run(of(&format!("session-{n}"), write(7, 1)));
        assert!(rig.journal.status().remembered_bytes <= bound);
    }
    let (old, new) =
        (rig.begin(of("session-1", write(7, 1))), rig.begin(of("session-499", write(7, 1))));
    assert_eq!(rig.begun(old).unwrap().response, None);
    assert!(rig.begun(new).unwrap().response.is_some());
}
