//! What is made wrong in an overlay is found. Each case is one change of what was rendered, by a JSON
//! pointer, and words that must then be said; unchanged, nothing is said.

mod laid_out;

use anyhow::{Context, Result, ensure};
use laid_out::LaidOut;
use manifests::Manifest;
use serde_json::{Value, json};

enum Change {
    Set(&'static str, Value),
    Remove(&'static str),
}
use Change::{Remove, Set};

struct Case {
    overlay: &'static str,
    object: (&'static str, &'static str),
    change: Change,
    said: &'static str,
}

fn case(
    overlay: &'static str,
    object: (&'static str, &'static str),
    change: Change,
    said: &'static str,
) -> Case {
    Case { overlay, object, change, said }
}

const PLAIN_EDGE: &str = "plain-envoy/edge";
const PLAIN_CLOUD: &str = "plain-envoy/cloud";
const EG_EDGE: &str = "envoy-gateway/edge";
const EG_CLOUD: &str = "envoy-gateway/cloud";
const REPRISE: (&str, &str) = ("StatefulSet", "reprise");
const SHOP: (&str, &str) = ("Deployment", "shop");
const POLICY: (&str, &str) = ("EnvoyExtensionPolicy", "reprise");
const PATCH: (&str, &str) = ("EnvoyPatchPolicy", "reprise");

fn built_in() -> Vec<Case> {
    vec![
        // Fields, types and enums that are not.
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/hostnetwork", json!(true)),
            "unknown field spec.template.spec.hostnetwork",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/replicas", json!("1")),
            "spec.replicas: invalid type: string",
        ),
        case(PLAIN_EDGE, REPRISE, Remove("/spec/selector"), "\"selector\" is missing"),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/containers/0/resources/limits/memory", json!("900Mi")),
            "2000000 entries need 994 MiB, its limit of memory is \"900Mi\"",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/updateStrategy", json!({"type": "Rolling"})),
            "\"Rolling\" is none of",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/containers/0/resources/limits/memory", json!("1GB")),
            "\"1GB\" is no quantity",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/metadata/labels/app", json!("a b")),
            "\"a b\" is no value of a label",
        ),
        case(
            PLAIN_EDGE,
            ("NetworkPolicy", "dns"),
            Set("/spec/policyTypes/0", json!("Outgress")),
            "\"Outgress\" is none of",
        ),
        case(
            PLAIN_EDGE,
            ("NetworkPolicy", "dns"),
            Set("/kind", json!("NetworkPolice")),
            "is a kind that is not checked",
        ),
        // Names, ports and selectors that lead nowhere.
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/containers/0/livenessProbe/httpGet/port", json!(7401)),
            "livenessProbe goes to port 7401, which is not there",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/containers/0/readinessProbe/httpGet/port", json!("probes")),
            "readinessProbe goes to port \"probes\"",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/serviceName", json!("reprise-headless")),
            "there is no Service \"reprise-headless\"",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/volumes/0/configMap/name", json!("reprise")),
            "there is no ConfigMap reprise",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/template/spec/containers/0/volumeMounts/1/name", json!("store")),
            "there is no volume \"store\"",
        ),
        case(
            PLAIN_EDGE,
            REPRISE,
            Set("/spec/selector/matchLabels/app", json!("replay")),
            "does not pick the pods of its own template",
        ),
        case(
            PLAIN_EDGE,
            ("Deployment", "gateway"),
            Set("/spec/template/spec/volumes/1/secret/secretName", json!("edge-tls")),
            "there is no Secret edge-tls",
        ),
        case(
            PLAIN_EDGE,
            ("Service", "reprise"),
            Set("/spec/ports/0/targetPort", json!("http2")),
            "has the port \"http2\"",
        ),
        case(
            PLAIN_EDGE,
            ("Service", "shop-delivery"),
            Set("/spec/selector", json!({"app": "delivery"})),
            "picks no pod of this rendering",
        ),
        case(
            PLAIN_EDGE,
            ("NetworkPolicy", "reprise"),
            Set("/spec/podSelector/matchLabels/app", json!("replay")),
            "picks no pod of this rendering",
        ),
        case(
            PLAIN_EDGE,
            ("NetworkPolicy", "reprise"),
            Set("/spec/ingress/0/ports/0/port", json!(7401)),
            "has the port 7401",
        ),
        case(
            PLAIN_EDGE,
            ("NetworkPolicy", "reprise-delivers"),
            Set("/spec/egress/0/to/0/podSelector/matchLabels", json!({"app": "envoy"})),
            "picks no pod of this rendering",
        ),
        case(
            PLAIN_EDGE,
            ("PodDisruptionBudget", "reprise"),
            Set("/spec/selector/matchLabels/app", json!("log")),
            "picks no pod of this rendering",
        ),
        case(
            PLAIN_EDGE,
            ("HorizontalPodAutoscaler", "gateway"),
            Set("/spec/scaleTargetRef/name", json!("envoy")),
            "there is nothing to scale",
        ),
        case(
            PLAIN_EDGE,
            ("Deployment", "gateway"),
            Set("/spec/replicas", json!(2)),
            "which the autoscaler says",
        ),
        case(
            PLAIN_EDGE,
            ("ServiceMonitor", "reprise"),
            Set("/spec/endpoints/0/port", json!("metrics")),
            "no Service that it picks has a port \"metrics\"",
        ),
        case(
            PLAIN_EDGE,
            ("Service", "reprise-pods"),
            Set("/metadata/name", json!("reprise")),
            "is there twice",
        ),
    ]
}

