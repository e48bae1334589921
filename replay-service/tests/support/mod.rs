//! Runs the real `reprise` on free ports and speaks to it as Envoys and operators do.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

pub mod listener;
pub mod process;

use prost::Message;
use protocol::{Link, pb};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `reprise`; killed when dropped.
pub struct Reprise {
    child: Child,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    /// The values of its start line.
    pub started: BTreeMap<String, String>,
    _config: tempfile::NamedTempFile,
}

/// A configuration for free ports.
pub fn config(rest: &str) -> String {
    format!("service = 'shop'\nlisten = '127.0.0.1:0'\nadmin = '127.0.0.1:0'\n{rest}")
}

fn command(config: &tempfile::NamedTempFile, command: &str) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_reprise"));
    process.args([command, "--config"]).arg(config.path()).kill_on_drop(true);
    process.stdout(Stdio::null()).stderr(Stdio::piped());
    process
}

fn written(config: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), config).expect("written");
    file
}

/// Runs a command of `reprise` that ends by itself.
pub async fn run(args: &[&str]) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_reprise"));
    let output = process.args(args).kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, output).await.expect("ends").expect("runs")
}

/// Runs `reprise serve` or `check` on a configuration that it does not accept: exit code, stderr.
pub async fn refused(subcommand: &str, config: &str) -> (i32, String) {
    let config = written(config);
    let output = tokio::time::timeout(PATIENCE, command(&config, subcommand).output());
    let output = output.await.expect("ends").expect("runs");
    let stderr = String::from_utf8(output.stderr).expect("text");
    (output.status.code().expect("a code"), stderr)
}

impl Reprise {
    /// Starts it and waits for its start line.
    pub async fn start(config: &str) -> Reprise {
        let config = written(config);
        let process = command(&config, "serve");
        Reprise::spawn(config, process).await
    }

    async fn spawn(config: tempfile::NamedTempFile, mut process: Command) -> Reprise {
        let mut child = process.spawn().expect("starts");
        let stderr = child.stderr.take().expect("piped");
        let started = BTreeMap::new();
        let mut reprise = Reprise {
            child,
            stderr: Some(BufReader::new(stderr).lines()),
            started,
            _config: config,
        };
        let line = reprise.line_with(" started ").await;
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        reprise.started = pairs.map(|(k, v)| (k.to_string(), v.to_string())).collect();
        reprise
    }

