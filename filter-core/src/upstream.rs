//! What the host is told to open a stream to.

use prost::Message;
use std::borrow::Cow;

/// The authority of a stream to a cluster whose name cannot be one.
const AUTHORITY: &str = "reprise";

/// Envoy's `envoy.config.core.v3.GrpcService`, as far as it is needed here.
#[derive(Message)]
struct GrpcService {
    #[prost(message, optional, tag = "1")]
    envoy_grpc: Option<EnvoyGrpc>,
}

/// Its `EnvoyGrpc`.
#[derive(Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    authority: String,
}

/// The text that names a cluster to `open_grpc_stream`, `None` if no text can.
///
/// Given a name, Envoy takes that for the authority too, and the names that Istio gives
/// (`outbound|7400||HOST`) are none: the other side would close the stream at once. Given its own
/// message, `GrpcService`, it takes the authority from there. The call takes a text, though, and a
/// message is one only while each of its lengths is below 128.
pub fn upstream(cluster: &str) -> Option<Cow<'_, str>> {
    if !cluster.contains('|') {
        return Some(cluster.into());
    }
    let (cluster_name, authority) = (cluster.to_string(), AUTHORITY.to_string());
    let service = GrpcService { envoy_grpc: Some(EnvoyGrpc { cluster_name, authority }) };
    String::from_utf8(service.encode_to_vec()).ok().map(Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_name_that_can_be_an_authority_is_given_as_it_is() {
        let long = "n".repeat(200);
        assert_eq!(upstream("replay-log").unwrap(), "replay-log");
        assert_eq!(upstream(&long).unwrap(), long);
    }

    #[test]
    fn a_name_of_istio_is_given_with_an_authority_of_ours() {
        for host in ["reprise.shop.svc.cluster.local", "kasse.größe.example"] {
            let cluster = format!("outbound|7400||{host}");
            let text = upstream(&cluster).unwrap();
            let service = GrpcService::decode(text.as_bytes()).unwrap().envoy_grpc.unwrap();
            assert_eq!((service.cluster_name, service.authority.as_str()), (cluster, "reprise"));
        }
    }

    #[test]
    fn a_name_is_refused_from_the_length_on_at_which_its_message_is_no_text() {
        let named = |length: usize| format!("outbound|7400||{}", "h".repeat(length - 15));
        assert!(upstream(&named(116)).is_some());
        for length in 117..4_096 {
            assert!(upstream(&named(length)).is_none(), "{length}");
        }
    }
}
