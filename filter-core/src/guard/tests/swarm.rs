//! Anything in any order: writes, reads, grants, ends of calls, lost streams, leaving clients,
//! time. It is held that nothing runs without a grant or twice for one, that every used grant is
//! reported until it is noted, that no answer says "ran" before that, and that nothing stays
//! behind.

use super::*;
use crate::testing::Dice;
use std::collections::{BTreeMap, BTreeSet};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

struct Swarm {
    w: W,
    dice: Dice,
    /// Every stream is welcomed from now on.
    calm: bool,
    next: u64,
    live: BTreeSet<Exchange>,
    /// Questions that the journal has heard on this stream and not answered.
    asked: Vec<(u32, Kind)>,
    /// Granted and not noted, by seq.
    open: BTreeSet<u64>,
    /// Sent to the service and not ended.
    calls: Vec<u64>,
    /// The seq of each token.
    seqs: BTreeMap<u64, u64>,
    noted: BTreeSet<u64>,
    ran: usize,
}

impl Swarm {
    fn new(seed: u64) -> Swarm {
        Swarm {
            w: fresh(&Host::new()),
            dice: Dice::new(seed),
            calm: false,
            next: 1,
            live: BTreeSet::new(),
            asked: Vec::new(),
            open: BTreeSet::new(),
            calls: Vec::new(),
            seqs: BTreeMap::new(),
            noted: BTreeSet::new(),
            ran: 0,
        }
    }

    fn hear(&mut self) {
        // What was asked on a lost stream is not answered.
        let open = self.w.open;
        self.asked.retain(|(stream, _)| Some(*stream) == open);
        for (stream, message) in std::mem::take(&mut self.w.sent) {
            if Some(stream) != open {
                continue;
            }
            match pb::GuardRequest::decode(message.as_slice()).unwrap().kind.unwrap() {
                Kind::Hello(hello) => {
                    let running: BTreeSet<u64> = hello.running.iter().map(|r| r.seq).collect();
                    // What the hello does not name was not used.
                    self.open.retain(|seq| running.contains(seq));
                    assert_eq!(self.open, running, "only what was granted can run");
                    if self.calm || self.dice.below(4) > 0 {
                        self.w.message(&welcome());
                    }
                }
                // A begin may cross with its leave.
                Kind::Leave(leave) => self
                    .asked
                    .retain(|(_, k)| !matches!(k, Kind::AwaitRun(a) if a.token == leave.token)),
                kind => self.asked.push((stream, kind)),
            }
        }
    }

    fn step(&mut self) {
        match self.dice.below(13) {
            0..=2 => self.begin(),
            3..=6 => self.answer_of_the_journal(),
            7 | 8 => self.end_of_a_call(),
            9 => {
                let mut all: Vec<_> = self.live.iter().copied().collect();
                if let Some(e) = self.dice.take(&mut all) {
                    self.w.leave(e);
                    self.live.remove(&e);
                }
            }
            10 => {
                let ms = 20 * self.dice.below(20);
                self.w.pass(ms);
            }
            11 if self.w.open.is_some() && self.dice.below(3) == 0 => self.w.lose_stream(),
            _ => self.w.can_open = self.dice.below(3) > 0,
        }
        self.hear();
    }

    fn begin(&mut self) {
        let seq = self.next;
        self.next += 1;
        let e = seq as Exchange;
        self.live.insert(e);
        if self.dice.below(4) == 0 {
            let stamp = format!("v=1;kind=read;session=s;last=1.{}", seq * 1000);
            self.w.head(
                e,
                &[(":method", "GET"), (":path", "/"), ("x-reprise-stamp", &stamp)],
                true,
            );
            return;
        }
        let mut text = stamp(seq);
        if self.dice.below(3) == 0 {
            text.push_str(";delivery");
        }
        self.w.request(e, &write(&text), b"x");
    }

    fn answer_of_the_journal(&mut self) {
        match self.dice.take(&mut self.asked).map(|(_, kind)| kind) {
            Some(Kind::Begin(begin)) => {
                if self.dice.below(4) == 0 {
                    let gap = begun(begin.token, Grant::Gap);
                    self.w.message(&response(guard_response::Kind::Begun(gap)));
                    return;
                }
                self.seqs.insert(begin.token, begin.seq);
                self.open.insert(begin.seq);
                self.w.can_dispatch = self.dice.below(8) > 0;
                grant(&mut self.w, begin.token);
                assert!(self.w.dispatched.len() <= 1);
                if let Some(call) = self.w.dispatched.pop() {
                    assert!(self.open.contains(&begin.seq), "ran without a grant");
                    self.calls.push(call.token);
                }
            }
            Some(Kind::Outcome(outcome)) => {
                assert!(self.open.contains(&outcome.seq), "an outcome of what was not granted");
                let before = self.answered(outcome.seq);
                assert!(before.is_none_or(|v| !v.has_run()), "answered before it was noted");
                if outcome.kind() == pb::outcome::Kind::Ran {
                    self.ran += 1;
                }
                noted(&mut self.w, outcome.token, outcome.seq);
                self.open.remove(&outcome.seq);
                assert!(self.noted.insert(outcome.seq), "noted twice on one stream");
            }
            Some(Kind::AwaitRun(a)) => {
                let awaited =
                    pb::Awaited { token: a.token, ran: self.dice.below(2) == 0, at: None };
                self.w.message(&response(guard_response::Kind::Awaited(awaited)));
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn answered(&self, seq: u64) -> Option<Verdict> {
        let seen = self.w.exchanges.get(&(seq as Exchange))?;
        Word::parse(&seen.reply_header("x-reprise-word")?).map(|word| word.verdict)
    }

    fn end_of_a_call(&mut self) {
        let Some(token) = self.dice.take(&mut self.calls) else { return };
        let statuses = ["200", "200", "503", "504"];
        let status = statuses[self.dice.below(4) as usize];
        end(&mut self.w, token, answer(status), b"ok");
    }

    fn finish(mut self, seed: u64) -> usize {
        self.w.can_open = true;
        self.calm = true;
        while !self.calls.is_empty() {
            self.end_of_a_call();
        }
        for _ in 0..200 {
            self.w.pass(40);
            self.hear();
            for _ in 0..4 {
                self.answer_of_the_journal();
                self.end_of_a_call();
                self.hear();
            }
        }
        for e in self.live.clone() {
            let seen = self.w.seen(e);
            assert!(seen.passed || seen.reply.is_some(), "seed {seed}: {e} hangs");
            self.w.leave(e);
        }
        assert!(self.open.is_empty(), "seed {seed}: {:?} never reported", self.open);
        assert_eq!(self.w.role.exchanges(), 0, "seed {seed}");
        assert_eq!(self.w.role.reads.len(), 0, "seed {seed}");
        assert_eq!((self.w.role.runs.len(), self.w.role.runs.bytes()), (0, 0), "seed {seed}");
        self.ran
    }
}

#[test]
fn every_used_grant_is_reported_and_nobody_hangs() {
    let mut ran = 0;
    for seed in 0..150 {
        let mut swarm = Swarm::new(seed);
        for _ in 0..250 {
            swarm.step();
        }
        ran += swarm.finish(seed);
    }
    assert!(ran > 300, "{ran}");
}