fn promises() -> Vec<Case> {
    vec![
        case(PLAIN_EDGE, REPRISE, Set("/spec/replicas", json!(2)), "there is one, always"),
        case(
            PLAIN_EDGE,
            ("HorizontalPodAutoscaler", "gateway"),
            Set(
                "/spec/scaleTargetRef",
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "reprise"}),
            ),
            "reprise is never scaled",
        ),
        case(
            PLAIN_EDGE,
            ("ConfigMap", "reprise-config"),
            Set("/data/reprise.toml", json!("[log]\ngateways = \"sole\"\n")),
            "with several gateways reprise.toml needs",
        ),
        case(
            EG_EDGE,
            ("ConfigMap", "reprise-config"),
            Set("/data/reprise.toml", json!("[log]\ngateways = \"sole\"\n")),
            "with several gateways reprise.toml needs",
        ),
        case(
            PLAIN_EDGE,
            SHOP,
            Remove("/spec/template/spec/containers/0/securityContext/capabilities"),
            "container \"shop\" is not restricted",
        ),
        case(
            PLAIN_EDGE,
            SHOP,
            Set("/spec/template/spec/securityContext/runAsNonRoot", json!(false)),
            "the pod is not restricted",
        ),
        case(
            PLAIN_EDGE,
            SHOP,
            Remove("/spec/template/spec/containers/0/resources/limits"),
            "has no bound of memory",
        ),
        // Plain text where both sides must show who they are.
        case(
            PLAIN_EDGE,
            ("ConfigMap", "gateway-envoy"),
            Set(
                "/data/envoy.yaml",
                json!(
                    "static_resources: {clusters: [{name: both, lb_policy: MAGLEV, \
                     load_assignment: {endpoints: [{priority: 0}, {priority: 1}]}}]}"
                ),
            ),
            "cluster \"both\": a retry goes to the same replica again",
        ),
        case(
            PLAIN_EDGE,
            ("ConfigMap", "gateway-envoy"),
            Set(
                "/data/envoy.yaml",
                json!(
                    "static_resources: {clusters: [{name: p, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: guard.cloud.example}}}}]}]}}]}"
                ),
            ),
            "cluster \"p\" leaves in plain text",
        ),
        case(
            PLAIN_CLOUD,
            ("ConfigMap", "ingress-envoy"),
            Set(
                "/data/envoy.yaml",
                json!(
                    "static_resources: {listeners: [{address: {socket_address: {port_value: 7503}}, filter_chains: [{filters: []}]}]}"
                ),
            ),
            "sites come without a certificate",
        ),
        case(
            EG_EDGE,
            ("Backend", "primary"),
            Remove("/spec/tls"),
            "leaves the cluster in plain text",
        ),
        case(
            EG_CLOUD,
            ("ClientTrafficPolicy", "ingress"),
            Set("/spec/tls/clientValidation/mode", json!("Request")),
            "sites come without a certificate",
        ),
        case(
            EG_CLOUD,
            ("Gateway", "ingress"),
            Set("/spec/listeners/0/protocol", json!("HTTP")),
            "sites come without a certificate",
        ),
        // Times that overtake one another.
        case(
            EG_EDGE,
            ("BackendTrafficPolicy", "writes"),
            Set("/spec/retry/perRetry/timeout", json!("700ms")),
            "gap_wait_ms (800ms) must be shorter than the per-try timeout (700ms)",
        ),
        case(
            EG_EDGE,
            ("HTTPRoute", "writes"),
            Set("/spec/rules/0/timeouts/request", json!("1s")),
            "the per-try timeout (1s) must be shorter than the route timeout (1s)",
        ),
        case(
            EG_EDGE,
            ("ClientTrafficPolicy", "gateway"),
            Set("/spec/timeout/http/streamIdleTimeout", json!("3s")),
            "the route timeout (4s) must be shorter",
        ),
        case(
            EG_EDGE,
            ("ConfigMap", "reprise-config"),
            Set("/data/reprise.toml", json!("[log]\ngateways = \"shared\"\ntakeover_ms = 900\n")),
            "takeover_ms (900ms) must be shorter than gap_wait_ms",
        ),
    ]
}

