//! `EnvoyProxy`.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerBehavior, MetricSpec};
use k8s_openapi::api::core::v1::{
    ResourceRequirements, TopologySpreadConstraint, Volume, VolumeMount,
};
use serde::Deserialize;

use super::{Duration, SecretRef, TlsVersion};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EnvoyProxy {
    provider: Provider,
    concurrency: Option<u32>,
    shutdown: Option<Shutdown>,
    filter_order: Option<Vec<Position>>,
    #[serde(rename = "backendTLS")]
    backend_tls: Option<BackendTls>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Shutdown {
    drain_timeout: Option<Duration>,
    min_drain_duration: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Position {
    name: Filter,
    before: Option<Filter>,
    after: Option<Filter>,
}

#[derive(Deserialize)]
enum Filter {
    #[serde(rename = "envoy.filters.http.ext_authz")]
    ExtAuthz,
    #[serde(rename = "envoy.filters.http.jwt_authn")]
    JwtAuthn,
    #[serde(rename = "envoy.filters.http.wasm")]
    Wasm,
    #[serde(rename = "envoy.filters.http.rbac")]
    Rbac,
    #[serde(rename = "envoy.filters.http.local_ratelimit")]
    LocalRatelimit,
    #[serde(rename = "envoy.filters.http.ratelimit")]
    Ratelimit,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BackendTls {
    client_certificate_ref: Option<SecretRef>,
    min_version: Option<TlsVersion>,
}

#[derive(Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Provider {
    Kubernetes { kubernetes: Kubernetes },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kubernetes {
    envoy_deployment: Option<Deployment>,
    envoy_service: Option<Service>,
    envoy_hpa: Option<Hpa>,
    #[serde(rename = "envoyPDB")]
    envoy_pdb: Option<Pdb>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deployment {
    replicas: Option<u32>,
    pod: Option<Pod>,
    container: Option<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pod {
    labels: Option<BTreeMap<String, String>>,
    volumes: Option<Vec<Volume>>,
    topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Container {
    resources: Option<ResourceRequirements>,
    volume_mounts: Option<Vec<VolumeMount>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Service {
    r#type: Option<ServiceType>,
    external_traffic_policy: Option<ExternalTrafficPolicy>,
}

#[derive(Deserialize)]
enum ServiceType {
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    LoadBalancer,
    NodePort,
}

#[derive(Deserialize)]
enum ExternalTrafficPolicy {
    Cluster,
    Local,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hpa {
    min_replicas: Option<u32>,
    max_replicas: u32,
    metrics: Option<Vec<MetricSpec>>,
    behavior: Option<HorizontalPodAutoscalerBehavior>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pdb {
    min_available: Option<u32>,
    max_unavailable: Option<u32>,
}
