//! Envoy Gateway's kinds, field by field from its API reference for v1.8: of each kind the fields
//! that are used here, so that any other is a mistake until somebody has looked it up.
#![expect(dead_code, reason = "most fields are read only to be checked")]

mod backend;
mod client;
mod extension;
mod proxy;
mod traffic;

use serde::{Deserialize, de};

use crate::{Manifest, strict, values};

/// What is wrong with an object of Envoy Gateway; `None` if it is none that is known here.
pub fn problems(manifest: &Manifest) -> Option<Vec<String>> {
    if manifest.api_version != "gateway.envoyproxy.io/v1alpha1" {
        return None;
    }
    Some(match manifest.kind.as_str() {
        "Backend" => strict::custom::<backend::Backend>(manifest),
        "BackendTrafficPolicy" => strict::custom::<traffic::BackendTrafficPolicy>(manifest),
        "ClientTrafficPolicy" => strict::custom::<client::ClientTrafficPolicy>(manifest),
        "EnvoyExtensionPolicy" => strict::custom::<extension::EnvoyExtensionPolicy>(manifest),
        "EnvoyPatchPolicy" => strict::custom::<extension::EnvoyPatchPolicy>(manifest),
        "EnvoyProxy" => strict::custom::<proxy::EnvoyProxy>(manifest),
        _ => return None,
    })
}

/// What a policy is for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TargetRef {
    group: GatewayApi,
    kind: TargetKind,
    name: String,
    section_name: Option<String>,
}

#[derive(Deserialize)]
enum GatewayApi {
    #[serde(rename = "gateway.networking.k8s.io")]
    GatewayApi,
}

#[derive(Deserialize)]
enum TargetKind {
    Gateway,
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
}

/// A Secret of the same namespace.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecretRef {
    group: Option<String>,
    kind: Secret,
    name: String,
}

#[derive(Deserialize)]
enum Secret {
    Secret,
}

#[derive(Deserialize)]
enum TlsVersion {
    #[serde(rename = "1.2")]
    V1_2,
    #[serde(rename = "1.3")]
    V1_3,
}

#[derive(Deserialize)]
enum Alpn {
    #[serde(rename = "http/1.1")]
    Http1,
    #[serde(rename = "h2")]
    H2,
}

/// HTTP/2, towards clients and towards backends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Http2 {
    initial_stream_window_size: Option<Bytes>,
    initial_connection_window_size: Option<Bytes>,
    max_concurrent_streams: Option<u32>,
    connection_keepalive: Option<Keepalive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keepalive {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    interval_jitter: Option<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Connection {
    buffer_limit: Option<Bytes>,
}

/// A duration as the Gateway API writes it: `250ms`, `1h30m`.
struct Duration(gateway_api::Duration);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| de::Error::custom(format_args!("{text:?}: {error}")))
    }
}

/// A quantity without sign or fraction, as the CRDs' patterns have it.
struct Bytes(String);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.starts_with(|c: char| ('1'..='9').contains(&c)) && values::is_quantity(&text) {
            true => Ok(Self(text)),
            false => Err(de::Error::custom(format_args!("{text:?} is no number of bytes"))),
        }
    }
}
