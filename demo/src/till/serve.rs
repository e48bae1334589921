//! What the till does with each request.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Method, Request, StatusCode, body::Incoming, header::HeaderMap, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    Labels, Listing, TillOptions,
    answer::{self, Answer},
    knob::{Knob, Moment},
    ledger::Ledger,
    session::{Running, State, Write},
};

/// The largest body of a write.
const BODY_MAX_BYTES: usize = 64 << 20;
/// The longest label that is taken from a plain body.
const LABEL_MAX_BYTES: usize = 64;
/// How long to wait when no connection can be accepted (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Until an answer has left.
const ANSWERED: Duration = Duration::from_millis(50);
/// The exit code of a till that was asked to die.
const CRASHED: i32 = 70;

/// The sessions and the options of one till.
#[derive(Debug)]
pub struct Service {
    ledger: Ledger,
    options: TillOptions,
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for Broken {}

/// Serves every connection until it is aborted.
pub async fn run(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Without it small answers can wait for the client's delayed ack; a
                    // connection that is gone already shows itself at its first read.
                    let _ = stream.set_nodelay(true);
                    let service = Arc::clone(&service);
                    connections.spawn(async move {
                        let handle = service_fn(move |request| Arc::clone(&service).handle(request));
                        // An error here is the client's going away or a `/break`.
                        let _ = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), handle)
                            .await;
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Service {
    pub fn new(ledger: Ledger, options: TillOptions) -> Self {
        Self { ledger, options }
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Broken> {
        match *request.method() {
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
                self.write(request).await
            }
            _ => Ok(self.read(&request).await),
        }
    }

    /// A write runs from the moment its head is here. Once its body is here as well it runs to
    /// its end, whether its client still waits or not.
    async fn write(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Broken> {
        let (head, body) = request.into_parts();
        let id = session_of(&head.headers, head.uri.path());
        let running = match self.ledger.session(&id).begin() {
            Ok(running) => running,
            Err(error) => return Ok(failure(&error)),
        };
        let Ok(body) = Limited::new(body, BODY_MAX_BYTES).collect().await else {
            return Err(Broken);
        };
        let body = body.to_bytes();
        let knob = Knob::of(head.uri.path());
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let write = Write {
            method: head.method.as_str().to_owned(),
            path: path.to_owned(),
            label: label_of(&head.headers, &body),
            body,
        };
        match tokio::spawn(self.execute(running, knob, write)).await {
            Ok(answer) => answer,
            Err(_) => Err(Broken),
        }
    }

    async fn execute(
        self: Arc<Self>,
        running: Running,
        knob: Knob,
        write: Write,
    ) -> Result<Answer, Broken> {
        pause(self.options.delay).await;
        if let Knob::Slow(delay) = knob {
            pause(delay).await;
        }
        let refused = match &knob {
            Knob::Fail(status) => Some(*status),
            Knob::FailAt(name, status) => (*name == self.options.name).then_some(*status),
            _ => None,
        };
        if let Some(status) = refused {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Ok(answer::text(status, "asked to fail\n"));
        }
        let session = Arc::clone(running.session());
        let id = session.id().to_owned();
        let dies = match &knob {
            Knob::DieAt(name, moment) if *name == self.options.name => {
                self.once(&write.label, *moment)
            }
            _ => None,
        };
        die(dies, Moment::Before);
        let recorded = if self.options.sync {
            tokio::task::spawn_blocking(move || session.record(&write))
                .await
                .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        } else {
            session.record(&write)
        };
        let state = match recorded {
            Ok(state) => state,
            Err(error) => return Ok(failure(&error)),
        };
        die(dies, Moment::Recorded);
        if dies.is_some() {
            // Its answer is on its way when this comes.
            tokio::spawn(async move {
                pause(ANSWERED).await;
                die(dies, Moment::Answered);
            });
        }
        if let Knob::Lag(delay) = knob {
            pause(delay).await;
        }
        // The write has ended for those who count overlaps before its answer can be seen.
        drop(running);
        match knob {
            Knob::Break => Err(Broken),
            knob => Ok(self.answer(&knob, &id, &state, false)),
        }
    }

    /// The moment, if a write of this label has not met its death here before: what is run again
    /// after the restart lives.
    fn once(&self, label: &str, moment: Moment) -> Option<Moment> {
        let mark = self.options.data.join(format!("{label}.died"));
        std::fs::File::create_new(mark).ok().map(|_| moment)
    }

    async fn read(&self, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        match path {
            "/healthz" => answer::text(StatusCode::OK, "ok\n"),
            "/_till/sessions" => self.list(),
            "/_till/session" => self.labels(&parameter(query, "id").unwrap_or_default()),
            "/stream" => {
                let number = |name| parameter(query, name).and_then(|text| text.parse().ok());
                let pause = Duration::from_millis(number("ms").unwrap_or(100));
                answer::stream(number("chunks").unwrap_or(10), pause)
            }
            _ => {
                let knob = Knob::of(path);
                pause(self.options.delay).await;
                if let Knob::Slow(delay) | Knob::Lag(delay) = knob {
                    pause(delay).await;
                }
                let id = session_of(request.headers(), path);
                let state =
                    self.ledger.find(&id).map(|session| session.state()).unwrap_or_default();
                self.answer(&knob, &id, &state, true)
            }
        }
    }

    fn answer(&self, knob: &Knob, id: &str, state: &State, read: bool) -> Answer {
        if let Knob::Big(bytes) = knob {
            return answer::big(*bytes);
        }
        let mut value =
            json!({"session": id, "count": state.count, "chain": state.chain.to_string()});
        if read {
            value["last"] = json!(state.last);
        }
        if *knob == Knob::Random {
            value["by"] = json!(self.options.name);
        }
        answer::json(StatusCode::OK, &value)
    }

    fn list(&self) -> Answer {
        let summaries = self.ledger.all().into_iter().map(|session| session.summary());
        let listing = Listing { name: self.options.name.clone(), sessions: summaries.collect() };
        answer::json(StatusCode::OK, &listing)
    }

    fn labels(&self, id: &str) -> Answer {
        let labels =
            self.ledger.find(id).map_or_else(|| Ok(Vec::new()), |session| session.labels());
        match labels {
            Ok(labels) => answer::json(StatusCode::OK, &Labels { session: id.to_owned(), labels }),
            Err(error) => failure(&error),
        }
    }
}

/// Ends the process, as a crash would, if this is its moment.
fn die(dies: Option<Moment>, now: Moment) {
    if dies == Some(now) {
        std::process::exit(CRASHED);
    }
}

fn failure(error: &std::io::Error) -> Answer {
    answer::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn session_of(headers: &HeaderMap, path: &str) -> String {
    if let Some(id) = headers.get("x-session-id") {
        return String::from_utf8_lossy(id.as_bytes()).into_owned();
    }
    match path.strip_prefix("/sessions/").and_then(|rest| rest.split('/').next()) {
        Some(id) if !id.is_empty() => decode(id),
        _ => "-".to_owned(),
    }
}

fn label_of(headers: &HeaderMap, body: &Bytes) -> String {
    #[derive(serde::Deserialize)]
    struct Labelled {
        label: String,
    }
    if let Some(label) = headers.get("x-label") {
        return String::from_utf8_lossy(label.as_bytes()).into_owned();
    }
    match serde_json::from_slice::<Labelled>(body) {
        Ok(body) => body.label,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(LABEL_MAX_BYTES)]).into_owned(),
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// Undoes percent-encoding; what is not a proper `%xx` stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code =
            tail.get(..2).filter(|_| first == b'%').and_then(|code| str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_parameter_is_decoded() {
        assert_eq!(parameter("a=1&id=a%20b%2Fc", "id").as_deref(), Some("a b/c"));
        assert_eq!(parameter("a=1", "id"), None);
        assert_eq!(decode("100%"), "100%");
    }

    #[test]
    fn a_label_comes_from_the_header_then_the_json_body_then_any_body() {
        let mut headers = HeaderMap::new();
        let body = Bytes::from_static(br#"{"label":"s1-2","n":2}"#);
        assert_eq!(label_of(&headers, &body), "s1-2");
        assert_eq!(label_of(&headers, &Bytes::from_static(b"plain")), "plain");
        assert_eq!(label_of(&headers, &Bytes::from(vec![b'x'; 100])).len(), LABEL_MAX_BYTES);
        headers.insert("x-label", http::HeaderValue::from_static("mine"));
        assert_eq!(label_of(&headers, &body), "mine");
    }

    #[test]
    fn the_session_comes_from_the_header_then_the_path() {
        let mut headers = HeaderMap::new();
        assert_eq!(session_of(&headers, "/sessions/a%20b/items"), "a b");
        assert_eq!(session_of(&headers, "/items"), "-");
        headers.insert("x-session-id", http::HeaderValue::from_static("s9"));
        assert_eq!(session_of(&headers, "/sessions/a"), "s9");
    }
}
