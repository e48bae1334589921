//! The plugin configuration: JSON in, a checked [`Config`] out, or every problem at once.

mod environment;
mod gateway;
mod guard;
mod names;
mod routes;
mod session;

pub use gateway::GatewayConfig;
pub use guard::{GuardConfig, InDoubt};
pub use names::Names;
pub use routes::{Class, Routes};
pub use session::{NoSession, SessionSource};

use crate::upstream::upstream;
use protocol::fields::{Fields, Problems};
use protocol::limits;
use serde_json::Value;

/// What one plugin instance does.
#[derive(Debug)]
pub enum Config {
    /// It meets clients.
    Gateway(Box<GatewayConfig>),
    /// It stands before a replica.
    Guard(Box<GuardConfig>),
}

/// Reads a plugin configuration; `variable` gives the value of an environment variable, `None` if
/// it is not set. `Err` holds every problem, one line each.
pub fn parse(
    json: &[u8],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Config, Vec<String>> {
    let mut value: Value = serde_json::from_slice(json)
        .map_err(|e| vec![format!("the plugin configuration is not JSON: {e}")])?;
    let mut problems = Problems::default();
    environment::fill_in(&mut value, "", &variable, &mut problems);
    let mut fields = Fields::root(&value, &mut problems);
    let role = if value.is_object() { fields.required("role", &mut problems) } else { "" };
    let config = match role {
        "gateway" => Some(Config::Gateway(Box::new(gateway::read(fields, &mut problems)))),
        "guard" => Some(Config::Guard(Box::new(guard::read(fields, &mut problems)))),
        "" => None,
        other => {
            problems.add("role", format!("expected gateway or guard, found \"{other}\""));
            None
        }
    };
    problems.into_result()?;
    config.ok_or_else(|| vec!["role: is required".into()])
}

/// `limits`: the longest request body in bytes, and the sessions of the slot table.
struct Limits {
    body_bytes: usize,
    sessions: u64,
}

impl Limits {
    fn read(fields: &mut Fields<'_>, problems: &mut Problems) -> Limits {
        let mut fields = fields.object("limits", problems);
        let body = fields.number(
            "body_bytes",
            limits::BODY_BYTES_DEFAULT,
            1..=limits::BODY_BYTES_MAX,
            problems,
        );
        let sessions =
            fields.number("sessions", limits::SESSIONS_DEFAULT, 1..=limits::SESSIONS_MAX, problems);
        fields.finish(problems);
        Limits { body_bytes: usize::try_from(body).unwrap_or(usize::MAX), sessions }
    }
}

/// The cluster of a `reprise`.
fn stream_cluster(fields: &mut Fields<'_>, problems: &mut Problems) -> String {
    let cluster = fields.required("cluster", problems);
    if upstream(cluster).is_none() {
        problems.add(&fields.path("cluster"), "a name with '|' may have 116 bytes");
    }
    cluster.to_string()
}

/// A service names keys of shared data and travels in hellos: short and plain.
fn service(fields: &mut Fields<'_>, problems: &mut Problems) -> String {
    let service = fields.required("service", problems);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if service.len() > 64 || !service.chars().all(plain) {
        let what = "expected at most 64 letters, digits, '-', '_' or '.'";
        problems.add(&fields.path("service"), what);
    }
    service.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::pb::InDoubtPolicy;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const GATEWAY: &str = r#"{"role":"gateway","service":"shop","session":{"header":"x-session-id"},
        "id":{"header":"idempotency-key"},"replay_log":{"cluster":"replay-log","timeout_ms":1500},
        "limits":{"body_bytes":1000,"sessions":64},"strict":true,
        "routes":[{"match":"POST /payments","when_cut":"refuse"},{"match":"/telemetry","replicate":false}],
        "headers":{"route":"x-wso2-cluster-header"}}"#;
    const GUARD: &str = r#"{"role":"guard","service":"shop","replica":"primary",
        "journal":{"cluster":"journal"},"service_cluster":"replica"}"#;

    fn read(json: &str) -> Result<Config, Vec<String>> {
        parse(json.as_bytes(), |_| None)
    }

    fn problems(json: &str) -> Vec<String> {
        read(json).unwrap_err()
    }

    #[test]
    fn a_full_gateway_configuration_is_read() {
        let Ok(Config::Gateway(c)) = read(GATEWAY) else { panic!("not a gateway") };
        assert_eq!(c.service, "shop");
        assert_eq!((c.timeout_ms, c.body_bytes, c.sessions), (1500, 1000, 64));
        assert_eq!(c.names.route, "x-wso2-cluster-header");
        assert_eq!(c.names.stamp, "x-reprise-stamp");
        assert!(c.strict);
    }

    #[test]
    fn a_short_guard_configuration_gets_the_defaults() {
        let Ok(Config::Guard(c)) = read(GUARD) else { panic!("not a guard") };
        assert_eq!((c.run_timeout_ms, c.gap_wait_ms), (5000, 800));
        assert_eq!(c.response_bytes, 65_536);
        assert_eq!(c.in_doubt.policy("POST", "/a"), InDoubtPolicy::ByMethod);
    }

    #[test]
    fn a_route_may_say_otherwise_about_writes_in_doubt() {
        let in_doubt = r#""in_doubt":{"default":"hold","routes":[
            {"match":"POST /telemetry","policy":"redo"},{"match":"/telemetry","policy":"by_method"},
            {"match":"POST /telemetry/a","policy":"hold"}]},"service":"#;
        let json = GUARD.replace("\"service\":", in_doubt);
        let Ok(Config::Guard(c)) = read(&json) else { panic!("not a guard") };
        for (method, path, policy) in [
            ("POST", "/telemetry/a?b", InDoubtPolicy::Redo),
            ("PATCH", "/telemetry", InDoubtPolicy::ByMethod),
            ("POST", "/orders", InDoubtPolicy::Hold),
        ] {
            assert_eq!(c.in_doubt.policy(method, path), policy, "{method} {path}");
        }
    }

    #[test]
    fn a_route_in_doubt_needs_a_match_and_a_policy() {
        let in_doubt = r#""in_doubt":{"routes":[{"policy":"redo"},{"match":"/a"},
            {"match":"/a","policy":"skip","when_cut":"refuse"}]},"service":"#;
        assert_eq!(
            problems(&GUARD.replace("\"service\":", in_doubt)),
            [
                "in_doubt.routes[0].match: is required",
                "in_doubt.routes[1].policy: is required",
                r#"in_doubt.routes[2].policy: expected one of by_method, hold, redo, found "skip""#,
                "in_doubt.routes[2].when_cut: unknown key; known here are match, policy",
            ]
        );
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_key() {
        let found = problems(
            r#"{"role":"gateway","service":"","session":{"header":"x","cookie":"y"},"id":{},
                "replay_log":{"timeout_ms":"soon"},"limits":{"body_bytes":0,"extra":1},
                "routes":[{"match":"telemetry"},{"match":"POST /a","when_cut":"perhaps"}],
                "headers":{"stamp":"Not A Token"},"colour":"red"}"#,
        );
        for key in [
            "service: must not be empty",
            "session: expected exactly one of",
            "replay_log.cluster: is required",
            "replay_log.timeout_ms: expected a whole number",
            "limits.body_bytes: expected a whole number from 1",
            "limits.extra: unknown key",
            "routes[0].match: ",
            "routes[1].when_cut: expected one of",
            "headers.stamp: ",
            "colour: unknown key",
        ] {
            assert!(found.iter().any(|p| p.starts_with(key)), "{key} not in {found:#?}");
        }
    }

    #[test]
    fn what_is_no_object_or_names_no_role_is_refused() {
        assert!(problems("")[0].contains("not JSON"));
        assert!(problems("[]")[0].contains("expected an object"));
        assert_eq!(problems("{}"), ["role: is required"]);
        assert_eq!(
            problems(r#"{"role":"door"}"#),
            [r#"role: expected gateway or guard, found "door""#]
        );
    }

    #[test]
    fn a_guard_with_gateway_keys_is_refused() {
        let found = problems(&GUARD.replace("\"service\":", "\"strict\":true,\"service\":"));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("strict: unknown key"));
    }

    #[test]
    fn a_cluster_of_istio_may_be_as_long_as_a_stream_can_name_it() {
        let host = |length: usize| format!("outbound|7400||{}", "h".repeat(length - 15));
        let named = |name: &str| GATEWAY.replace("\"replay-log\"", &format!("\"{name}\""));
        read(&named(&host(116))).unwrap();
        let found = problems(&named(&host(117)));
        assert_eq!(found, ["replay_log.cluster: a name with '|' may have 116 bytes"]);
        read(&named(&"n".repeat(200))).unwrap();
    }

    #[test]
    fn one_configuration_serves_every_shop_by_what_its_environment_says() {
        let json = GATEWAY
            .replace("\"shop\"", "\"${SHOP}\"")
            .replace("replay-log", "outbound|7400||reprise.${POD_NAMESPACE}.svc.cluster.local");
        let variable = |name: &str| match name {
            "SHOP" => Some("kiosk".into()),
            "POD_NAMESPACE" => Some("kiosk-17".into()),
            _ => None,
        };
        let Ok(Config::Gateway(c)) = parse(json.as_bytes(), variable) else {
            panic!("not a gateway")
        };
        assert_eq!(c.service, "kiosk");
        assert_eq!(c.log_cluster, "outbound|7400||reprise.kiosk-17.svc.cluster.local");
        assert_eq!(
            problems(&json.replace("\"limits\":", "\"limit\":").replace("1500", "\"${TIMEOUT}\"")),
            [
                "replay_log.cluster: the environment has no variable POD_NAMESPACE",
                "replay_log.timeout_ms: the environment has no variable TIMEOUT",
                "service: the environment has no variable SHOP",
                "replay_log.timeout_ms: expected a whole number from 10 to 600000, found \"TIMEOUT\"",
                "limit: unknown key; known here are headers, id, limits, replay_log, role, routes, service, session, strict",
            ]
        );
    }

    #[test]
    fn two_headers_may_not_have_one_name() {
        let found = problems(&GATEWAY.replace("x-wso2-cluster-header", "x-reprise-word"));
        assert_eq!(found, ["headers: word and route are both \"x-reprise-word\""]);
    }

    #[test]
    fn a_guard_waits_for_a_gap_less_long_than_a_run_may_take() {
        let json = GUARD.replace("\"service\":", "\"gap_wait_ms\":6000,\"service\":");
        assert!(problems(&json)[0].starts_with("gap_wait_ms: "));
    }
}
