//! The relay on real sockets, in each mode.
#![allow(missing_docs)]

use std::{io, net::SocketAddr, time::Duration};

use demo::relay::{Mode, Relay};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long something that must come may take.
const SOON: Duration = Duration::from_secs(10);
/// How long to watch that something does not come.
const QUIET: Duration = Duration::from_millis(100);

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Pair {
    relay: Relay,
    listener: TcpListener,
}

impl Pair {
    async fn new() -> Self {
        let listener = TcpListener::bind(ANY).await.unwrap();
        let relay = Relay::start(ANY, listener.local_addr().unwrap()).await.unwrap();
        Self { relay, listener }
    }

    /// A connection through the relay: the client's end and the server's.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.relay.addr()).await.unwrap();
        let (server, _) = timeout(SOON, self.listener.accept()).await.unwrap().unwrap();
        (client, server)
    }

    async fn set(&self, mode: Mode) {
        self.relay.set(mode).await.unwrap();
    }
}

async fn send(from: &mut TcpStream, text: &str) {
    from.write_all(text.as_bytes()).await.unwrap();
}

async fn expect(to: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    timeout(SOON, to.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes, text.as_bytes());
}

async fn expect_quiet(to: &mut TcpStream) {
    let mut byte = [0];
    assert!(timeout(QUIET, to.read(&mut byte)).await.is_err(), "something came");
}

async fn expect_end(to: &mut TcpStream) {
    assert_eq!(timeout(SOON, to.read(&mut [0])).await.unwrap().unwrap(), 0);
}

async fn expect_reset(to: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(SOON, to.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_counted() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    send(&mut client, "question").await;
    expect(&mut server, "question").await;
    send(&mut server, "answer").await;
    expect(&mut client, "answer").await;
    let counts = pair.relay.counts();
    assert_eq!((counts.accepted, counts.open, counts.up.passed, counts.down.passed), (1, 1, 8, 6));
}

#[tokio::test]
async fn more_bytes_than_the_buffers_hold_arrive_whole() {
    let pair = Pair::new().await;
    let (client, mut server) = pair.connect().await;
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut client_read, mut client_write) = client.into_split();
    let copy = sent.clone();
    let writer = tokio::spawn(async move {
        client_write.write_all(&copy).await.unwrap();
        client_write.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    timeout(SOON, server.read_to_end(&mut got)).await.unwrap().unwrap();
    writer.await.unwrap();
    assert!(got == sent);
    server.write_all(b"thanks").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    timeout(SOON, client_read.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"thanks");
}

#[tokio::test]
async fn a_half_closed_connection_stays_open_the_other_way() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    client.shutdown().await.unwrap();
    expect_end(&mut server).await;
    send(&mut server, "still there").await;
    expect(&mut client, "still there").await;
    drop(server);
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_reset_by_one_peer_reaches_the_other() {
    let pair = Pair::new().await;
    let (mut client, server) = pair.connect().await;
    server.set_zero_linger().unwrap();
    drop(server);
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn refuse_resets_what_is_there_and_refuses_what_comes() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    pair.set(Mode::Refuse).await;
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;
    let error = TcpStream::connect(pair.relay.addr()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!((pair.relay.counts().open, pair.relay.counts().reset), (0, 1));
}

#[tokio::test]
async fn after_refuse_the_same_port_passes_again_and_again() {
    let pair = Pair::new().await;
    for _ in 0..3 {
        pair.set(Mode::Refuse).await;
        pair.set(Mode::Pass).await;
        let (mut client, mut server) = pair.connect().await;
        send(&mut client, "again").await;
        expect(&mut server, "again").await;
    }
}

#[tokio::test]
async fn the_port_belongs_to_the_relay_while_it_refuses() {
    let pair = Pair::new().await;
    pair.set(Mode::Refuse).await;
    // A socket that does not ask to share the port cannot have it.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    assert_eq!(other.bind(pair.relay.addr()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    pair.set(Mode::Pass).await;
    pair.connect().await;
}

#[tokio::test]
async fn in_a_hole_nothing_passes_either_way() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    pair.set(Mode::Hole).await;
    send(&mut client, "lost").await;
    send(&mut server, "lost").await;
    expect_quiet(&mut client).await;
    expect_quiet(&mut server).await;
    assert_eq!(pair.relay.counts().up.passed + pair.relay.counts().down.passed, 0);
}

#[tokio::test]
async fn in_a_hole_a_connection_opens_but_says_nothing() {
    let pair = Pair::new().await;
    pair.set(Mode::Hole).await;
    let mut client = TcpStream::connect(pair.relay.addr()).await.unwrap();
    send(&mut client, "lost").await;
    expect_quiet(&mut client).await;
    assert!(timeout(QUIET, pair.listener.accept()).await.is_err(), "the server was reached");
}

#[tokio::test]
async fn after_a_hole_old_connections_are_reset_and_their_bytes_never_arrive() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    pair.set(Mode::Hole).await;
    send(&mut client, "lost").await;
    let mut born_in_it = TcpStream::connect(pair.relay.addr()).await.unwrap();
    send(&mut born_in_it, "lost").await;
    pair.set(Mode::Pass).await;
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;
    expect_reset(&mut born_in_it).await;
    assert_eq!(pair.relay.counts().up.passed, 0);
    let (mut client, mut server) = pair.connect().await;
    send(&mut client, "fresh").await;
    expect(&mut server, "fresh").await;
}

#[tokio::test]
async fn after_a_hole_a_connection_nobody_has_accepted_yet_is_reset_too() {
    let pair = Pair::new().await;
    pair.set(Mode::Hole).await;
    // On this single-threaded runtime the relay cannot accept between these two lines.
    let mut client = std::net::TcpStream::connect(pair.relay.addr()).unwrap();
    io::Write::write_all(&mut client, b"lost").unwrap();
    pair.set(Mode::Pass).await;
    client.set_nonblocking(true).unwrap();
    expect_reset(&mut TcpStream::from_std(client).unwrap()).await;
    assert_eq!(pair.relay.counts().up.passed, 0);
}

#[tokio::test]
async fn what_stalls_arrives_late_and_whole_even_if_its_client_has_gone() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    let (mut leaver, mut its_server) = pair.connect().await;
    pair.set(Mode::Stall).await;
    send(&mut client, "late").await;
    send(&mut leaver, "left").await;
    drop(leaver);
    expect_quiet(&mut server).await;
    pair.set(Mode::Pass).await;
    expect(&mut server, "late").await;
    send(&mut server, "answer").await;
    expect(&mut client, "answer").await;
    expect(&mut its_server, "left").await;
    expect_end(&mut its_server).await;
    assert_eq!(pair.relay.counts().reset, 0);
}

