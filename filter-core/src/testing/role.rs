//! What the two roles have in common, so that one fake worker serves both.

use crate::effects::{Exchange, Flow, StreamId};
use crate::gateway::Gateway;
use crate::guard::Guard;
use crate::http::Header;
use crate::ports::Cx;

/// What the two roles have in common.
pub(crate) trait Role {
    fn request_headers(&mut self, cx: &mut Cx<'_>, e: Exchange, h: Vec<Header>, end: bool) -> Flow;
    fn request_body(&mut self, cx: &mut Cx<'_>, e: Exchange, body: &[u8], end: bool) -> Flow;
    fn request_trailers(&mut self, cx: &mut Cx<'_>, e: Exchange, body: &[u8]) -> Flow;
    fn response_headers(&mut self, cx: &mut Cx<'_>, e: Exchange, h: &[Header]) -> Flow;
    fn done(&mut self, cx: &mut Cx<'_>, e: Exchange);
    fn tick(&mut self, cx: &mut Cx<'_>);
    fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId);
    fn stream_open_failed(&mut self, cx: &mut Cx<'_>);
    fn stream_closed(&mut self, cx: &mut Cx<'_>, id: StreamId);
    fn stream_message(&mut self, cx: &mut Cx<'_>, id: StreamId, bytes: &[u8]);
    fn dispatched(&mut self, cx: &mut Cx<'_>, token: u64, sent: bool);
}

macro_rules! role {
    ($role:ty, $dispatched:expr) => {
        impl Role for $role {
            fn request_headers(
                &mut self,
                cx: &mut Cx<'_>,
                e: Exchange,
                h: Vec<Header>,
                end: bool,
            ) -> Flow {
                self.request_headers(cx, e, h, end)
            }
            fn request_body(&mut self, cx: &mut Cx<'_>, e: Exchange, b: &[u8], end: bool) -> Flow {
                self.request_body(cx, e, b.len(), end, || b.to_vec())
            }
            fn request_trailers(&mut self, cx: &mut Cx<'_>, e: Exchange, b: &[u8]) -> Flow {
                self.request_trailers(cx, e, || b.to_vec())
            }
            fn response_headers(&mut self, cx: &mut Cx<'_>, e: Exchange, h: &[Header]) -> Flow {
                self.response_headers(cx, e, h)
            }
            fn done(&mut self, cx: &mut Cx<'_>, e: Exchange) {
                self.done(cx, e);
            }
            fn tick(&mut self, cx: &mut Cx<'_>) {
                self.tick(cx);
            }
            fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
                self.stream_opened(cx, id);
            }
            fn stream_open_failed(&mut self, cx: &mut Cx<'_>) {
                self.stream_open_failed(cx);
            }
            fn stream_closed(&mut self, cx: &mut Cx<'_>, id: StreamId) {
                self.stream_closed(cx, id);
            }
            fn stream_message(&mut self, cx: &mut Cx<'_>, id: StreamId, bytes: &[u8]) {
                self.stream_message(cx, id, bytes);
            }
            fn dispatched(&mut self, cx: &mut Cx<'_>, token: u64, sent: bool) {
                let dispatched: fn(&mut $role, &mut Cx<'_>, u64, bool) = $dispatched;
                dispatched(self, cx, token, sent);
            }
        }
    };
}

role!(Gateway, |_, _, _, _| panic!("a gateway dispatches nothing"));
role!(Guard, Guard::dispatched);
