//! `EnvoyExtensionPolicy` and `EnvoyPatchPolicy`.

use serde::{Deserialize, de};
use serde_json::Value;

use super::TargetRef;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EnvoyExtensionPolicy {
    target_refs: Vec<TargetRef>,
    wasm: Vec<Wasm>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wasm {
    name: String,
    #[serde(rename = "rootID")]
    root_id: Option<String>,
    code: Code,
    config: Option<Value>,
    fail_open: Option<bool>,
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Code {
    #[serde(rename = "HTTP")]
    Http {
        http: Module,
    },
    Image {
        image: Module,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Module {
    url: String,
    sha256: Option<Sha256>,
}

struct Sha256(String);

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        match text.len() == 64 && text.chars().all(hex) {
            true => Ok(Self(text)),
            false => Err(de::Error::custom(format_args!("{text:?} is no SHA-256"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EnvoyPatchPolicy {
    r#type: PatchType,
    json_patches: Vec<Patch>,
    target_ref: TargetRef,
    priority: Option<i32>,
}

#[derive(Deserialize)]
enum PatchType {
    #[serde(rename = "JSONPatch")]
    JsonPatch,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Patch {
    r#type: Resource,
    name: String,
    operation: Operation,
}

#[derive(Deserialize)]
enum Resource {
    #[serde(rename = "type.googleapis.com/envoy.config.listener.v3.Listener")]
    Listener,
    #[serde(rename = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration")]
    RouteConfiguration,
    #[serde(rename = "type.googleapis.com/envoy.config.cluster.v3.Cluster")]
    Cluster,
    #[serde(rename = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment")]
    ClusterLoadAssignment,
    #[serde(rename = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret")]
    Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Operation {
    op: Op,
    path: Option<String>,
    json_path: Option<String>,
    from: Option<String>,
    value: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}
