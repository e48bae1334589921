//! The HTTP filters of a listener, and their order.

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::{Value, json};

use super::gateway::{Gateway, WASM_CLUSTER};
use super::routes::Route;
use super::{items, only, policy, text};

const ROUTER: &str = "envoy.filters.http.router";
const WASM: &str = "envoy.filters.http.wasm";

/// In which order 1.8 puts filters, by their kinds. Of one kind the index at the end of the name
/// decides.
const KINDS: [&str; 27] = [
    "custom_response",
    "health_check",
    "fault",
    "cors",
    "header_mutation",
    "ext_authz",
    "api_key_auth",
    "basic_auth",
    "oauth2",
    "jwt_authn",
    "stateful_session",
    "buffer",
    "lua",
    "ext_proc",
    "wasm",
    "dynamic_modules",
    "geoip",
    "rbac",
    "local_ratelimit",
    "ratelimit",
    "bandwidth_limit",
    "grpc_web",
    "grpc_stats",
    "credential_injector",
    "compressor",
    "dynamic_forward_proxy",
    "router",
];

/// All filters of the Gateway's listener.
pub fn all(gateway: &Gateway<'_>, routes: &[Route<'_>]) -> Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    for route in routes {
        if let Some(policy) = of_the_route(gateway, route.manifest)? {
            for filter in wasm_filters(policy)? {
                if all.iter().all(|known| known["name"] != filter["name"]) {
                    all.push(filter);
                }
            }
        }
    }
    all.push(json!({
        "name": ROUTER,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        },
    }));
    in_order(all, items(&gateway.proxy["filterOrder"]))
}

/// The names of the filters that a route switches on.
pub fn names(gateway: &Gateway<'_>, route: &Manifest) -> Result<Vec<String>> {
    let Some(policy) = of_the_route(gateway, route)? else { return Ok(Vec::new()) };
    let filters = wasm_filters(policy)?;
    Ok(filters.iter().map(|filter| text(&filter["name"]).to_owned()).collect())
}

fn of_the_route<'a>(gateway: &Gateway<'a>, route: &Manifest) -> Result<Option<&'a Manifest>> {
    policy::of_the_route(gateway, "EnvoyExtensionPolicy", route)
}

/// One for each plugin of a policy. They are switched off, and on again by the routes.
fn wasm_filters(policy: &Manifest) -> Result<Vec<Value>> {
    let spec = policy::spec(policy, &["wasm"])?;
    let namespace = policy.namespace.as_deref().unwrap_or("default");
    let mut made = Vec::new();
    for (index, plugin) in items(&spec["wasm"]).iter().enumerate() {
        only(plugin, &["name", "rootID", "failOpen", "code", "config"], "a plugin")?;
        let code = &plugin["code"];
        only(code, &["type", "http"], "the code of a plugin")?;
        ensure!(code["type"] == "HTTP", "the code of a plugin: {}", code["type"]);
        only(&code["http"], &["url", "sha256"], "the code of a plugin")?;
        let name = format!("envoyextensionpolicy/{namespace}/{}/wasm/{index}", policy.name);
        let given = text(&plugin["name"]);
        let mut config = json!({
            "name": if given.is_empty() { &name } else { given },
            "vm_config": {
                "vm_id": name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"remote": {
                    // Envoy Gateway has read it from there and serves it itself.
                    "http_uri": {
                        "uri": code["http"]["url"],
                        "cluster": WASM_CLUSTER,
                        "timeout": "10s",
                    },
                    "sha256": code["http"]["sha256"],
                }},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": match &plugin["config"] {
                    Value::Null => String::new(),
                    config => config.to_string(),
                },
            },
        });
        if let Some(root) = plugin["rootID"].as_str() {
            config["root_id"] = json!(root);
        }
        if plugin["failOpen"] == true {
            config["fail_open"] = json!(true);
        }
        made.push(json!({
            "name": format!("{WASM}/{name}"),
            "disabled": true,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": config,
            },
        }));
    }
    Ok(made)
}

/// Filters in Envoy Gateway's own order, and then in that of `EnvoyProxy.filterOrder`.
pub fn in_order(mut filters: Vec<Value>, order: &[Value]) -> Result<Vec<Value>> {
    let mut ranked = Vec::new();
    for filter in filters.drain(..) {
        ranked.push((rank(text(&filter["name"]))?, filter));
    }
    ranked.sort_by(|(a, one), (b, other)| {
        a.cmp(b).then_with(|| text(&one["name"]).cmp(text(&other["name"])))
    });
    filters.extend(ranked.into_iter().map(|(_, filter)| filter));
    for position in order {
        only(position, &["name", "before", "after"], "a position of filterOrder")?;
        let is = |kind: &Value| {
            let kind = text(kind).to_owned();
            move |filter: &Value| text(&filter["name"]).starts_with(&kind)
        };
        let (those, mut others): (Vec<_>, Vec<_>) =
            filters.iter().cloned().partition(is(&position["name"]));
        let place = match (&position["before"], &position["after"]) {
            (before @ Value::String(_), Value::Null) => others.iter().position(is(before)),
            (Value::Null, after @ Value::String(_)) => {
                others.iter().rposition(is(after)).map(|last| last + 1)
            }
            _ => bail!("a position of filterOrder is either before or after: {position}"),
        };
        // Where there is no such filter, nothing is moved.
        if let Some(place) = place {
            others.splice(place..place, those);
            filters = others;
        }
    }
    Ok(filters)
}

fn rank(name: &str) -> Result<(usize, usize)> {
    let kind = name.split('/').next().and_then(|kind| kind.strip_prefix("envoy.filters.http."));
    let place = kind.and_then(|kind| KINDS.iter().position(|known| *known == kind));
    let place = place.with_context(|| format!("the model does not know the filter {name}"))?;
    let index = name.rsplit('/').next().and_then(|index| index.parse().ok());
    Ok((place, index.unwrap_or(0)))
}
