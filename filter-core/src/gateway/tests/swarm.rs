//! Anything in any order: requests, answers of the log, lost streams, leaving clients, time. The
//! fake host fails on a second reply or an effect for an exchange that is gone; here it is held
//! that everybody is answered in time, that nothing is acknowledged without a word, that every
//! released write has exactly one end, and that nothing stays behind.

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
    next: Exchange,
    /// Exchanges that are not over, with the time at which they became complete.
    live: BTreeMap<Exchange, u64>,
    /// Questions that the log has heard and not answered.
    asked: Vec<(u32, Kind)>,
    next_seq: u64,
    released: BTreeSet<u64>,
    ended: Vec<u64>,
    acknowledged: usize,
}

impl Swarm {
    fn new(seed: u64) -> Swarm {
        Swarm {
            w: fresh(&Host::new()),
            dice: Dice::new(seed),
            calm: false,
            next: 0,
            live: BTreeMap::new(),
            asked: Vec::new(),
            next_seq: 1,
            released: BTreeSet::new(),
            ended: Vec::new(),
            acknowledged: 0,
        }
    }

    fn hear(&mut self) {
        // What was asked on a lost stream is not answered.
        let open = self.w.open;
        self.asked.retain(|(stream, _)| Some(*stream) == open);
        for (stream, message) in std::mem::take(&mut self.w.sent) {
            let message = pb::GatewayRequest::decode(message.as_slice()).unwrap();
            self.ended.extend(message.ends.iter().map(|end| end.seq));
            match message.kind {
                Some(kind @ (Kind::Append(_) | Kind::Locate(_))) if Some(stream) == open => {
                    self.asked.push((stream, kind));
                }
                Some(Kind::Hello(_))
                    if Some(stream) == open && (self.calm || self.dice.below(4) > 0) =>
                {
                    self.w.message(&welcome(true));
                }
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        match self.dice.below(12) {
            0..=2 => self.begin(),
            3..=5 => self.answer_of_the_log(),
            6 | 7 => self.answer_of_a_replica(),
            8 => self.leave(),
            9 => {
                let ms = 20 * self.dice.below(20);
                self.w.pass(ms);
            }
            10 if self.w.open.is_some() && self.dice.below(3) == 0 => {
                self.w.lose_stream();
            }
            _ => self.w.can_open = self.dice.below(3) > 0,
        }
        self.hear();
    }

    fn begin(&mut self) {
        let e = self.next;
        self.next += 1;
        let (session, id) =
            (format!("s{}", self.dice.below(3)), format!("k{}", self.dice.below(9)));
        match self.dice.below(4) {
            0 => self.w.head(e, &get(&session, "/"), true),
            1 => self.w.request(e, &post(&session, &id, "/pay"), b"x"),
            _ => self.w.request(e, &post(&session, &id, "/a"), b"x"),
        }
        self.live.insert(e, self.w.host.now().mono_ms);
    }

    fn answer_of_the_log(&mut self) {
        let Some((_, question)) = self.dice.take(&mut self.asked) else { return };
        let again = self.dice.below(5) == 0;
        let passed: Vec<Exchange> = self.passed();
        let answer = match &question {
            Kind::Append(a) => {
                let known = self.dice.below(4) == 0;
                self.next_seq += 1;
                numbered(a.token, pb::Numbered { known, ..number(self.next_seq) })
            }
            Kind::Locate(l) => located(l.token, self.dice.below(3), Route::Primary),
            other => panic!("{other:?}"),
        };
        self.w.message(&answer);
        for e in self.passed().into_iter().filter(|e| !passed.contains(e)) {
            if let Stamp::Write(stamp) = stamp(&self.w, e) {
                assert!(self.released.insert(stamp.number.seq));
            }
        }
        if again {
            self.w.message(&answer);
        }
    }

    fn passed(&self) -> Vec<Exchange> {
        self.live.keys().copied().filter(|e| self.w.seen(*e).passed).collect()
    }

    fn answer_of_a_replica(&mut self) {
        let passed = self.passed();
        let Some(e) = self.dice.take(&mut passed.clone()) else { return };
        let seq = match stamp(&self.w, e) {
            Stamp::Write(stamp) => stamp.number.seq,
            _ => 0,
        };
        let verdicts = ["ran", "remembered", "forgotten", "gap", "in-doubt"];
        let verdict = verdicts[self.dice.below(5) as usize];
        let word = word(verdict, "secondary", seq);
        let with_word = self.dice.below(4) > 0;
        let mut list = vec![(":status", "200")];
        if with_word {
            list.push(("x-reprise-word", word.as_str()));
        }
        self.w.respond(e, &list);
        if seq > 0 && self.w.seen(e).reply.is_none() {
            self.acknowledged += 1;
            assert!(with_word && matches!(verdict, "ran" | "remembered"));
        }
        self.w.leave(e);
        self.live.remove(&e);
    }

    fn leave(&mut self) {
        let mut all: Vec<Exchange> = self.live.keys().copied().collect();
        if let Some(e) = self.dice.take(&mut all) {
            self.w.leave(e);
            self.live.remove(&e);
        }
    }

    fn finish(mut self, seed: u64) -> usize {
        self.w.can_open = true;
        self.calm = true;
        for _ in 0..60 {
            self.w.pass(50);
            self.hear();
        }
        for e in self.live.keys().copied().collect::<Vec<_>>() {
            let seen = self.w.seen(e);
            assert!(seen.passed || seen.reply.is_some(), "seed {seed}: {e} hangs");
            self.w.leave(e);
        }
        while self.w.role.stream.ready().is_none() {
            self.w.pass(20);
            self.hear();
        }
        self.w.tick();
        self.hear();
        assert_eq!(self.w.role.exchanges(), 0, "seed {seed}");
        assert_eq!(self.w.role.held.len(), 0, "seed {seed}");
        self.ended.sort_unstable();
        let released: Vec<u64> = self.released.into_iter().collect();
        assert_eq!(self.ended, released, "seed {seed}: one end for each released write");
        self.acknowledged
    }
}

#[test]
fn everybody_is_answered_and_every_released_write_has_one_end() {
    let mut acknowledged = 0;
    for seed in 0..150 {
        let mut swarm = Swarm::new(seed);
        for _ in 0..250 {
            swarm.step();
        }
        acknowledged += swarm.finish(seed);
    }
    assert!(acknowledged > 300, "{acknowledged}");
}
