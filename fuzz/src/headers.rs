//! Header lists: where a request names its session, and what stamps and words say.

use crate::host::Host;
use crate::plugin_config;
use filter_core::config::Config;
use filter_core::gateway::Gateway;
use filter_core::guard::Guard;
use filter_core::http::{self, Header};
use protocol::{Id, SessionKey, Stamp, Word};

/// Each line of the bytes is a header, `name: value`; every line is a stamp and a word too.
pub fn run(bytes: &[u8]) {
    let headers = lines(bytes);
    for (_, value) in &headers {
        if let Ok(text) = std::str::from_utf8(value) {
            texts(text);
        }
    }
    http::is_upgrade(&headers);
    http::content_length(&headers);
    http::strip(&mut headers.clone(), &[":path"], |name| name == "x-reprise-stamp");
    for config in plugin_config::seeds() {
        match plugin_config::read(&config) {
            Ok(Config::Gateway(config)) => gateway(Gateway::new(*config), &headers),
            Ok(Config::Guard(config)) => guard(Guard::new(*config), &headers),
            Err(problems) => panic!("a seed is no configuration: {problems:?}"),
        }
    }
}

/// The headers of some lines; what is no header is left out.
pub(crate) fn lines(bytes: &[u8]) -> Vec<Header> {
    bytes.split(|byte| *byte == b'\n').filter_map(header).collect()
}

fn header(line: &[u8]) -> Option<Header> {
    let colon = 1 + line.get(1..)?.iter().position(|byte| *byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Some((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()))
}

/// What is read is written in one form only, and that form reads as the same.
fn texts(text: &str) {
    if let Some(stamp) = Stamp::parse(text) {
        assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
    }
    if let Some(word) = Word::parse(text) {
        let written = word.to_string();
        let again = Word::parse(&written).expect("a word reads what it wrote");
        assert_eq!(again.to_string(), written);
        assert_eq!((again.verdict, again.number, again.at), (word.verdict, word.number, word.at));
    }
    let _ = (SessionKey::new(text), Id::new(text));
}

fn gateway(mut role: Gateway, headers: &[Header]) {
    let host = Host::default();
    let _ = role.config().session.key(headers);
    host.event(|cx| role.request_headers(cx, 1, headers.to_vec(), true));
    host.event(|cx| role.response_headers(cx, 1, headers));
    host.event(|cx| role.done(cx, 1));
    assert_eq!(role.exchanges(), 0);
}

fn guard(mut role: Guard, headers: &[Header]) {
    let host = Host::default();
    host.event(|cx| role.request_headers(cx, 1, headers.to_vec(), true));
    host.event(|cx| role.response_headers(cx, 1, headers));
    host.event(|cx| role.done(cx, 1));
    assert_eq!(role.exchanges(), 0);
}

/// Requests of clients, and what gateways and guards make of them.
pub fn seeds() -> Vec<Vec<u8>> {
    let link = "00112233445566778899aabbccddeeff";
    let stamp = format!(
        "v=1;kind=write;session=s%201;number=7.2;link={link};id=a;time=5;after=6.1.{link};again;\
         noop;delivery;log=0102030405060708;primary=0102030405060708"
    );
    let word = format!(
        "v=1;replica=primary;verdict=ran;number=7.2;status=200;digest=0102030405060708;\
         at=7.2.{link};journal=0102030405060708"
    );
    [
        ":method: POST\n:path: /s/one/x?y=1\nx-session: one\nidempotency-key: k\ncookie: a=b; sid=\"two\"; c=d\nauthorization: Bearer eyJhbGciOiJub25lIn0.eyJhenAiOiJ0aHJlZSJ9.\ncontent-length: 3".to_string(),
        ":method: GET\n:path: /telemetry\nx-session: one\nupgrade: websocket\nconnection: upgrade, x-a\nx-a: 1".to_string(),
        format!(":method: PUT\n:path: /x\nx-reprise-stamp: {stamp}"),
        ":method: GET\n:path: /x\nx-reprise-stamp: v=1;kind=read;session=a%3bb;last=7.2".to_string(),
        ":method: GET\n:path: /x\nx-reprise-stamp: v=1;kind=probe\nx-b: v=1;kind=bypass".to_string(),
        format!(":status: 200\nx-reprise-word: {word}\nx-reprise-replayed: remembered"),
    ]
    .map(String::into_bytes)
    .to_vec()
}