fn envoy_gateway() -> Vec<Case> {
    vec![
        case(
            EG_EDGE,
            ("HTTPRoute", "writes"),
            Set("/spec/rules/0/matches/0/method", json!("POTS")),
            "unknown variant `POTS`",
        ),
        case(
            EG_EDGE,
            ("HTTPRoute", "writes"),
            Set("/spec/rules/0/retrys", json!({})),
            "unknown field rules.0.retrys",
        ),
        case(
            EG_EDGE,
            ("Gateway", "gateway"),
            Set("/spec/listeners/0/port", json!("8080")),
            "invalid type: string",
        ),
        case(
            EG_EDGE,
            ("BackendTrafficPolicy", "writes"),
            Set("/spec/retry/numAttemptPerPriority", json!(1)),
            "unknown field `numAttemptPerPriority`",
        ),
        case(
            EG_EDGE,
            ("BackendTrafficPolicy", "writes"),
            Set("/spec/retry/retryOn/triggers/0", json!("connection-failure")),
            "unknown variant `connection-failure`",
        ),
        case(
            EG_EDGE,
            ("BackendTrafficPolicy", "writes"),
            Set("/spec/healthCheck/active/interval", json!("0.125s")),
            "0.125s",
        ),
        case(
            EG_EDGE,
            ("BackendTrafficPolicy", "writes-primary-only"),
            Remove("/spec/loadBalancer/consistentHash"),
            "missing field `consistentHash`",
        ),
        case(
            EG_EDGE,
            ("ClientTrafficPolicy", "gateway"),
            Set("/spec/connection/bufferLimit", json!("2MiB")),
            "\"2MiB\" is no number of bytes",
        ),
        case(
            EG_EDGE,
            ("Backend", "primary"),
            Set("/spec/tls/insecureSkipVerify", json!(true)),
            "unknown field `insecureSkipVerify`",
        ),
        case(
            EG_EDGE,
            ("EnvoyProxy", "gateway"),
            Set(
                "/spec/provider/kubernetes/envoyDeployment/pod/volumes/0/configMap/name",
                json!("reprise-filter"),
            ),
            "there is no ConfigMap reprise-filter",
        ),
        case(
            EG_EDGE,
            ("HTTPRoute", "reads"),
            Set("/spec/parentRefs/0/name", json!("shop")),
            "there is no Gateway shop",
        ),
        case(
            EG_EDGE,
            ("HTTPRoute", "reads"),
            Set("/spec/rules/0/backendRefs/0/name", json!("secundary")),
            "there is no Backend secundary",
        ),
        case(
            EG_CLOUD,
            ("HTTPRoute", "guard"),
            Set("/spec/rules/0/backendRefs/0/port", json!(7403)),
            "Service shop-guard has no port 7403",
        ),
        case(
            EG_EDGE,
            ("ClientTrafficPolicy", "gateway"),
            Set("/spec/targetRefs/0/name", json!("edge")),
            "there is no Gateway edge",
        ),
        case(
            EG_EDGE,
            ("Gateway", "gateway"),
            Set("/spec/infrastructure/parametersRef/name", json!("edge")),
            "there is no EnvoyProxy edge",
        ),
        case(
            EG_EDGE,
            ("EnvoyPatchPolicy", "delivery"),
            Set("/spec/jsonPatches/0/name", json!("tcp-7401")),
            "Envoy Gateway makes no tcp-7401",
        ),
        case(
            EG_EDGE,
            PATCH,
            Set("/spec/jsonPatches/2/name", json!("httproute/shop/writes/rule/7")),
            "Envoy Gateway makes no httproute/shop/writes/rule/7",
        ),
        // What the filter needs and its own kind cannot say.
        case(
            EG_EDGE,
            POLICY,
            Set("/spec/wasm/0/failOpen", json!(true)),
            "failOpen lets requests past the filter",
        ),
        case(EG_EDGE, POLICY, Remove("/spec/wasm/0/code/http/sha256"), "sha256 is missing"),
        case(
            EG_EDGE,
            POLICY,
            Set("/spec/wasm/0/code/http/sha256", json!("abc")),
            "\"abc\" is no SHA-256",
        ),
        case(
            EG_EDGE,
            POLICY,
            Set("/spec/wasm/0/config", json!({"role": "gateway"})),
            "must be one that the filter refuses",
        ),
        case(
            EG_EDGE,
            POLICY,
            Set("/metadata/name", json!("filter")),
            "no patch replaces the filter",
        ),
        case(
            EG_EDGE,
            PATCH,
            Remove("/spec/jsonPatches/0/operation/value/allow_on_headers_stop_iteration"),
            "with a body hangs",
        ),
        case(
            EG_EDGE,
            PATCH,
            Set("/spec/jsonPatches/0/operation/value/failure_policy", json!("FAIL_OPEN")),
            "failure_policy is not FAIL_RELOAD",
        ),
        case(
            EG_EDGE,
            PATCH,
            Remove("/spec/jsonPatches/0/operation/value/vm_config/code/local"),
            "the file of the node",
        ),
        case(
            EG_EDGE,
            PATCH,
            Remove("/spec/jsonPatches/0/operation/value/capability_restriction_config"),
            "does not restrict what the module may call",
        ),
        case(
            EG_EDGE,
            PATCH,
            Remove(
                "/spec/jsonPatches/0/operation/value/capability_restriction_config/allowed_capabilities/proxy_on_tick",
            ),
            "differ: [\"proxy_on_tick\"]",
        ),
        case(
            EG_EDGE,
            PATCH,
            Set("/spec/jsonPatches/0/name", json!("tcp-80")),
            "not for the port of Gateway gateway",
        ),
        case(
            EG_EDGE,
            ("EnvoyProxy", "gateway"),
            Set("/spec/filterOrder/2/after", json!("envoy.filters.http.jwt_authn")),
            "must come after envoy.filters.http.rbac, after envoy.filters.http.local_ratelimit",
        ),
        // Alone it moves nothing where there is no such filter.
        case(
            EG_EDGE,
            ("EnvoyProxy", "gateway"),
            Set(
                "/spec/filterOrder",
                json!([{"name": "envoy.filters.http.wasm", "after": "envoy.filters.http.ratelimit"}]),
            ),
            "must come after envoy.filters.http.rbac, after envoy.filters.http.local_ratelimit",
        ),
        case(
            EG_EDGE,
            ("EnvoyProxy", "gateway"),
            Remove("/spec/filterOrder"),
            "must come after envoy.filters.http.rbac",
        ),
        // What the two guards need: who is asked next, how soon, and by which name.
        case(
            EG_EDGE,
            ("BackendTrafficPolicy", "writes"),
            Set(
                "/spec/loadBalancer",
                json!({"type": "ConsistentHash", "consistentHash": {
                    "type": "Headers", "headers": [{"name": "x-session-id"}],
                }}),
            ),
            "a retry goes to the same replica again",
        ),
        case(
            EG_EDGE,
            PATCH,
            Set("/spec/jsonPatches/2/operation/path", json!("/respect_dns_ttl")),
            "no patch sets /close_connections_on_host_health_failure of httproute/shop/writes/rule/0",
        ),
        case(
            EG_EDGE,
            PATCH,
            Set("/spec/jsonPatches/8/operation/path", json!("/health_checks/0/event_log_path")),
            "no patch sets /health_checks/0/no_traffic_interval of httproute/shop/writes/rule/0",
        ),
        case(
            EG_CLOUD,
            ("Gateway", "ingress"),
            Set("/spec/listeners/0/hostname", json!("guard.cloud.example")),
            "is for one host",
        ),
        case(
            EG_CLOUD,
            ("HTTPRoute", "guard"),
            Set("/spec/hostnames", json!(["guard.cloud.example"])),
            "is for one host",
        ),
        case(
            EG_CLOUD,
            ("HTTPRoute", "guard"),
            Set("/spec/hostnames", json!(["*"])),
            "\"*\" is no hostname",
        ),
    ]
}

