//! What the filter asks of the network: gRPC streams and calls, each of a root context.

use super::plugin::Root;
use super::upstream::User;
use super::{Envoy, timer};
use crate::kernel::{ConnId, Cx, Timer};
use crate::vm::Callback;
use crate::wire::{Frame, Headers, StreamNo};

/// A stream or call of the filter.
pub(super) struct Asked {
    pub root: Root,
    /// The filter's name for it.
    pub token: u32,
    pub what: What,
    /// Its connection and exchange there.
    pub at: Option<(ConnId, StreamNo)>,
}

pub(super) enum What {
    /// Messages that wait for the connection, and whether each is the last.
    Stream { path: String, waiting: Vec<(Vec<u8>, bool)>, established: bool },
    /// A call, and what has come of its answer.
    Call { headers: Headers, body: Vec<u8>, answer: Option<(Headers, Vec<u8>)> },
}

/// What a stream ends with that ended without a status, broke, and never was.
const UNKNOWN: u32 = 2;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;

/// Why an exchange with an upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no host.
    NoHost,
    /// Nobody listens.
    Refused,
    /// It took too long to connect.
    ConnectTimeout,
    /// The connection broke, or the other side reset the exchange.
    Broken,
}

impl Failure {
    /// Envoy's own reply in its place.
    pub(super) fn text(self, retried: bool) -> String {
        let reason = match self {
            Failure::NoHost => return "no healthy upstream".to_string(),
            Failure::Refused => "remote connection failure",
            Failure::ConnectTimeout => "connection timeout",
            Failure::Broken => "connection termination",
        };
        let retried = if retried { "retried and the latest " } else { "" };
        format!(
            "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}"
        )
    }
}

/// A local reply, as Envoy makes them.
pub(super) fn local_reply(status: u16, text: &str) -> (Headers, Vec<u8>) {
    let headers = vec![
        (":status".to_string(), status.to_string().into_bytes()),
        ("content-length".to_string(), text.len().to_string().into_bytes()),
        ("content-type".to_string(), b"text/plain".to_vec()),
    ];
    (headers, text.as_bytes().to_vec())
}