#[tokio::test]
async fn mute_lets_requests_through_and_swallows_answers() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    pair.set(Mode::Mute).await;
    send(&mut client, "question").await;
    expect(&mut server, "question").await;
    send(&mut server, "answer").await;
    expect_quiet(&mut client).await;
    let (mut newer, mut its_server) = pair.connect().await;
    send(&mut newer, "question").await;
    expect(&mut its_server, "question").await;
    let counts = pair.relay.counts();
    assert_eq!((counts.up.passed, counts.down.passed, counts.down.swallowed), (16, 0, 6));
}

#[tokio::test]
async fn mute_hides_that_the_server_closes_or_resets() {
    let pair = Pair::new().await;
    let (mut closed, server) = pair.connect().await;
    let (mut broken, other) = pair.connect().await;
    pair.set(Mode::Mute).await;
    drop(server);
    other.set_zero_linger().unwrap();
    drop(other);
    expect_quiet(&mut closed).await;
    expect_quiet(&mut broken).await;
    closed.shutdown().await.unwrap();
    expect_quiet(&mut closed).await;
    pair.set(Mode::Pass).await;
    expect_reset(&mut closed).await;
    expect_reset(&mut broken).await;
}

#[tokio::test]
async fn after_mute_only_connections_that_lost_something_are_reset() {
    let pair = Pair::new().await;
    let (mut robbed, mut server) = pair.connect().await;
    let (mut idle, mut idle_server) = pair.connect().await;
    pair.set(Mode::Mute).await;
    send(&mut server, "answer").await;
    expect_quiet(&mut robbed).await;
    pair.set(Mode::Pass).await;
    expect_reset(&mut robbed).await;
    expect_reset(&mut server).await;
    send(&mut idle, "question").await;
    expect(&mut idle_server, "question").await;
    send(&mut idle_server, "answer").await;
    expect(&mut idle, "answer").await;
}

#[tokio::test]
async fn deaf_swallows_requests_and_lets_the_server_speak() {
    let pair = Pair::new().await;
    let (mut client, mut server) = pair.connect().await;
    pair.set(Mode::Deaf).await;
    send(&mut client, "question").await;
    expect_quiet(&mut server).await;
    send(&mut server, "anyone?").await;
    expect(&mut client, "anyone?").await;
    assert_eq!(pair.relay.counts().up.swallowed, 8);
}

#[tokio::test]
async fn a_slow_link_passes_so_many_bytes_a_second_over_all_connections() {
    let pair = Pair::new().await;
    let (mut one, mut to_one) = pair.connect().await;
    let (mut two, mut to_two) = pair.connect().await;
    pair.set(Mode::Slow(20_000)).await;
    let text = "x".repeat(5_000);
    let begun = tokio::time::Instant::now();
    tokio::join!(send(&mut one, &text), send(&mut two, &text));
    tokio::join!(expect(&mut to_one, &text), expect(&mut to_two, &text));
    let took = begun.elapsed();
    // The last turn begins after all the others have passed.
    assert!(took >= Duration::from_millis(420), "10 kB at 20 kB/s took {took:?}");
    pair.set(Mode::Pass).await;
    let text = "y".repeat(500_000);
    let ((), ()) = tokio::join!(send(&mut one, &text), expect(&mut to_one, &text));
}

#[tokio::test]
async fn a_server_that_refuses_shows_as_a_reset() {
    let pair = Pair::new().await;
    let Pair { relay, listener } = pair;
    drop(listener);
    let mut client = TcpStream::connect(relay.addr()).await.unwrap();
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn a_port_on_which_somebody_listens_is_an_error() {
    let other = TcpListener::bind(ANY).await.unwrap();
    let error = Relay::start(other.local_addr().unwrap(), ANY).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_dropped_relay_closes_its_connections_and_its_port() {
    let pair = Pair::new().await;
    let (mut client, _server) = pair.connect().await;
    let addr = pair.relay.addr();
    drop(pair.relay);
    timeout(SOON, client.read(&mut [0])).await.unwrap().ok();
    assert!(TcpStream::connect(addr).await.is_err());
}