fn watching() -> Vec<Case> {
    vec![
        case(
            PLAIN_EDGE,
            ("PrometheusRule", "reprise"),
            Set("/spec/groups/0/rules/0/expression", json!("up")),
            "unknown field `expression`",
        ),
        case(
            PLAIN_EDGE,
            ("PrometheusRule", "reprise"),
            Set("/spec/groups/0/rules/0/for", json!("1 minute")),
            "\"1 minute\" is no duration",
        ),
        case(
            PLAIN_EDGE,
            ("PodMonitor", "envoys"),
            Set("/spec/podMetricsEndpoints/0/metricRelabelings/0/action", json!("kep")),
            "unknown variant `kep`",
        ),
    ]
}

/// Makes the change in the one object of that kind and name, its hash left out.
fn changed(manifests: &[Manifest], case: &Case) -> Result<Vec<Manifest>> {
    let (kind, name) = case.object;
    let hashed = format!("{name}-");
    let is = |m: &Manifest| {
        let hash = m.name.strip_prefix(&hashed).is_some_and(|hash| hash.len() == 10);
        m.kind == kind && (m.name == name || (kind == "ConfigMap" && hash))
    };
    let mut out = manifests.to_vec();
    let object = out.iter_mut().find(|m| is(m)).with_context(|| format!("no {kind} {name}"))?;
    let (Set(pointer, _) | Remove(pointer)) = &case.change;
    let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
    let parent = object.value.pointer_mut(parent).with_context(|| format!("no {parent}"))?;
    match (&case.change, parent) {
        (Set(_, value), Value::Array(items)) => {
            *items.get_mut(key.parse::<usize>()?).context("no such item")? = value.clone();
        }
        (Set(_, value), parent) => parent[key] = value.clone(),
        (Remove(_), Value::Object(fields)) => {
            ensure!(fields.remove(key).is_some(), "{pointer} is not there");
        }
        (Remove(_), _) => anyhow::bail!("{pointer} is not in an object"),
    }
    *object = Manifest::new(object.value.clone())?;
    Ok(out)
}

