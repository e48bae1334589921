//! How far this replica has run in each session, as far as this Envoy has heard: lets reads pass
//! without asking the journal. Shared by its workers. A slot may lag behind, never run ahead.
//!
//! An Envoy may outlive its replica and the journal with it, so a slot counts only in the life of
//! the journal that it was learned from: the mark is that life's.

use crate::config::GuardConfig;
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::table::{Slot, Table};
use protocol::{Incarnation, Number, SessionKey};

#[derive(Debug)]
pub(super) struct Seen(Table);

impl Seen {
    pub(super) fn new(config: &GuardConfig) -> Seen {
        let prefix = format!("reprise/guard/{}/{}/t", config.service, config.replica);
        Seen(Table::new(prefix, config.sessions))
    }

    /// Whether the replica is known, from this life of its journal, to have run this far.
    pub(super) fn has_run(
        &self,
        cx: &Cx<'_>,
        journal: Incarnation,
        session: &SessionKey,
        number: Number,
    ) -> bool {
        let Some(mark) = mark(journal) else { return false };
        let slot = self.0.get(cx.ports, session);
        slot.is_some_and(|slot| slot.mark == mark && slot.last >= number)
    }

    /// This life of the journal says that the replica has run this far.
    pub(super) fn ran(
        &self,
        cx: &mut Cx<'_>,
        journal: Incarnation,
        session: &SessionKey,
        number: Number,
    ) {
        let Some(mark) = mark(journal) else { return };
        let evicted = self.0.update(cx.ports, session, |old| {
            let known = old.filter(|old| old.mark == mark);
            let last = known.map_or(number, |old| old.last.max(number));
            Some(Slot { last, mark })
        });
        if evicted {
            cx.count(Metric::TableEvictions);
        }
    }
}

/// What stands for a life in a slot: 32 bits of it, never 0, which stands for none.
fn mark(journal: Incarnation) -> Option<u32> {
    let [a, b, c, d, ..] = journal.0;
    journal.is_known().then(|| u32::from_le_bytes([a, b, c, d]).max(1))
}
