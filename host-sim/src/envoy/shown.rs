//! Callbacks and messages as a trace shows them.

use crate::vm::{Callback, ContextData};
use crate::wire;
use prost::Message;
use protocol::pb;
use std::fmt::Debug;

/// The longest that a message is shown.
const LONGEST: usize = 400;

/// The id of the write that an exchange is about, if it is one.
pub(super) fn id(exchange: &ContextData) -> Option<String> {
    let headers = &exchange.request_headers;
    let mut names = ["idempotency-key", "x-reprise-id"].into_iter();
    names.find_map(|name| wire::text(headers, name)).map(str::to_string)
}

/// A callback; a message of ours as what it says.
pub(super) fn callback(plugin: &str, callback: &Callback) -> String {
    match callback {
        Callback::GrpcMessage { token, message } => {
            let says = match plugin {
                "reprise-gateway" => decoded::<pb::GatewayResponse>(message),
                "reprise-guard" => decoded::<pb::GuardResponse>(message),
                _ => format!("{} B", message.len()),
            };
            format!("GrpcMessage {{ token: {token} }} {says}")
        }
        Callback::CallResponse { token, response: Some((headers, body)) } => {
            let status = wire::status(headers);
            format!("CallResponse {{ token: {token} }} {status} +{} B", body.len())
        }
        other => format!("{other:?}"),
    }
}

/// What the filter sends on its stream, if it is one of ours.
pub(super) fn sent(plugin: &str, message: &[u8]) -> Option<String> {
    match plugin {
        "reprise-gateway" => Some(decoded::<pb::GatewayRequest>(message)),
        "reprise-guard" => Some(decoded::<pb::GuardRequest>(message)),
        _ => None,
    }
}

fn decoded<M: Message + Default + Debug>(bytes: &[u8]) -> String {
    let Ok(message) = M::decode(bytes) else { return format!("{} B, unreadable", bytes.len()) };
    let text = short_bytes(&format!("{message:?}"));
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// Lists of numbers, which bytes are, as their count.
fn short_bytes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, list) = rest.split_at(at);
        out.push_str(before);
        let end = list.find(']').unwrap_or(list.len() - 1);
        let inner = &list[1..end];
        let numbers = inner.split(", ").filter(|n| n.parse::<u8>().is_ok()).count();
        if numbers > 0 && numbers == inner.split(", ").count() {
            out.push_str(&format!("{numbers} B"));
            rest = &list[end + 1..];
        } else {
            out.push('[');
            rest = &list[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_their_count_and_everything_else_as_it_is() {
        assert_eq!(short_bytes("A { link: [1, 2, 255], ends: [] }"), "A { link: 3 B, ends: [] }");
        assert_eq!(short_bytes("x [E { id: [7] }, F] y"), "x [E { id: 1 B }, F] y");
    }

    #[test]
    fn a_message_is_shown_as_what_it_says() {
        let kind = pb::guard_response::Kind::Awaited(pb::Awaited { token: 7, ran: true, at: None });
        let message = pb::GuardResponse { kind: Some(kind) }.encode_to_vec();
        let shown = callback("reprise-guard", &Callback::GrpcMessage { token: 6, message });
        assert!(shown.contains("token: 7, ran: true"), "{shown}");
    }
}
