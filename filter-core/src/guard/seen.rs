//! How far this replica has run in each session, as far as this Envoy has heard: lets reads pass
//! without asking the journal. Shared by its workers. A slot may lag behind, never run ahead.

use crate::config::GuardConfig;
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::table::{Slot, Table};
use protocol::{Number, SessionKey};

#[derive(Debug)]
pub(super) struct Seen(Table);

impl Seen {
    pub(super) fn new(config: &GuardConfig) -> Seen {
        let prefix = format!("reprise/guard/{}/{}/t", config.service, config.replica);
        Seen(Table::new(prefix, config.sessions))
    }

    /// Whether the replica is known to have run this far.
    pub(super) fn has_run(&self, cx: &Cx<'_>, session: &SessionKey, number: Number) -> bool {
        self.0.get(cx.ports, session).is_some_and(|slot| slot.last >= number)
    }

    /// The replica has run this far.
    pub(super) fn ran(&self, cx: &mut Cx<'_>, session: &SessionKey, number: Number) {
        let evicted = self.0.update(cx.ports, session, |old| {
            let last = old.map_or(number, |old| old.last.max(number));
            Some(Slot { last, mark: 0 })
        });
        if evicted {
            cx.count(Metric::TableEvictions);
        }
    }
}
