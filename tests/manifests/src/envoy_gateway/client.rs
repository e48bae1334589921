//! `ClientTrafficPolicy`.

use serde::Deserialize;

use super::{Alpn, Connection, Duration, Http2, SecretRef, TargetRef, TlsVersion};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClientTrafficPolicy {
    target_refs: Vec<TargetRef>,
    tls: Option<Tls>,
    path: Option<PathSettings>,
    headers: Option<Headers>,
    timeout: Option<Timeout>,
    connection: Option<Connection>,
    http2: Option<Http2>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tls {
    min_version: Option<TlsVersion>,
    alpn_protocols: Option<Vec<Alpn>>,
    client_validation: Option<ClientValidation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientValidation {
    mode: Option<ValidationMode>,
    ca_certificate_refs: Vec<SecretRef>,
}

#[derive(Deserialize)]
enum ValidationMode {
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PathSettings {
    escaped_slashes_action: Option<EscapedSlashes>,
    disable_merge_slashes: Option<bool>,
}

#[derive(Deserialize)]
enum EscapedSlashes {
    KeepUnchanged,
    RejectRequest,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Headers {
    with_underscores_action: Option<Underscores>,
    #[serde(rename = "requestID")]
    request_id: Option<RequestId>,
}

#[derive(Deserialize)]
enum Underscores {
    Allow,
    RejectRequest,
    DropHeader,
}

#[derive(Deserialize)]
enum RequestId {
    PreserveOrGenerate,
    Preserve,
    Generate,
    Disable,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timeout {
    http: Option<HttpTimeout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpTimeout {
    request_received_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    stream_idle_timeout: Option<Duration>,
}
