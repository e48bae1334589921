//! The life of a worker's one stream: opened when first wanted, ready once welcomed, opened again
//! with backoff when lost.
//!
//! Opening happens in ticks only: a host binds a stream to the context whose event is running, and
//! opening inside the close event of a refused stream would spin. That a stream was opened says
//! nothing about the other side; only its welcome does.

use crate::effects::{Effect, Level, StreamId};
use crate::metrics::Metric;
use crate::ports::Cx;
use protocol::limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none; the next may be opened at this time.
    Down { retry_ms: u64 },
    /// The host was asked to open one.
    Opening,
    /// Opened, not yet welcomed.
    Greeting { id: StreamId, since_ms: u64 },
    /// Welcomed.
    Ready { id: StreamId },
}

/// A worker's stream to a peer.
#[derive(Debug)]
pub struct Stream {
    peer: &'static str,
    state: State,
    wanted: bool,
    backoff_ms: u64,
    heard_ms: u64,
    lost_logged: bool,
}

impl Stream {
    /// None yet. `peer` names the other side in log lines.
    pub fn new(peer: &'static str) -> Stream {
        Stream {
            peer,
            state: State::Down { retry_ms: 0 },
            wanted: false,
            backoff_ms: limits::BACKOFF_FIRST_MS,
            heard_ms: 0,
            lost_logged: false,
        }
    }

    /// Has it opened at the next tick, and kept open from then on.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// The stream, if it has been welcomed.
    pub fn ready(&self) -> Option<StreamId> {
        match self.state {
            State::Ready { id } => Some(id),
            _ => None,
        }
    }

    /// Whether events of this stream concern us.
    pub fn is(&self, stream: StreamId) -> bool {
        matches!(self.state, State::Greeting { id, .. } | State::Ready { id } if id == stream)
    }

    /// Opens it when it is wanted and due, and gives up one that is not welcomed in time.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::Down { retry_ms } if self.wanted && cx.passed(retry_ms) => {
                self.state = State::Opening;
                cx.emit(Effect::OpenStream);
            }
            State::Greeting { id, since_ms }
                if cx.passed(since_ms.saturating_add(limits::GREETING_MS)) =>
            {
                cx.emit(Effect::CloseStream(id));
                self.lost(cx, "no welcome in time");
            }
            _ => {}
        }
    }

    /// The host opened it; the hello may be sent.
    pub fn opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        cx.count(Metric::StreamsOpened);
        self.heard_ms = cx.now.mono_ms;
        self.state = State::Greeting { id, since_ms: cx.now.mono_ms };
    }

    /// The host could not open it.
    pub fn open_failed(&mut self, cx: &mut Cx<'_>) {
        self.lost(cx, "it cannot be opened; is its cluster known and healthy?");
    }

    /// Something came from the other side.
    pub fn heard(&mut self, cx: &Cx<'_>) {
        self.heard_ms = cx.now.mono_ms;
    }

    /// The other side welcomed us.
    pub fn welcomed(&mut self, cx: &mut Cx<'_>) {
        if let State::Greeting { id, .. } = self.state {
            self.state = State::Ready { id };
            self.backoff_ms = limits::BACKOFF_FIRST_MS;
            if self.lost_logged {
                self.lost_logged = false;
                cx.log(Level::Warn, format!("stream to the {} is back", self.peer));
            }
        }
    }

    /// It is gone, or we give it up (`why`).
    pub fn lost(&mut self, cx: &mut Cx<'_>, why: &str) {
        if !self.lost_logged {
            self.lost_logged = true;
            cx.log(Level::Warn, format!("no stream to the {}: {why}", self.peer));
        }
        self.state = State::Down { retry_ms: cx.after(self.backoff_ms) };
        self.backoff_ms = self.backoff_ms.saturating_mul(2).min(limits::BACKOFF_LAST_MS);
    }

    /// Gives it up on our side.
    pub fn give_up(&mut self, cx: &mut Cx<'_>, why: &str) {
        if let State::Greeting { id, .. } | State::Ready { id } = self.state {
            cx.emit(Effect::CloseStream(id));
            self.lost(cx, why);
        }
    }

    /// Whether nothing has come from the other side since then.
    pub fn silent_since(&self, mono_ms: u64) -> bool {
        self.heard_ms <= mono_ms
    }
}

/// Why a welcome is none.
pub(crate) fn refusal(error: &str, version: u32) -> Option<String> {
    if !error.is_empty() {
        return Some(format!("it was refused: {error}"));
    }
    let ours = protocol::VERSION;
    (version != ours).then(|| format!("the other side speaks version {version}, not {ours}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn opens(host: &Host, stream: &mut Stream) -> bool {
        host.drive(|cx| stream.tick(cx)).contains(&Effect::OpenStream)
    }

    #[test]
    fn nothing_is_opened_before_it_is_wanted() {
        let (host, mut stream) = (Host::new(), Stream::new("log"));
        assert!(!opens(&host, &mut stream));
        stream.want();
        assert!(opens(&host, &mut stream));
        assert!(!opens(&host, &mut stream), "one at a time");
    }

    #[test]
    fn a_lost_stream_is_opened_again_later_and_later_up_to_a_bound() {
        let (host, mut stream) = (Host::new(), Stream::new("log"));
        stream.want();
        let mut waits = Vec::new();
        for id in 1..8 {
            let from = host.now().mono_ms;
            while !opens(&host, &mut stream) {
                host.pass(1);
            }
            waits.push(host.now().mono_ms - from);
            host.drive(|cx| stream.opened(cx, id));
            host.drive(|cx| stream.lost(cx, "test"));
        }
        assert_eq!(waits, [0, 20, 40, 80, 160, 320, 500]);
    }

    #[test]
    fn a_welcome_resets_the_backoff() {
        let (host, mut stream) = (Host::new(), Stream::new("log"));
        stream.want();
        for id in 1..5 {
            host.pass(1000);
            assert!(opens(&host, &mut stream));
            host.drive(|cx| stream.opened(cx, id));
            host.drive(|cx| stream.lost(cx, "test"));
        }
        host.pass(1000);
        assert!(opens(&host, &mut stream));
        host.drive(|cx| stream.opened(cx, 9));
        host.drive(|cx| stream.welcomed(cx));
        assert_eq!(stream.ready(), Some(9));
        host.drive(|cx| stream.lost(cx, "test"));
        host.pass(20);
        assert!(opens(&host, &mut stream));
    }

    #[test]
    fn a_stream_that_is_not_welcomed_in_time_is_given_up() {
        let (host, mut stream) = (Host::new(), Stream::new("log"));
        stream.want();
        assert!(opens(&host, &mut stream));
        host.drive(|cx| stream.opened(cx, 3));
        assert_eq!(stream.ready(), None);
        host.pass(limits::GREETING_MS);
        let effects = host.drive(|cx| stream.tick(cx));
        assert!(effects.contains(&Effect::CloseStream(3)));
        assert!(!stream.is(3));
    }

    #[test]
    fn losing_the_stream_again_and_again_is_logged_once() {
        let (host, mut stream) = (Host::new(), Stream::new("log"));
        stream.want();
        let mut lines = 0;
        for id in 1..20 {
            host.pass(1000);
            opens(&host, &mut stream);
            host.drive(|cx| stream.opened(cx, id));
            let effects = host.drive(|cx| stream.lost(cx, "test"));
            lines += effects.iter().filter(|e| matches!(e, Effect::Log(..))).count();
        }
        assert_eq!(lines, 1);
    }
}
