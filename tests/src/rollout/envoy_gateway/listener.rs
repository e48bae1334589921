//! A Gateway's listener and its ClientTrafficPolicy become a listener.

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::gateway::Gateway;
use super::routes::Route;
use super::units::{bytes, duration, same, set};
use super::{filters, only, policy, text};

const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The listener, with one connection manager.
pub fn of(gateway: &Gateway<'_>, routes: &[Route<'_>]) -> Result<Value> {
    let own = gateway.listener()?;
    let (number, plain) = match text(&own["protocol"]) {
        "HTTP" => (&own["port"], true),
        "HTTPS" => (&own["port"], false),
        other => bail!("the protocol {other}"),
    };
    // Lower ones are shifted, for no pod may listen on them.
    ensure!(number.as_u64() >= Some(1024), "the port {number}");
    let none = Value::Null;
    let mut policies = policy::of_the_gateway(gateway, "ClientTrafficPolicy");
    let client = match policies.next() {
        Some(policy) => {
            let known = ["tls", "connection", "timeout", "path", "headers", "http2"];
            policy::spec(policy, &known)?
        }
        None => &none,
    };
    ensure!(policies.next().is_none(), "several ClientTrafficPolicies");
    let manager = manager(gateway, client, number, plain, routes)?;
    let name = gateway.route_config_name();
    let chain = json!({
        "name": name,
        "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }],
    });
    let mut listener = json!({
        "name": format!("tcp-{number}"),
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": number}},
        "per_connection_buffer_limit_bytes": 32768,
        "max_connections_to_accept_per_socket_event": 1,
    });
    // In TLS a chain is chosen by the name that is asked for; without it there is nothing to
    // choose by.
    if plain {
        listener["default_filter_chain"] = chain;
    } else {
        listener["filter_chains"] = json!([chain]);
    }
    only(&client["connection"], &["bufferLimit"], "a connection of clients")?;
    let limit = &client["connection"]["bufferLimit"];
    set(&mut listener, "per_connection_buffer_limit_bytes", limit, bytes)?;
    Ok(listener)
}

fn manager(
    gateway: &Gateway<'_>,
    client: &Value,
    number: &Value,
    plain: bool,
    routes: &[Route<'_>],
) -> Result<Value> {
    let mut manager = json!({
        "@type": MANAGER,
        "stat_prefix": format!("{}-{number}", if plain { "http" } else { "https" }),
        "rds": {"route_config_name": gateway.route_config_name()},
        "server_header_transformation": "PASS_THROUGH",
        "http2_protocol_options": http2(&client["http2"], Some(100))?,
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "http_filters": filters::all(gateway, routes)?,
    });
    only(&client["path"], &["escapedSlashesAction"], "a path of clients")?;
    manager["path_with_escaped_slashes_action"] =
        match text(&client["path"]["escapedSlashesAction"]) {
            "" => json!("UNESCAPE_AND_REDIRECT"),
            "KeepUnchanged" => json!("KEEP_UNCHANGED"),
            other => bail!("escapedSlashesAction: {other}"),
        };
    only(&client["headers"], &["withUnderscoresAction", "requestID"], "headers of clients")?;
    let underscores = match text(&client["headers"]["withUnderscoresAction"]) {
        "" | "RejectRequest" => "REJECT_REQUEST",
        "Allow" => "ALLOW",
        other => bail!("withUnderscoresAction: {other}"),
    };
    manager["common_http_protocol_options"] =
        json!({"headers_with_underscores_action": underscores});
    match text(&client["headers"]["requestID"]) {
        "" => {}
        "Preserve" => {
            manager["generate_request_id"] = json!(false);
            manager["preserve_external_request_id"] = json!(true);
        }
        other => bail!("requestID: {other}"),
    }
    only(&client["timeout"], &["http"], "a timeout of clients")?;
    let timeout = &client["timeout"]["http"];
    let known = ["requestReceivedTimeout", "idleTimeout", "streamIdleTimeout"];
    only(timeout, &known, "a timeout of clients")?;
    set(&mut manager, "request_timeout", &timeout["requestReceivedTimeout"], duration)?;
    set(&mut manager, "stream_idle_timeout", &timeout["streamIdleTimeout"], duration)?;
    let common = &mut manager["common_http_protocol_options"];
    set(common, "idle_timeout", &timeout["idleTimeout"], duration)?;
    Ok(manager)
}

/// HTTP/2, of listeners and of clusters; only those bound the streams where nothing is said.
pub fn http2(from: &Value, streams: Option<u32>) -> Result<Value> {
    let known = [
        "maxConcurrentStreams",
        "initialStreamWindowSize",
        "initialConnectionWindowSize",
        "connectionKeepalive",
    ];
    only(from, &known, "http2")?;
    let mut made = json!({
        "initial_stream_window_size": 65536,
        "initial_connection_window_size": 1_048_576,
    });
    if let Some(streams) = streams {
        made["max_concurrent_streams"] = json!(streams);
    }
    set(&mut made, "max_concurrent_streams", &from["maxConcurrentStreams"], same)?;
    set(&mut made, "initial_stream_window_size", &from["initialStreamWindowSize"], bytes)?;
    set(&mut made, "initial_connection_window_size", &from["initialConnectionWindowSize"], bytes)?;
    let alive = &from["connectionKeepalive"];
    only(alive, &["interval", "timeout", "intervalJitter"], "a keepalive")?;
    if !alive.is_null() {
        let mut settings = json!({});
        set(&mut settings, "interval", &alive["interval"], duration)?;
        set(&mut settings, "timeout", &alive["timeout"], duration)?;
        if !alive["intervalJitter"].is_null() {
            settings["interval_jitter"] = json!({"value": alive["intervalJitter"]});
        }
        made["connection_keepalive"] = settings;
    }
    Ok(made)
}
