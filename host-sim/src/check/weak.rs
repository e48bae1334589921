//! What an old or lost store excuses.
//!
//! A log that came back older than it was knows neither the numbers nor the ids that it has
//! given out, so what was under way or not yet delivered may be lost, doubled or read too early
//! (decision 0005). What comes later may only go wrong where the shop's lists say so, and so may
//! everything if it was the journal of the primary that was lost. What that journal had run and
//! the log had not yet heard of may run again: no record of it is left anywhere.

use super::seen::acknowledged;
use crate::history::{Ended, Op};
use scenario::{Fault, Old, Process, Scenario, What};
use std::collections::BTreeMap;

/// The shops whose stores were not what they had been.
pub struct Weak {
    shops: BTreeMap<u32, Shop>,
}

#[derive(Default)]
struct Shop {
    /// If it was the log: when its store was lost first, and when it was back for good.
    log_us: Option<[u64; 2]>,
    /// If it was the primary's journal: when its store was back for good.
    journal_us: Option<u64>,
    /// Whether any list of the shop says that something is not as it should be.
    listed: bool,
}

impl Weak {
    pub fn new(scenario: &Scenario, ended: &Ended) -> Weak {
        let mut shops: BTreeMap<u32, Shop> = BTreeMap::new();
        for fault in &scenario.faults {
            let What::Store(Old { of, .. }) = fault.what else { continue };
            for shop in (0..scenario.stack.shops).filter(|shop| concerns(fault, *shop)) {
                let weak = shops.entry(shop).or_default();
                if of == Process::EdgeReprise {
                    let back = back_us(scenario, fault.at_ms, of, shop);
                    let [lost, last] = weak.log_us.unwrap_or([u64::MAX, 0]);
                    let lost = lost.min(fault.at_ms.saturating_mul(1_000));
                    weak.log_us = Some([lost, last.max(back)]);
                }
                if of == Process::CloudReprise {
                    let back = back_us(scenario, fault.at_ms, of, shop);
                    // Without a start nobody meets the old store.
                    let met = (back < u64::MAX).then_some(back);
                    weak.journal_us = weak.journal_us.max(met);
                }
                let lists = usize::try_from(shop).ok().and_then(|shop| ended.listed.get(shop));
                weak.listed = lists.is_some_and(|lists| {
                    !(lists.diverged.is_empty()
                        && lists.conflicts.is_empty()
                        && lists.quarantined.is_empty()
                        && lists.waiting.is_empty())
                });
            }
        }
        Weak { shops }
    }

    /// Whether a store of this shop was old or lost.
    pub fn has(&self, shop: u32) -> bool {
        self.shops.contains_key(&shop)
    }

    /// Whether a store of this shop was lost and a list of it names what waits for a decision.
    pub fn waits(&self, shop: u32) -> bool {
        self.shops.get(&shop).is_some_and(|shop| shop.listed)
    }

    /// Whether what became of this request is excused.
    pub fn excuses(&self, op: &Op) -> bool {
        self.shops.get(&op.session.shop).is_some_and(|shop| {
            shop.listed || shop.log_us.is_some_and(|[_, back]| op.sent_us <= back)
        })
    }

    /// Whether the primary's journal may have forgotten a run of this time, while the log had not
    /// heard of it either: then nobody knows of it, and it is no duplicate to anybody.
    pub fn ran_unknown(&self, shop: u32, at_us: u64) -> bool {
        let back = self.shops.get(&shop).and_then(|shop| shop.journal_us);
        back.is_some_and(|back| at_us <= back)
    }

    /// Whether the log may have forgotten this write while its client still tried, so that the
    /// next try was a new write.
    pub fn forgets(&self, op: &Op) -> bool {
        let log = self.shops.get(&op.session.shop).and_then(|shop| shop.log_us);
        log.is_some_and(|[lost, back]| {
            op.sent_us <= back && acknowledged(op).is_none_or(|when| when >= lost)
        })
    }
}

/// Whether a fault is one of this shop.
pub fn concerns(fault: &Fault, shop: u32) -> bool {
    fault.shop.is_none_or(|of| of == shop)
}

/// The next start of a process at or after `at_ms`; never if nothing ends it.
fn back_us(scenario: &Scenario, at_ms: u64, process: Process, shop: u32) -> u64 {
    let starts = scenario.faults.iter().filter(|fault| concerns(fault, shop)).filter_map(|fault| {
        let (What::Crash(of) | What::Restart(of)) = fault.what else { return None };
        let end = fault.at_ms + fault.for_ms.unwrap_or(scenario.duration_ms);
        (of == process && end >= at_ms).then_some(end)
    });
    // A fault begins anywhere inside its millisecond.
    starts.min().map_or(u64::MAX, |ms| ms.saturating_add(1).saturating_mul(1_000))
}
