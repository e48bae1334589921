//! The services behind the probe.

use host_sim::kernel::{Actor, ConnId, Cx, Event, MS, NetEvent, Timer};
use host_sim::wire::{self, Frame, Headers, StreamNo};
use std::any::Any;
use std::collections::BTreeMap;

/// How long `slow` takes.
const SLOW: u64 = 300 * MS;

/// Its answer names it, the method, the body and the header `x-late`. `first` heeds the last part
/// of the path: `busy`, `slow`, `never`, `break`.
pub struct Service {
    name: &'static str,
    requests: BTreeMap<(ConnId, StreamNo), (Headers, Vec<u8>)>,
    slow: BTreeMap<u64, (ConnId, StreamNo)>,
    next: u64,
}

impl Service {
    pub fn new(name: &'static str) -> Box<Service> {
        Box::new(Service { name, requests: BTreeMap::new(), slow: BTreeMap::new(), next: 0 })
    }

    fn frame(&mut self, cx: &mut Cx<'_>, at: (ConnId, StreamNo), frame: Frame) {
        let (bytes, end) = match frame {
            Frame::Head { headers, body, end } => {
                self.requests.insert(at, (headers, Vec::new()));
                (body, end)
            }
            Frame::Data { bytes, end } => (bytes, end),
            Frame::Trailers { .. } | Frame::Reset => {
                self.requests.remove(&at);
                return;
            }
        };
        let Some((_, body)) = self.requests.get_mut(&at) else { return };
        body.extend_from_slice(&bytes);
        if end {
            self.complete(cx, at);
        }
    }

    fn complete(&mut self, cx: &mut Cx<'_>, at: (ConnId, StreamNo)) {
        let path = wire::text(&self.requests[&at].0, ":path").unwrap_or_default();
        let knob = path.rsplit('/').next().unwrap_or_default();
        match knob {
            _ if self.name != "first" => self.answer(cx, at, "200"),
            "busy" => self.answer(cx, at, "503"),
            "never" => {}
            "break" => cx.close(at.0),
            "slow" => {
                self.next += 1;
                self.slow.insert(self.next, at);
                cx.after(SLOW, Timer { kind: 0, a: self.next, b: 0 });
            }
            _ => self.answer(cx, at, "200"),
        }
    }

    fn answer(&mut self, cx: &mut Cx<'_>, at: (ConnId, StreamNo), status: &str) {
        let Some((headers, body)) = self.requests.remove(&at) else { return };
        let header = |name| wire::text(&headers, name).unwrap_or("-");
        let text = String::from_utf8_lossy(&body);
        let text = if text.is_empty() { "-" } else { &text };
        let seen = format!("{},{},{text},{}", self.name, header(":method"), header("x-late"));
        let headers = vec![
            (":status".to_string(), status.as_bytes().to_vec()),
            ("x-seen".to_string(), seen.clone().into_bytes()),
        ];
        cx.send(at.0, at.1, Frame::Head { headers, body: seen.into_bytes(), end: true });
    }
}

impl Actor for Service {
    fn start(&mut self, _: &mut Cx<'_>) {}

    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Net(conn, NetEvent::Frame(stream, frame)) => {
                self.frame(cx, (conn, stream), frame);
            }
            Event::Timer(timer) => {
                if let Some(at) = self.slow.remove(&timer.a) {
                    self.answer(cx, at, "200");
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
