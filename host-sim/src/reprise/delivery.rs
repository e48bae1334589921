//! Sends deliveries and probes through Envoy's delivery listener and reports the guard's word.
//!
//! One attempt each: whether and when to try again is the engine's to decide. A word counts only
//! if it names the replica and, of a write, echoes its number.

use super::config::LogSettings;
use super::request;
use crate::kernel::{Addr, ConnId, Cx, NetEvent, Timer};
use crate::wire::{self, Frame, StreamNo};
use protocol::{Number, Replica, SessionKey, Word};
use replay_log::log::{Delivery, Input};
use std::collections::BTreeMap;

/// An exchange has taken too long.
pub const TIMEOUT: u16 = 3;

/// What is under way.
struct Asked {
    replica: Replica,
    /// The write; a probe names none.
    write: Option<(SessionKey, Number)>,
    /// The request, while there is no connection to send it over.
    unsent: Option<Frame>,
}

impl Asked {
    fn ended(self, word: Option<Word>) -> Input {
        let replica = self.replica;
        let word = word.filter(|w| w.replica == replica);
        match self.write {
            None => Input::Probed { replica, word },
            Some((session, number)) => {
                let word = word.filter(|w| w.number == Some(number));
                Input::Delivered { replica, session, number, word }
            }
        }
    }
}

/// The connection to the delivery listener.
enum Link {
    None,
    Connecting(ConnId),
    Connected(ConnId),
}

/// Sends.
pub struct Deliverer {
    listener: Addr,
    settings: LogSettings,
    link: Link,
    next: StreamNo,
    under_way: BTreeMap<StreamNo, Asked>,
}

impl Deliverer {
    /// Sends to this listener.
    pub fn new(listener: Addr, settings: LogSettings) -> Deliverer {
        Deliverer { listener, settings, link: Link::None, next: 0, under_way: BTreeMap::new() }
    }

    /// Delivers a write.
    pub fn deliver(&mut self, cx: &mut Cx<'_>, delivery: Delivery) {
        let write = Some((delivery.session.clone(), delivery.number));
        let replica = delivery.replica;
        let request = request::delivery(&self.settings.headers, delivery);
        self.start(cx, Asked { replica, write, unsent: Some(request) });
    }

    /// Asks whether a guard is there.
    pub fn probe(&mut self, cx: &mut Cx<'_>, replica: Replica) {
        let request = request::probe(&self.settings.headers, replica);
        self.start(cx, Asked { replica, write: None, unsent: Some(request) });
    }

    fn start(&mut self, cx: &mut Cx<'_>, mut asked: Asked) {
        let stream = self.next;
        self.next += 1;
        match self.link {
            Link::None => self.link = Link::Connecting(cx.connect(self.listener)),
            Link::Connecting(_) => {}
            Link::Connected(conn) => send(cx, conn, stream, &mut asked),
        }
        self.under_way.insert(stream, asked);
        cx.after(self.settings.delivery_timeout, Timer { kind: TIMEOUT, a: stream, b: 0 });
    }

    /// Whether a connection is this one.
    pub fn owns(&self, conn: ConnId) -> bool {
        matches!(self.link, Link::Connecting(c) | Link::Connected(c) if c == conn)
    }

    /// Something about the connection; what came to an end is handed to `ended`.
    pub fn net(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        event: NetEvent,
        mut ended: impl FnMut(Input),
    ) {
        match event {
            NetEvent::Connected => {
                self.link = Link::Connected(conn);
                for (stream, asked) in &mut self.under_way {
                    send(cx, conn, *stream, asked);
                }
            }
            NetEvent::Refused | NetEvent::Closed => {
                self.link = Link::None;
                for asked in std::mem::take(&mut self.under_way).into_values() {
                    ended(asked.ended(None));
                }
            }
            NetEvent::Frame(stream, Frame::Head { headers, .. }) => {
                if let Some(asked) = self.under_way.remove(&stream) {
                    let word = wire::text(&headers, &self.settings.headers.word);
                    ended(asked.ended(word.and_then(Word::parse)));
                }
            }
            NetEvent::Frame(stream, Frame::Reset | Frame::Trailers { .. }) => {
                if let Some(asked) = self.under_way.remove(&stream) {
                    ended(asked.ended(None));
                }
            }
            NetEvent::Frame(_, Frame::Data { .. }) | NetEvent::Opened(_) => {}
        }
    }

    /// An exchange's time is over.
    pub fn timeout(&mut self, cx: &mut Cx<'_>, stream: StreamNo) -> Option<Input> {
        let asked = self.under_way.remove(&stream)?;
        match self.link {
            Link::Connected(conn) => cx.send(conn, stream, Frame::Reset),
            // A connection that does not come about in this time never will.
            Link::Connecting(conn) if self.under_way.is_empty() => {
                cx.close(conn);
                self.link = Link::None;
            }
            _ => {}
        }
        Some(asked.ended(None))
    }
}

fn send(cx: &mut Cx<'_>, conn: ConnId, stream: StreamNo, asked: &mut Asked) {
    if let Some(request) = asked.unsent.take() {
        cx.send(conn, stream, request);
    }
}