    /// The next line of its log that holds `text`.
    pub async fn line_with(&mut self, text: &str) -> String {
        let found = async {
            loop {
                let stderr = self.stderr.as_mut().expect("not relayed");
                let line = stderr.next_line().await.expect("readable");
                let line = line.unwrap_or_else(|| panic!("ended without {text:?}"));
                eprintln!("reprise: {line}");
                if line.contains(text) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("a line in time")
    }

    /// From now on its log goes to the test's output, line by line.
    pub fn relay_log(&mut self) {
        let mut stderr = self.stderr.take().expect("not relayed");
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                eprintln!("reprise: {line}");
            }
        });
    }

    pub fn listen(&self) -> &str {
        &self.started["listen"]
    }

    pub fn admin(&self) -> &str {
        &self.started["admin"]
    }

    /// Its process, as the system shows it.
    pub fn process(&self) -> process::Process {
        process::Process(self.child.id().expect("running"))
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("running").to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await.expect("kill runs");
        assert!(sent.success());
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("waited").is_some()
    }

    /// Its exit code, when it has ended.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("ends in time").expect("waited").code()
    }

    pub async fn status(&self) -> Value {
        let output = run(&["status", "--json", "--admin", self.admin()]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Asks for the status until it is as it should be.
    pub async fn status_when(&self, is: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let status = self.status().await;
            if is(&status) {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the status stays {status:#}");
        }
    }

    pub async fn guard(&self) -> Stream<pb::GuardRequest, pb::GuardResponse> {
        let path = "/reprise.replaylog.v1.Journal/Guard";
        Stream::open(self.listen(), path).await.expect("a stream")
    }

    pub async fn gateway(&self) -> Result<Stream<pb::GatewayRequest, pb::GatewayResponse>, Status> {
        Stream::open(self.listen(), "/reprise.replaylog.v1.ReplayLog/Gateway").await
    }
}

/// A worker's end of a stream.
pub struct Stream<Q, R> {
    requests: mpsc::Sender<Q>,
    responses: Streaming<R>,
}

impl<Q: Message + 'static, R: Message + Default + 'static> Stream<Q, R> {
    async fn open(listen: &str, path: &'static str) -> Result<Self, Status> {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{listen}"));
        let channel = endpoint.expect("an endpoint").connect().await.expect("connected");
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.expect("ready");
        let (requests, receiver) = mpsc::channel(64);
        let request = tonic::Request::new(ReceiverStream::new(receiver));
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = tonic_prost::ProstCodec::<Q, R>::default();
        let responses = grpc.streaming(request, path, codec).await?.into_inner();
        Ok(Stream { requests, responses })
    }

    pub async fn send(&self, message: Q) {
        self.requests.send(message).await.expect("open");
    }

    /// Both directions apart, for a peer that does not wait for each answer.
    pub fn split(self) -> (mpsc::Sender<Q>, Streaming<R>) {
        (self.requests, self.responses)
    }

    /// The next message, `None` at a proper end.
    pub async fn next(&mut self) -> Result<Option<R>, Status> {
        let message = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        message.expect("a message in time")
    }
}

impl Stream<pb::GuardRequest, pb::GuardResponse> {
    pub async fn ask(&mut self, kind: pb::guard_request::Kind) -> pb::guard_response::Kind {
        self.send(pb::GuardRequest { kind: Some(kind) }).await;
        self.next().await.expect("no error").expect("not the end").kind.expect("a kind")
    }

    pub async fn hello(&mut self, version: u32, replica: &str) -> pb::GuardWelcome {
        self.hello_waiting(version, replica, 800).await
    }

    pub async fn hello_waiting(
        &mut self,
        version: u32,
        replica: &str,
        gap_wait_ms: u32,
    ) -> pb::GuardWelcome {
        let hello = pb::GuardHello {
            version,
            service: "shop".into(),
            replica: replica.into(),
            owner: vec![7; 16],
            running: vec![],
            gap_wait_ms,
        };
        match self.ask(pb::guard_request::Kind::Hello(hello)).await {
            pb::guard_response::Kind::Welcome(welcome) => welcome,
            other => panic!("not a welcome: {other:?}"),
        }
    }

    pub async fn begin(&mut self, begin: pb::Begin) -> pb::Begun {
        match self.ask(pb::guard_request::Kind::Begin(begin)).await {
            pb::guard_response::Kind::Begun(begun) => begun,
            other => panic!("not begun: {other:?}"),
        }
    }

    pub async fn outcome(&mut self, of: &pb::Begin, kind: pb::outcome::Kind) -> pb::Noted {
        let outcome = pb::Outcome {
            token: of.token,
            session: of.session.clone(),
            epoch: of.epoch,
            seq: of.seq,
            kind: kind.into(),
            status: 200,
            digest: vec![1; 8],
            response: None,
        };
        match self.ask(pb::guard_request::Kind::Outcome(outcome)).await {
            pb::guard_response::Kind::Noted(noted) => noted,
            other => panic!("not noted: {other:?}"),
        }
    }
}

impl Stream<pb::GatewayRequest, pb::GatewayResponse> {
    pub async fn ask(&mut self, kind: pb::gateway_request::Kind) -> pb::gateway_response::Kind {
        self.send(pb::GatewayRequest { kind: Some(kind), ends: vec![] }).await;
        self.next().await.expect("no error").expect("not the end").kind.expect("a kind")
    }

    pub async fn hello(&mut self, version: u32) -> pb::GatewayWelcome {
        let hello = pb::GatewayHello { version, service: "shop".into(), gateway: vec![1; 16] };
        match self.ask(pb::gateway_request::Kind::Hello(hello)).await {
            pb::gateway_response::Kind::Welcome(welcome) => welcome,
            other => panic!("not a welcome: {other:?}"),
        }
    }

    /// Appends a write with this id; its session is `s`.
    pub async fn append(&mut self, id: &str) -> pb::Numbered {
        self.append_with(id, b"one loaf".to_vec()).await.expect("numbered")
    }

    /// Appends a write with this id and body; `None` if the stream ends instead.
    pub async fn append_with(&mut self, id: &str, body: Vec<u8>) -> Option<pb::Numbered> {
        let header =
            |name: &str, value: &str| pb::Header { name: name.into(), value: value.into() };
        let append = pb::Append {
            token: 1,
            session: "s".into(),
            id: id.into(),
            method: "POST".into(),
            path: "/orders?of=today".into(),
            headers: vec![header(":authority", "shop.example"), header("x-note", "kept")],
            body,
            received_ms: 1,
            refuse_when_cut: false,
        };
        let kind = Some(pb::gateway_request::Kind::Append(append));
        self.requests.send(pb::GatewayRequest { kind, ends: vec![] }).await.ok()?;
        loop {
            match self.next().await.ok()??.kind.expect("a kind") {
                pb::gateway_response::Kind::Appended(pb::Appended {
                    outcome: Some(pb::appended::Outcome::Numbered(numbered)),
                    ..
                }) => return Some(numbered),
                // News of the session's route may come at any time.
                pb::gateway_response::Kind::Moved(_) => {}
                other => panic!("not numbered: {other:?}"),
            }
        }
    }

    /// Reports that the client went away before the answer.
    pub async fn abandon(&self, of: &pb::Numbered) {
        let end = pb::End {
            session: "s".into(),
            epoch: of.epoch,
            seq: of.seq,
            kind: pb::end::Kind::Abandoned.into(),
            word: String::new(),
            token: 1,
            route: of.route,
        };
        self.send(pb::GatewayRequest { kind: None, ends: vec![end] }).await;
    }
}

/// A write of session `s` for a guard to begin, the n-th of epoch 1.
pub fn write(seq: u64) -> pb::Begin {
    let id = |n: u64| protocol::Id::new(format!("id-{n}")).expect("an id");
    let link = (1..=seq).fold(Link::START, |link, n| link.next(&id(n)));
    pb::Begin {
        token: seq,
        session: "s".into(),
        epoch: 1,
        seq,
        link: link.0.to_vec(),
        id: id(seq).to_string(),
        method: "POST".into(),
        path: "/orders".into(),
        in_doubt: pb::InDoubtPolicy::ByMethod.into(),
        run_timeout_ms: 5000,
        wait_ms: 100,
        ..pb::Begin::default()
    }
}

/// The status code of a GET.
pub async fn get(address: &str, path: &str) -> u16 {
    fetch(address, path).await.0
}

/// The status code and the body of a GET.
pub async fn fetch(address: &str, path: &str) -> (u16, String) {
    use http_body_util::BodyExt;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let client: Client<_, http_body_util::Empty<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{path}").parse().expect("a URI");
    let answer = tokio::time::timeout(PATIENCE, client.get(uri)).await;
    let answer = answer.expect("an answer in time").expect("an answer");
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (code, String::from_utf8(body.to_vec()).expect("text"))
}