fn all_are_found(cases: Vec<Case>) -> Result<()> {
    let k8s = LaidOut::new()?;
    let mut rendered: Vec<(&str, Vec<Manifest>)> = Vec::new();
    let mut missed = Vec::new();
    for case in &cases {
        if rendered.iter().all(|(overlay, _)| *overlay != case.overlay) {
            rendered.push((case.overlay, k8s.render(case.overlay)?));
        }
        let (_, manifests) =
            rendered.iter().find(|(overlay, _)| *overlay == case.overlay).context("rendered")?;
        let what = || format!("{} {:?}: {:?}", case.overlay, case.object, case.said);
        let found = manifests::all_problems(&changed(manifests, case).with_context(what)?);
        if !found.iter().any(|problem| problem.contains(case.said)) {
            missed.push(format!("{}, but {found:?}", what()));
        }
    }
    ensure!(missed.is_empty(), "{}", missed.join("\n"));
    Ok(())
}

#[test]
fn a_wrong_field_and_a_name_that_leads_nowhere_are_found() -> Result<()> {
    all_are_found(built_in())
}

#[test]
fn what_would_break_a_promise_is_found() -> Result<()> {
    all_are_found(promises())
}

#[test]
fn what_envoy_gateway_would_refuse_or_not_do_is_found() -> Result<()> {
    all_are_found(envoy_gateway())
}

#[test]
fn what_prometheus_would_refuse_is_found() -> Result<()> {
    all_are_found(watching())
}