impl Envoy {
    pub(super) fn open_stream(
        &mut self,
        cx: &mut Cx<'_>,
        root: Root,
        token: u32,
        cluster: &str,
        service: &str,
        method: &str,
    ) {
        let path = format!("/{service}/{method}");
        let what = What::Stream { path, waiting: Vec::new(), established: false };
        self.ask(cx, root, token, cluster, what);
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one call")]
    pub(super) fn begin_call(
        &mut self,
        cx: &mut Cx<'_>,
        root: Root,
        token: u32,
        cluster: &str,
        headers: Headers,
        body: Vec<u8>,
        timeout_ms: u64,
    ) {
        let what = What::Call { headers, body, answer: None };
        let id = self.ask(cx, root, token, cluster, what);
        cx.after(timeout_ms * 1_000, Timer { kind: timer::CALL, a: id, b: 0 });
    }

    fn ask(&mut self, cx: &mut Cx<'_>, root: Root, token: u32, cluster: &str, what: What) -> u64 {
        let id = self.number();
        self.asked.insert(id, Asked { root, token, what, at: None });
        // The VM has seen that there is somebody.
        let Some(cluster) = self.table.named(cluster) else { return id };
        let Some(host) = self.table.cluster(cluster).hosts.first() else { return id };
        let at = self.enter(cx, root.worker, cluster, host.addr, User::Asked(id));
        if let Some(asked) = self.asked.get_mut(&id) {
            asked.at = Some(at);
        }
        self.flush(cx, at.0);
        id
    }

    fn asked_of(&self, root: Root, token: u32) -> Option<u64> {
        let mut all = self.asked.iter();
        all.find(|(_, a)| a.root == root && a.token == token).map(|(id, _)| *id)
    }

    pub(super) fn send_message(
        &mut self,
        cx: &mut Cx<'_>,
        root: Root,
        token: u32,
        message: Vec<u8>,
        end: bool,
    ) {
        let Some(id) = self.asked_of(root, token) else { return };
        let Some(asked) = self.asked.get_mut(&id) else { return };
        if let What::Stream { waiting, .. } = &mut asked.what {
            waiting.push((message, end));
        }
        if let Some((conn, _)) = asked.at
            && self.upstream.is_connected(conn)
        {
            self.flush_asked(cx, id);
        }
    }

    /// The filter gives a stream up: nothing more is heard of it.
    pub(super) fn close_stream(&mut self, cx: &mut Cx<'_>, root: Root, token: u32) {
        if let Some(id) = self.asked_of(root, token) {
            self.drop_one(cx, id);
        }
    }

    fn drop_one(&mut self, cx: &mut Cx<'_>, id: u64) {
        if let Some(Asked { at: Some((conn, stream)), .. }) = self.asked.remove(&id) {
            self.leave(cx, conn, stream, true);
        }
    }

    /// A root context is gone, and with it what it had under way.
    pub(super) fn drop_asked(&mut self, cx: &mut Cx<'_>, root: Root) {
        let all: Vec<u64> =
            self.asked.iter().filter(|(_, a)| a.root == root).map(|(id, _)| *id).collect();
        for id in all {
            self.drop_one(cx, id);
        }
    }

    /// Sends what waits for the connection.
    pub(super) fn flush_asked(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        let Some((conn, stream)) = asked.at else { return };
        let begins = self.upstream.begins(conn, stream);
        match &mut asked.what {
            What::Stream { path, waiting, .. } => {
                if begins {
                    let text =
                        |name: &str, value: &str| (name.to_string(), value.as_bytes().to_vec());
                    let headers = vec![
                        text(":method", "POST"),
                        text(":path", path),
                        text("content-type", "application/grpc"),
                    ];
                    cx.send(conn, stream, Frame::Head { headers, body: Vec::new(), end: false });
                }
                for (bytes, end) in waiting.drain(..) {
                    cx.send(conn, stream, Frame::Data { bytes, end });
                }
            }
            What::Call { headers, body, .. } if begins => {
                let (headers, body) = (std::mem::take(headers), std::mem::take(body));
                cx.send(conn, stream, Frame::Head { headers, body, end: true });
            }
            What::Call { .. } => {}
        }
    }

    /// Something came back.
    pub(super) fn asked_frame(&mut self, cx: &mut Cx<'_>, id: u64, frame: Frame) {
        let Some(asked) = self.asked.get_mut(&id) else { return };
        let (root, token) = (asked.root, asked.token);
        match (&mut asked.what, frame) {
            (What::Stream { established, .. }, Frame::Head { .. }) => {
                *established = true;
                self.call(cx, root, Callback::GrpcInitialMetadata { token });
            }
            (What::Stream { .. }, Frame::Data { bytes, end }) => {
                self.call(cx, root, Callback::GrpcMessage { token, message: bytes });
                if end {
                    self.stream_over(cx, id, UNKNOWN);
                }
            }
            (What::Stream { .. }, Frame::Trailers { status }) => {
                self.stream_over(cx, id, status);
            }
            (What::Stream { .. }, Frame::Reset) => self.asked_failed(cx, id, Failure::Broken),
            (What::Call { answer, .. }, Frame::Head { mut headers, body, end }) => {
                let name = "x-envoy-upstream-service-time".to_string();
                headers.push((name, b"1".to_vec()));
                *answer = Some((headers, body));
                if end {
                    self.call_answered(cx, id);
                }
            }
            (What::Call { answer, .. }, Frame::Data { bytes, end }) => {
                if let Some((_, body)) = answer {
                    body.extend_from_slice(&bytes);
                }
                if end {
                    self.call_answered(cx, id);
                }
            }
            (What::Call { .. }, _) => self.asked_failed(cx, id, Failure::Broken),
        }
    }

    fn asked_over(&mut self, cx: &mut Cx<'_>, id: u64, reset: bool) -> Option<Asked> {
        let asked = self.asked.remove(&id)?;
        if let Some((conn, stream)) = asked.at {
            self.leave(cx, conn, stream, reset);
        }
        Some(asked)
    }

    fn call_answered(&mut self, cx: &mut Cx<'_>, id: u64) {
        let Some(asked) = self.asked_over(cx, id, false) else { return };
        if let What::Call { answer, .. } = asked.what {
            let response = Callback::CallResponse { token: asked.token, response: answer };
            self.call(cx, asked.root, response);
        }
    }

    /// A stream has ended; what has not been heard of it before is heard now.
    fn stream_over(&mut self, cx: &mut Cx<'_>, id: u64, status: u32) {
        let Some(Asked { root, token, what, .. }) = self.asked_over(cx, id, false) else { return };
        if let What::Stream { established: false, .. } = what {
            self.call(cx, root, Callback::GrpcInitialMetadata { token });
        }
        self.call(cx, root, Callback::GrpcTrailers { token });
        self.call(cx, root, Callback::GrpcClose { token, status });
    }

    /// A stream or call has ended without an answer.
    pub(super) fn asked_failed(&mut self, cx: &mut Cx<'_>, id: u64, why: Failure) {
        let Some(asked) = self.asked.get(&id) else { return };
        let response = match asked.what {
            What::Stream { established, .. } => {
                let status = if established { INTERNAL } else { UNAVAILABLE };
                return self.stream_over(cx, id, status);
            }
            // Cut off inside the body: no headers at all.
            What::Call { answer: Some(_), .. } => None,
            What::Call { answer: None, .. } => Some(local_reply(503, &why.text(false))),
        };
        let Some(Asked { root, token, .. }) = self.asked_over(cx, id, false) else { return };
        self.call(cx, root, Callback::CallResponse { token, response });
    }

    pub(super) fn call_timed_out(&mut self, cx: &mut Cx<'_>, id: u64) {
        if !matches!(self.asked.get(&id), Some(Asked { what: What::Call { .. }, .. })) {
            return;
        }
        let Some(asked) = self.asked_over(cx, id, true) else { return };
        let response = Some(local_reply(504, "upstream request timeout"));
        self.call(cx, asked.root, Callback::CallResponse { token: asked.token, response });
    }
}
