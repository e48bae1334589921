//! A gRPC server that does what its method is called.

use host_sim::kernel::{Actor, ConnId, Cx, Event, MS, NetEvent, Timer};
use host_sim::wire::{self, Frame, StreamNo};
use std::any::Any;
use std::collections::BTreeMap;

/// From the first message until `Die` closes the connection.
const DYING: u64 = 50 * MS;

#[derive(Default)]
pub struct Grpc {
    /// The method of each stream.
    streams: BTreeMap<(ConnId, StreamNo), String>,
    dying: BTreeMap<u64, ConnId>,
}

impl Grpc {
    fn begin(&mut self, cx: &mut Cx<'_>, at: (ConnId, StreamNo), method: &str) {
        match method {
            "Refuse" => cx.send(at.0, at.1, Frame::Trailers { status: 7 }),
            "DieAtOnce" => cx.close(at.0),
            _ => {
                let headers = vec![(":status".to_string(), b"200".to_vec())];
                cx.send(at.0, at.1, Frame::Head { headers, body: Vec::new(), end: false });
                self.streams.insert(at, method.to_string());
            }
        }
    }

    fn message(&mut self, cx: &mut Cx<'_>, at: (ConnId, StreamNo), bytes: Vec<u8>) {
        let Some(method) = self.streams.get(&at) else { return };
        let echo = Frame::Data { bytes, end: false };
        match method.as_str() {
            "Die" => {
                self.dying.insert(at.0.0, at.0);
                return cx.after(DYING, Timer { kind: 0, a: at.0.0, b: 0 });
            }
            "Fail" => cx.send(at.0, at.1, Frame::Trailers { status: 9 }),
            "Finish" => {
                cx.send(at.0, at.1, echo);
                cx.send(at.0, at.1, Frame::Trailers { status: 0 });
            }
            _ => return cx.send(at.0, at.1, echo),
        }
        self.streams.remove(&at);
    }
}

impl Actor for Grpc {
    fn start(&mut self, _: &mut Cx<'_>) {}

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Net(conn, NetEvent::Frame(stream, frame)) => match frame {
                Frame::Head { headers, .. } => {
                    let path = wire::text(&headers, ":path").unwrap_or_default();
                    let method = path.rsplit('/').next().unwrap_or_default();
                    self.begin(cx, (conn, stream), method);
                }
                Frame::Data { bytes, end } => {
                    // Nothing but the end is half-closing, not an empty message.
                    if !(end && bytes.is_empty()) {
                        self.message(cx, (conn, stream), bytes);
                    }
                    if end && self.streams.remove(&(conn, stream)).is_some() {
                        cx.send(conn, stream, Frame::Trailers { status: 0 });
                    }
                }
                Frame::Reset | Frame::Trailers { .. } => {
                    self.streams.remove(&(conn, stream));
                }
            },
            Event::Timer(timer) => {
                if let Some(conn) = self.dying.remove(&timer.a) {
                    cx.close(conn);
                }
            }
            _ => {}
        }
    }

    fn crash(&mut self, _: &mut Cx<'_>) {}

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
