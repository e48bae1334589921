//! The Istio overlays: nothing in them is wrong, and what is made wrong is found.

mod laid_out;

use anyhow::{Context, Result, bail, ensure};
use laid_out::LaidOut;
use manifests::{Manifest, all_problems, render};
use serde_json::{Value, json};

fn rendered(overlay: &str) -> Result<Vec<Manifest>> {
    LaidOut::new()?.render(overlay)
}

#[test]
fn nothing_is_wrong_in_the_istio_overlays() -> Result<()> {
    for overlay in ["edge-istio", "cloud-istio"] {
        let found = all_problems(&rendered(overlay)?);
        ensure!(found.is_empty(), "{overlay}:\n{}", found.join("\n"));
    }
    Ok(())
}

/// Something wrong in one object: where, what, and the words in which it must be said.
type Wrong = (&'static str, &'static str, &'static str, Value, &'static str);

const REPLACED: &str = "/spec/configPatches/0/patch/value/typed_config/config";

fn wrongs() -> Vec<Wrong> {
    let within = |rest: &str| -> &'static str { format!("{REPLACED}/{rest}").leak() };
    vec![
        // Fields, enums and types.
        (
            "WasmPlugin",
            "reprise-gateway",
            "/spec/failStrategi",
            json!("FAIL_RELOAD"),
            "unknown field failStrategi",
        ),
        (
            "WasmPlugin",
            "reprise-gateway",
            "/spec/failStrategy",
            json!("RELOAD"),
            "unknown variant `RELOAD`",
        ),
        (
            "WasmPlugin",
            "reprise-gateway",
            "/spec/priority",
            json!("last"),
            "priority: invalid type",
        ),
        (
            "Gateway",
            "shop-clients",
            "/spec/servers/0/tls/mode",
            json!("TLS"),
            "unknown variant `TLS`",
        ),
        (
            "VirtualService",
            "shop-clients",
            "/spec/http/0/retries/retryRemoteLocality",
            json!(true),
            "unknown field",
        ),
        (
            "VirtualService",
            "shop-clients",
            "/spec/http/0/retries/attempts",
            json!("2"),
            "attempts: invalid type",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/trafficPolicy/outlierDetection/consecutiveFailures",
            json!(0),
            "unknown field",
        ),
        ("ServiceEntry", "replicas", "/spec/resolution", json!("STRICT_DNS"), "unknown variant"),
        (
            "EnvoyFilter",
            "reprise-gateway-envoy",
            "/spec/configPatches/0/applyTo",
            json!("LISTENERS"),
            "unknown variant",
        ),
        ("PeerAuthentication", "default", "/spec/mtls/mode", json!("MUTUAL"), "unknown variant"),
        (
            "AuthorizationPolicy",
            "shop",
            "/spec/rules/0/from/0/source/principal",
            json!("x"),
            "unknown field",
        ),
        // Other shops of the same cluster.
        (
            "Gateway",
            "shop-clients",
            "/spec/selector",
            json!({"app": "shop-gateway"}),
            "the selector needs reprise/namespace",
        ),
        // Proxies that end under a write.
        (
            "Deployment",
            "shop-gateway",
            "/spec/template/metadata/annotations/proxy.istio.io~1config",
            Value::Null,
            "it ends after 5s",
        ),
        (
            "Deployment",
            "shop-gateway",
            "/spec/template/metadata/annotations/proxy.istio.io~1config",
            json!("terminationDrainDuration: 9s"),
            "which must be 10s at least",
        ),
        (
            "Deployment",
            "shop-gateway",
            "/spec/template/metadata/annotations/proxy.istio.io~1config",
            json!("terminationDrainDuration: 15s\nproxyStatsMatch: {}"),
            "unknown field proxyStatsMatch",
        ),
        (
            "Deployment",
            "shop-gateway",
            "/spec/template/spec/terminationGracePeriodSeconds",
            json!(15),
            "and is killed after 15 s",
        ),
        // A filter that is not pinned, not in its place, or not whole.
        (
            "WasmPlugin",
            "reprise-gateway",
            "/spec/failStrategy",
            json!("FAIL_OPEN"),
            "not FAIL_RELOAD",
        ),
        ("WasmPlugin", "reprise-guard", "/spec/sha256", Value::Null, "sha256 pins nothing"),
        ("WasmPlugin", "reprise-gateway", "/spec/phase", json!("AUTHN"), "before what may refuse"),
        ("WasmPlugin", "reprise-gateway", "/spec/priority", json!(10), "last of its phase"),
        ("WasmPlugin", "reprise-gateway", "/spec/match", Value::Null, "match names no ports"),
        (
            "WasmPlugin",
            "reprise-gateway",
            "/spec/pluginConfig",
            json!({"role": "gateway"}),
            "one that the filter refuses",
        ),
        (
            "WasmPlugin",
            "reprise-gateway",
            "/spec/selector/matchLabels/app",
            json!("shop-gatewy"),
            "selects no pod",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            within("allow_on_headers_stop_iteration"),
            json!(false),
            "with a body hangs",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            within("failure_policy"),
            json!("FAIL_OPEN"),
            "failure_policy is not FAIL_RELOAD",
        ),
        (
            "EnvoyFilter",
            "reprise-guard-filter",
            within("vm_config/code/local/filename"),
            json!("/tmp/x.wasm"),
            "the file of the node",
        ),
        (
            "EnvoyFilter",
            "reprise-guard-filter",
            within("configuration/value"),
            json!(r#"{"role": "guard"}"#),
            "its patches differ",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            within("configuration/value"),
            json!({"role": "gateway"}),
            "JSON in a text",
        ),
        (
            "EnvoyFilter",
            "reprise-guard-filter",
            within("capability_restriction_config"),
            Value::Null,
            "does not restrict what the module may call",
        ),
        (
            "EnvoyFilter",
            "reprise-guard-filter",
            within("capability_restriction_config/allowed_capabilities/proxy_get_status"),
            Value::Null,
            "differ: [\"proxy_get_status\"]",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            within("vm_config/environment_variables"),
            Value::Null,
            "the environment has no variable POD_NAMESPACE",
        ),
        (
            "WasmPlugin",
            "reprise-guard",
            "/spec/vmConfig/env/0/name",
            json!("NAMESPACE"),
            "environment_variables are not those of vmConfig.env",
        ),
        (
            "WasmPlugin",
            "reprise-guard",
            "/spec/vmConfig/env/0/valueFrom",
            json!("POD"),
            "unknown variant `POD`",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            within("configuration/value"),
            json!(r#"{"role": "gateway"}"#),
            "service: is required",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            "/spec/configPatches/0/patch/operation",
            json!("MERGE"),
            "nothing but REPLACE",
        ),
        (
            "EnvoyFilter",
            "reprise-gateway-filter",
            "/spec/configPatches/1/match/listener/filterChain/filter/subFilter/name",
            json!("x"),
            "no EnvoyFilter replaces extensions.istio.io/trafficextension/shop.reprise-gateway~",
        ),
        (
            "Sidecar",
            "shop",
            "/spec/ingress/0/defaultEndpoint",
            Value::Null,
            "its guard reaches no service",
        ),
        (
            "Deployment",
            "shop",
            "/spec/template/metadata/annotations/sidecar.istio.io~1userVolumeMount",
            json!("{}"),
            "does not mount the filter",
        ),
        // Routes and replicas.
        (
            "VirtualService",
            "shop-clients",
            "/spec/http/0/route/0/destination/subset",
            json!("secondary"),
            "has the subset secondary",
        ),
        (
            "VirtualService",
            "shop-clients",
            "/spec/http/0/route/0/destination/host",
            json!("replicas.shop"),
            "nobody is replicas.shop:8080",
        ),
        (
            "VirtualService",
            "shop-clients",
            "/spec/gateways/0",
            json!("clients"),
            "there is no Gateway",
        ),
        (
            "VirtualService",
            "reprise-deliveries",
            "/spec/http/0/retries",
            Value::Null,
            "which repeat writes",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/subsets/0/trafficPolicy/loadBalancer/localityLbSetting/failoverPriority",
            json!(["reprise/replica=primary"]),
            "does not apply failoverPriority",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/subsets/0/trafficPolicy/outlierDetection",
            Value::Null,
            "makes no priorities",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/subsets/1/trafficPolicy/loadBalancer/localityLbSetting/failover/0/to",
            json!("cloud"),
            "no endpoint is in",
        ),
        (
            "Deployment",
            "shop-gateway",
            "/spec/template/metadata/labels/istio-locality",
            Value::Null,
            "no pod has istio-locality",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/subsets/2/labels/reprise~1replica",
            json!("first"),
            "are no endpoint's",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/subsets/0/trafficPolicy/loadBalancer/consistentHash",
            json!({"httpHeaderName": "x-session-id", "maglev": {}}),
            "with a hash a retry goes to the same replica again",
        ),
        (
            "Gateway",
            "shop-delivery",
            "/spec/servers/0/port/number",
            json!(7403),
            "no selected pod has the port 7403",
        ),
        // Plain text.
        (
            "PeerAuthentication",
            "default",
            "/spec/mtls/mode",
            json!("PERMISSIVE"),
            "mtls is not STRICT",
        ),
        (
            "PeerAuthentication",
            "reprise",
            "/spec/portLevelMtls/7400",
            json!({"mode": "DISABLE"}),
            "port 7400 is not STRICT",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/trafficPolicy/tls/mode",
            json!("DISABLE"),
            "tls is not ISTIO_MUTUAL",
        ),
        (
            "DestinationRule",
            "replicas",
            "/spec/trafficPolicy/tls/subjectAltNames",
            Value::Null,
            "pin nobody",
        ),
        (
            "AuthorizationPolicy",
            "shop",
            "/spec/rules/0/from/0/source/principals/0",
            json!("shop-gateway"),
            "is not DOMAIN/ns",
        ),
    ]
}

/// Sets what stands at a pointer, or removes it.
fn set(value: &mut Value, pointer: &str, to: Value) -> Result<()> {
    let (parent, key) = pointer.rsplit_once('/').context("a pointer")?;
    let key = key.replace("~1", "/");
    match value.pointer_mut(parent).with_context(|| format!("there is no {parent}"))? {
        Value::Object(fields) if to.is_null() => {
            ensure!(fields.remove(&key).is_some(), "there is no {pointer}");
        }
        Value::Object(fields) => drop(fields.insert(key, to)),
        Value::Array(items) => *items.get_mut(key.parse::<usize>()?).context("no item")? = to,
        other => bail!("{parent} is {other}"),
    }
    Ok(())
}

#[test]
fn what_is_made_wrong_is_found_and_said() -> Result<()> {
    let right = rendered("edge-istio")?;
    let mut missed = Vec::new();
    for (kind, name, pointer, to, words) in wrongs() {
        let what = format!("{kind} {name}: {pointer} = {to}");
        let mut wrong = right.clone();
        let mut found = wrong.iter_mut().filter(|m| m.kind == kind && m.name == name);
        let manifest = found.next().with_context(|| what.clone())?;
        set(&mut manifest.value, pointer, to).with_context(|| what.clone())?;
        let said = all_problems(&wrong);
        if !said.iter().any(|problem| problem.contains(words)) {
            missed.push(format!("{what}: nobody says {words:?}, only {said:?}"));
        }
    }
    ensure!(missed.is_empty(), "{}", missed.join("\n"));
    Ok(())
}

#[test]
fn traffic_extensions_in_place_of_plugins_are_checked_as_strictly() -> Result<()> {
    let k8s = LaidOut::new()?;
    for overlay in ["edge-istio", "cloud-istio"] {
        let right = k8s.render_with(overlay, "traffic-extension")?;
        let found = all_problems(&right);
        ensure!(found.is_empty(), "{overlay}:\n{}", found.join("\n"));
        for (pointer, to, words) in [
            ("/spec/wasm/failStrategi", json!("FAIL_RELOAD"), "unknown field wasm.failStrategi"),
            ("/spec/wasm/failStrategy", json!("RELOAD"), "unknown variant `RELOAD`"),
            ("/spec/wasm/failStrategy", json!("FAIL_OPEN"), "not FAIL_RELOAD"),
            ("/spec/wasm/sha256", Value::Null, "sha256 pins nothing"),
            ("/spec/priority", json!("last"), "priority: invalid type"),
            ("/spec/phase", json!("AUTHN"), "before what may refuse"),
            ("/spec/lua", json!({"inlineCode": ""}), "exactly one of wasm and lua"),
        ] {
            let mut wrong = right.clone();
            let extension = wrong.iter_mut().find(|m| m.kind == "TrafficExtension");
            set(&mut extension.context("no TrafficExtension")?.value, pointer, to)?;
            let said = all_problems(&wrong);
            let heard = said.iter().any(|problem| problem.contains(words));
            ensure!(heard, "{overlay}, {pointer}: nobody says {words:?}, only {said:?}");
        }
    }
    Ok(())
}

#[test]
fn a_filter_without_its_patch_is_found() -> Result<()> {
    let mut wrong = rendered("cloud-istio")?;
    wrong.retain(|manifest| manifest.name != "reprise-guard-filter");
    let said = all_problems(&wrong);
    let words = "no EnvoyFilter replaces extensions.istio.io/wasmplugin/shop.reprise-guard";
    ensure!(said.iter().any(|problem| problem.contains(words)), "{said:?}");
    Ok(())
}

#[test]
fn the_overlay_of_the_walk_through_is_rendered_as_it_says() -> Result<()> {
    let page = std::fs::read_to_string(xtask::repo::root().join("docs/walkthrough-istio.md"))?;
    let (_, block) = page.split_once("```yaml\n").context("a block of YAML")?;
    let (own, _) = block.split_once("```").context("its end")?;
    let k8s = LaidOut::new()?;
    let overlay = k8s.workplace().join("my-edge");
    std::fs::create_dir_all(&overlay)?;
    std::fs::write(overlay.join("kustomization.yaml"), own)?;
    let all = render(&overlay)?;
    let found = all_problems(&all);
    ensure!(found.is_empty(), "{}", found.join("\n"));
    let text = serde_json::to_string(&all.iter().map(|m| &m.value).collect::<Vec<_>>())?;
    for part in
        ["203.0.113.7", "registry.example/your-service:7", "registry.example/reprise/reprise:"]
    {
        ensure!(text.contains(part), "{part} is nowhere");
    }
    Ok(())
}
