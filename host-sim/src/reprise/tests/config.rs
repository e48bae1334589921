use super::super::Config;
use super::scenario;
use crate::kernel::{MS, NodeId};
use serde_json::json;

#[test]
fn the_times_follow_from_the_detection_time() {
    let mut scenario = scenario();
    scenario.detect_ms = 400;
    scenario.stack.gateways = 2;
    let log = Config::edge(&scenario, "shop", 0, NodeId(1)).unwrap().log.unwrap().settings;
    assert_eq!((log.engine.takeover_ms, log.delivery_timeout), (200, 800 * MS));
    assert!(!log.engine.sole_gateway);
    assert_eq!(log.engine.mirror_cluster, None);
}

#[test]
fn a_scenario_can_set_the_keys_of_the_documentation() {
    let mut scenario = scenario();
    let keys = json!({"takeover_ms": 300, "mirror": "envoy", "headers": {"word": "x-w"}});
    scenario.stack.log = keys.as_object().unwrap().clone();
    scenario.stack.journal = json!({"remember_bytes": 9}).as_object().unwrap().clone();
    let config = Config::edge(&scenario, "shop", 0, NodeId(1)).unwrap();
    assert_eq!(config.journal.remember_bytes, 9);
    assert_eq!(config.journal.takeover_ms, Some(300));
    let log = config.log.unwrap().settings;
    assert_eq!(log.engine.mirror_cluster.as_deref(), Some("secondary-guard"));
    assert_eq!(log.headers.word, "x-w");
}

#[test]
fn all_problems_of_a_section_are_reported_with_their_keys() {
    let mut scenario = scenario();
    let keys = json!({"takeover_ms": 5000, "tackover_ms": 1, "max_bytes": "x"});
    scenario.stack.log = keys.as_object().unwrap().clone();
    let problems = Config::edge(&scenario, "shop", 0, NodeId(1)).unwrap_err();
    let lines: Vec<_> = problems.lines().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["stack.log.max_bytes", "stack.log.takeover_ms", "stack.log.tackover_ms"]);
}
