//! Which gateways are connected, and whether one of them is alone.
//!
//! A gateway that is alone answers reads from its own table. So another one is let in only when
//! every worker of those that are there has confirmed, with another hello, that it knows of not
//! being alone any more; until then the newcomer waits for its welcome. This is how a gateway
//! Envoy is replaced by a new one, hot, while it still serves. When one remains it is told so.

use super::{Log, Output, Staged};
use crate::StreamId;
use protocol::pb;
use std::collections::BTreeMap;

/// The streams of gateway workers.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    /// Those welcomed, each with its gateway's name.
    pub welcomed: BTreeMap<StreamId, Vec<u8>>,
    /// Those that wait until the others have confirmed.
    waiting: BTreeMap<StreamId, Vec<u8>>,
    /// Hellos that are still to come from a stream that was welcomed again.
    owed: BTreeMap<StreamId, u32>,
    /// What the welcomed were told last.
    told_sole: bool,
}

impl Gateways {
    /// Whether all that are welcomed are workers of one Envoy.
    fn is_one(&self) -> bool {
        let mut names = self.welcomed.values();
        let first = names.next();
        names.all(|name| Some(name) == first)
    }

    /// Whether somebody waits who would not be alone with those that are there.
    fn is_joined(&self) -> bool {
        self.waiting.values().any(|new| self.welcomed.values().any(|name| name != new))
    }
}

impl Log {
    fn welcome(&self, error: String) -> pb::gateway_response::Kind {
        pb::gateway_response::Kind::Welcome(pb::GatewayWelcome {
            version: protocol::VERSION,
            error,
            log: self.incarnation.to_wire(),
            sole: self.config.sole_gateway && self.gateways.told_sole,
            mirror_cluster: self.config.mirror_cluster.clone().unwrap_or_default(),
        })
    }

    pub(super) fn hello(&mut self, stream: StreamId, hello: pb::GatewayHello) {
        let service = &self.config.service;
        let error = if hello.version != protocol::VERSION {
            format!(
                "this replay service speaks version {}, the gateway {}",
                protocol::VERSION,
                hello.version
            )
        } else if hello.service != *service {
            format!("this replay service orders the service {service}, not {}", hello.service)
        } else {
            String::new()
        };
        if !error.is_empty() {
            let welcome = self.welcome(error);
            self.send(stream, welcome);
            return self.staged.push(Staged::Ready(Output::CloseGateway { stream }));
        }
        if self.gateways.welcomed.contains_key(&stream) {
            if let Some(owed) = self.gateways.owed.get_mut(&stream) {
                *owed = owed.saturating_sub(1);
            }
        } else {
            self.gateways.waiting.insert(stream, hello.gateway);
        }
        self.regroup();
    }

    /// A stream ended; false if it was never welcomed.
    pub(super) fn gateway_left(&mut self, stream: StreamId) -> bool {
        self.gateways.owed.remove(&stream);
        self.gateways.waiting.remove(&stream);
        let was = self.gateways.welcomed.remove(&stream).is_some();
        self.regroup();
        was
    }

    /// What a welcome says has changed: tells everybody who has had one, and awaits their hellos.
    pub(super) fn welcome_again(&mut self) {
        for stream in self.gateways.welcomed.keys().copied().collect::<Vec<_>>() {
            *self.gateways.owed.entry(stream).or_default() += 1;
            let welcome = self.welcome(String::new());
            self.send(stream, welcome);
        }
    }

    /// Tells those that are there whether they are alone, and lets in who need not wait any more.
    fn regroup(&mut self) {
        if self.config.sole_gateway && !self.gateways.welcomed.is_empty() {
            let sole = self.gateways.is_one() && !self.gateways.is_joined();
            if sole != self.gateways.told_sole {
                self.gateways.told_sole = sole;
                self.welcome_again();
            }
            if !sole && self.gateways.owed.values().any(|owed| *owed > 0) {
                return;
            }
        }
        let waiting = std::mem::take(&mut self.gateways.waiting);
        let streams: Vec<_> = waiting.keys().copied().collect();
        let nobody = self.gateways.welcomed.is_empty();
        self.gateways.welcomed.extend(waiting);
        if nobody {
            self.gateways.told_sole = self.gateways.is_one();
        }
        for stream in streams {
            let welcome = self.welcome(String::new());
            self.send(stream, welcome);
        }
    }
}
