//! `Backend`: what is no Service of this cluster, or comes second.

use serde::Deserialize;

use super::SecretRef;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Backend {
    endpoints: Vec<Endpoint>,
    app_protocols: Option<Vec<AppProtocol>>,
    fallback: Option<bool>,
    tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    fqdn: Fqdn,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fqdn {
    hostname: String,
    port: u16,
}

#[derive(Deserialize)]
enum AppProtocol {
    #[serde(rename = "gateway.envoyproxy.io/h2c")]
    H2c,
}

/// Without `insecureSkipVerify`, which nobody shall set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tls {
    ca_certificate_refs: Vec<SecretRef>,
    sni: Option<String>,
}
