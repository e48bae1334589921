//! Histories made by hand, for the checkers' tests.

use super::{Promise, Verdict, judge};
use crate::history::{
    Ended, History, Kind, Listed, Micros, Note, Op, Outcome, Run, Sample, Session,
};
use scenario::{Fault, Load, ReplicaFault as Replica, Scenario, What};

/// A run of one shop that came to rest, and what was seen of it. Times are microseconds.
#[derive(Clone)]
pub struct Hand {
    scenario: Scenario,
    history: History,
    ended: Ended,
    session: Session,
}

impl Hand {
    pub fn new() -> Hand {
        let yaml = "{name: by-hand, duration_ms: 10000, load: {sessions: 1, writes_per_second: 1}}";
        let ended = Ended {
            healed_us: 10_000_000,
            at_rest_us: vec![Some(11_000_000)],
            listed: vec![Listed::default()],
            virtual_us: 11_000_000,
            events: 1,
        };
        let session = Session { shop: 0, index: 0 };
        let mut scenario = scenario::read(yaml).unwrap();
        // Clients that give up hear of failures that nobody judges: most tests are not about them.
        scenario.load.aborts_per_mille = 1;
        Hand { scenario, history: History::default(), ended, session }
    }

    /// The following is of this session.
    pub fn session(mut self, index: u32) -> Hand {
        self.session.index = index;
        self
    }

    /// The following is of this shop, which came to rest too.
    pub fn shop(mut self, shop: u32) -> Hand {
        self.session.shop = shop;
        self.scenario.stack.shops = self.scenario.stack.shops.max(shop + 1);
        let shops = self.scenario.stack.shops as usize;
        self.ended.at_rest_us.resize(shops, Some(11_000_000));
        self.ended.listed.resize(shops, Listed::default());
        self
    }

    fn op(mut self, kind: Kind, times: [Micros; 2], outcome: Outcome) -> Hand {
        let status = if outcome == Outcome::Ok { 201 } else { 503 };
        self.history.ops.push(Op {
            session: self.session,
            kind,
            sent_us: times[0],
            ended_us: Some(times[1]),
            outcome,
            tries: 1,
            status,
            showed: None,
        });
        self
    }

    /// A POST that is acknowledged.
    pub fn write(self, label: u32, sent: Micros, ended: Micros) -> Hand {
        self.op(Kind::Write { label, idempotent: false }, [sent, ended], Outcome::Ok)
    }

    /// A PUT that is acknowledged.
    pub fn put(self, label: u32, sent: Micros, ended: Micros) -> Hand {
        self.op(Kind::Write { label, idempotent: true }, [sent, ended], Outcome::Ok)
    }

    /// A POST of which its client does not know what became.
    pub fn unknown(self, label: u32, sent: Micros, ended: Micros) -> Hand {
        let outcome = Outcome::Unknown("maybe-done".into());
        self.op(Kind::Write { label, idempotent: false }, [sent, ended], outcome)
    }

    /// A POST that is refused.
    pub fn refused(self, label: u32, sent: Micros, ended: Micros) -> Hand {
        let outcome = Outcome::Refused("log-full".into());
        self.op(Kind::Write { label, idempotent: false }, [sent, ended], outcome)
    }

    /// A read that shows so many runs of a replica.
    pub fn read(self, sent: Micros, replica: Replica, count: usize) -> Hand {
        let mut hand = self.op(Kind::Read, [sent, sent + 1], Outcome::Ok);
        hand.history.ops.last_mut().unwrap().showed = Some((replica, count));
        hand
    }

    fn run(mut self, replica: Replica, label: u32, at_us: Micros, unanswered: bool) -> Hand {
        self.history.runs.push(Run { replica, session: self.session, label, at_us, unanswered });
        self
    }

    pub fn at_primary(self, label: u32, at: Micros) -> Hand {
        self.run(Replica::Primary, label, at, false)
    }

    pub fn at_secondary(self, label: u32, at: Micros) -> Hand {
        self.run(Replica::Secondary, label, at, false)
    }

    pub fn both(self, label: u32, at: Micros) -> Hand {
        self.at_primary(label, at).at_secondary(label, at)
    }

    /// A run at the primary whose answer never came out.
    pub fn unanswered(self, label: u32, at: Micros) -> Hand {
        self.run(Replica::Primary, label, at, true)
    }

    pub fn note(mut self, kind: &'static str) -> Hand {
        self.history.notes.push(Note { at_us: 0, shop: Some(0), kind, text: String::new() });
        self
    }

    pub fn sample(mut self, shop: u32, in_doubt: u64) -> Hand {
        self.history.samples.push(Sample { shop, in_doubt, ..Sample::default() });
        self
    }

    pub fn cloud_load(mut self, per_second: impl Into<Vec<u32>>) -> Hand {
        self.history.cloud_load = per_second.into();
        self
    }

    pub fn fault(mut self, at_ms: u64, for_ms: Option<u64>, what: What) -> Hand {
        self.scenario.faults.push(Fault { at_ms, for_ms, shop: None, what });
        self
    }

    pub fn load(self, change: impl FnOnce(&mut Load)) -> Hand {
        self.scenario(|scenario| change(&mut scenario.load))
    }

    pub fn scenario(mut self, change: impl FnOnce(&mut Scenario)) -> Hand {
        change(&mut self.scenario);
        self
    }

    pub fn listing(mut self, change: impl FnOnce(&mut Listed)) -> Hand {
        change(&mut self.ended.listed[0]);
        self
    }

    /// The first shop never comes to rest.
    pub fn restless(mut self) -> Hand {
        self.ended.at_rest_us[0] = None;
        self
    }

    pub fn verdict(&self) -> Verdict {
        judge(&self.scenario, &self.history, &self.ended)
    }

    #[track_caller]
    pub fn holds(self) {
        assert_eq!(self.verdict(), Verdict::default());
    }

    /// This promise is broken so often, and no other.
    #[track_caller]
    pub fn breaks(self, promise: Promise, count: u64) {
        let verdict = self.verdict();
        let found: Vec<_> = verdict.broken.iter().map(|b| (b.promise, b.count)).collect();
        assert_eq!(found, [(promise, count)], "{verdict:?}");
    }

    /// A finding of this promise has these words in it.
    #[track_caller]
    pub fn says(self, promise: Promise, words: &str) {
        let verdict = self.verdict();
        let broken = verdict.broken.iter().find(|broken| broken.promise == promise).unwrap();
        assert!(broken.examples.iter().any(|text| text.contains(words)), "{:?}", broken.examples);
    }
}
