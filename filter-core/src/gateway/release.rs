//! Releasing a numbered write, and what is kept of it until its answer.

use super::held::AppendInfo;
use super::{Gateway, Phase};
use crate::effects::{Effect, Exchange};
use crate::metrics::Metric;
use crate::ports::Cx;
use crate::reply::Reply;
use protocol::mutants::{self, Mutant};
use protocol::names::{self, route};
use protocol::pb::{self, Route};
use protocol::stamp::WriteStamp;
use protocol::{Incarnation, Link, Number, Position, SessionKey, Stamp};

/// A write on its way.
#[derive(Clone, Debug)]
pub(super) struct Released {
    pub(super) session: SessionKey,
    pub(super) number: Number,
    pub(super) token: u64,
    pub(super) route: Route,
    /// The id was in the log before.
    pub(super) known: bool,
    /// The status that the log knows; 0 if none.
    pub(super) status: u16,
}

impl Released {
    /// Its end, as told to the log.
    pub(super) fn end(&self, kind: pb::end::Kind, word: String) -> pb::End {
        pb::End {
            session: self.session.as_str().to_string(),
            epoch: self.number.epoch,
            seq: self.number.seq,
            kind: kind.into(),
            word,
            token: self.token,
            route: self.route.into(),
        }
    }
}

impl Gateway {
    /// Stamps a numbered write and lets it go.
    pub(super) fn release(
        &mut self,
        cx: &mut Cx<'_>,
        exchange: Exchange,
        token: u64,
        append: AppendInfo,
        numbered: pb::Numbered,
    ) {
        let after = numbered.after.as_ref().map(Position::from_wire);
        let (Some(link), None | Some(Some(_))) = (Link::from_wire(&numbered.link), after) else {
            self.cancel(cx, token, &append);
            return self.maybe_done(cx, exchange, "the log gave a number without a link");
        };
        cx.count(Metric::Appended);
        if mutants::on(Mutant::AckOnceNumbered) {
            return self.reply(cx, exchange, Reply::empty(200));
        }
        let number = Number { epoch: numbered.epoch, seq: numbered.seq };
        let route = match numbered.route() {
            Route::Secondary => Route::Secondary,
            Route::Primary | Route::Unspecified => Route::Primary,
        };
        let time_ms = match numbered.received_ms {
            0 => append.received_ms,
            ms => ms,
        };
        let stamp = Stamp::Write(Box::new(WriteStamp {
            session: append.session.clone(),
            number,
            link,
            id: append.id.clone(),
            time_ms,
            after: after.flatten(),
            delivery: false,
            noop: numbered.settled || numbered.known && mutants::on(Mutant::NoopForKnown),
            again: numbered.known,
            ran: None,
            log: self.welcome.as_ref().map(|w| w.log).unwrap_or_default(),
            journals: [
                Incarnation::from_wire(&numbered.primary_journal),
                Incarnation::from_wire(&numbered.secondary_journal),
            ],
        }));
        let way = match (append.refuse_when_cut, route) {
            (true, _) => route::PRIMARY_ONLY,
            (false, Route::Secondary) => route::SECONDARY,
            (false, _) => route::PRIMARY,
        };
        self.steer(cx, exchange, &stamp, way);
        let names = &self.config.names;
        let time = time_ms.to_string().into_bytes();
        cx.emit(Effect::SetRequestHeader(exchange, names.id.clone(), append.id.as_str().into()));
        cx.emit(Effect::SetRequestHeader(exchange, names.time.clone(), time));
        if let Some(cluster) = self.mirror(way, numbered.known) {
            cx.emit(Effect::SetRequestHeader(exchange, names::MIRROR.into(), cluster));
        }
        cx.emit(Effect::Resume(exchange));
        let before = after.flatten().map_or(Number::default(), |p| p.number);
        let first = (number.seq == 1 && !numbered.known).then_some(before);
        let spell = self.alone.spell(cx.ports);
        self.slots.routed(cx, &append.session, route, first.zip(spell));
        let status = u16::try_from(numbered.status).unwrap_or(0);
        let session = append.session;
        let known = numbered.known;
        let released = Released { session, number, token, route, known, status };
        self.exchanges.insert(exchange, Phase::Released(Box::new(released)));
    }

    /// The cluster that Envoy mirrors this write to, if it does.
    fn mirror(&self, way: &str, known: bool) -> Option<Vec<u8>> {
        let cluster = self.welcome.as_ref().map(|w| w.mirror_cluster.as_str())?;
        let mirrored = way == route::PRIMARY && !known && !cluster.is_empty();
        mirrored.then(|| cluster.into())
    }
}
