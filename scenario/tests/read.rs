//! What a scenario file may say, and what is said about one that is wrong.

use scenario::{Cut, Flap, Process, Scenario, What, read, to_yaml};

const SMALLEST: &str = "name: a\nduration_ms: 5000\nload: {sessions: 1, writes_per_second: 2}\n";

fn smallest_and(more: &str) -> Result<Scenario, Vec<String>> {
    let yaml = format!("{SMALLEST}{more}");
    read(&yaml).map_err(|problems| problems.to_string().lines().map(String::from).collect())
}

fn problems(more: &str) -> Vec<String> {
    smallest_and(more).expect_err("problems")
}

#[test]
fn the_smallest_scenario_has_a_name_a_duration_and_a_load() {
    let scenario = read(SMALLEST).expect("valid");
    assert_eq!((scenario.seed, scenario.detect_ms, scenario.stall_ms), (1, 1_000, 30_000));
    assert_eq!(scenario.stack.shops, 1);
    assert!(scenario.faults.is_empty());
}

#[test]
fn every_kind_of_fault_can_be_written_down() {
    let faults = "
stack: {gateways: 2}
faults:
  - {at_ms: 1, for_ms: 3, what: {link: hole}}
  - {at_ms: 1, what: {flap: {cut: mute, down_ms: [1, 2], up_ms: [3, 4]}}}
  - {at_ms: 1, what: reset}
  - {at_ms: 1, for_ms: 3, what: {delay: 200}}
  - {at_ms: 1, for_ms: 3, what: {crash: edge-gateway}}
  - {at_ms: 1, for_ms: 3, what: {restart: cloud-reprise}}
  - {at_ms: 1, for_ms: 3, what: {pause: primary}}
  - {at_ms: 1, what: {panic: primary-guard}}
  - {at_ms: 1, what: reload}
  - {at_ms: 1, for_ms: 3, what: {service: {replica: primary, how: busy}}}
  - {at_ms: 1, for_ms: 3, what: {service: {replica: secondary, how: {break_after: 10}}}}
  - {at_ms: 1, for_ms: 3, what: {disk: {site: edge, how: full}}}
  - {at_ms: 1, what: {clock: {site: cloud, step_ms: -3600000}}}
  - {at_ms: 1, what: {store: {of: edge-reprise}}}
";
    let scenario = smallest_and(faults).expect("valid");
    assert_eq!(scenario.faults.len(), 14);
    assert_eq!(scenario.faults[0].what, What::Link(Cut::Hole));
    let flap = Flap { cut: Cut::Mute, down_ms: [1, 2], up_ms: [3, 4] };
    assert_eq!(scenario.faults[1].what, What::Flap(flap));
    assert_eq!(scenario.faults[4].what, What::Crash(Process::EdgeGateway));
    assert_eq!(read(&to_yaml(&scenario)), Ok(scenario), "what is written is read again");
}

#[test]
fn a_fault_can_be_written_once_and_repeated() {
    let faults =
        "faults:\n  - &cut {at_ms: 1, for_ms: 2, what: {link: hole}}\n  - {<<: *cut, at_ms: 7}\n";
    let scenario = smallest_and(faults).expect("valid");
    assert_eq!((scenario.faults[1].at_ms, scenario.faults[1].for_ms), (7, Some(2)));
}

#[test]
fn any_seed_survives_being_written() {
    let mut scenario = read(SMALLEST).expect("valid");
    for seed in [0, u64::MAX, i64::MAX as u64 + 1] {
        scenario.seed = seed;
        assert_eq!(read(&to_yaml(&scenario)).map(|s| s.seed), Ok(seed));
    }
}

#[test]
fn plugin_configurations_are_taken_as_they_are() {
    let scenario = smallest_and("stack: {gateway: {routes: [{match: /x, replicate: false}]}}\n");
    let routes = &scenario.expect("valid").stack.gateway["routes"];
    assert_eq!(*routes, serde_json::json!([{"match": "/x", "replicate": false}]));
}

#[test]
fn what_does_not_fit_is_all_found_at_once_with_lines_and_paths() {
    let found = problems(
        "detect_ms: 5s\nstack: {shop: 3, workers: 99}\nnormal: {link_us: 5}\nexpected: {}\nfaults:\n  - at_ms: 1\n    what: {link: hoel}\n  - {what: {lnk: hole}}\n  - at_ms: 9000\n    for_ms: 3\n    what: reset\n",
    );
    for (found, expected) in found.iter().zip([
        "line 4: detect_ms: invalid type: string \"5s\", expected a whole number, 0 or more",
        "line 5: stack.shop: unknown key `shop`, expected one of `shops`, ",
        "line 5: stack.workers: must be from 1 to 16, is 99",
        "line 6: normal.link_us: invalid type: integer `5`, expected the least and the most, as [1, 5]",
        "line 7: expected: unknown key `expected`, expected one of ",
        "line 10: faults[0].what: unknown value `hoel`, expected one of `refuse`, `hole`, ",
        "line 11: faults[1].what: unknown value `lnk`, expected one of `link`, `flap`, ",
        "line 11: faults[1].at_ms: is required",
        "line 12: faults[2].at_ms: must be before the end of the load, 5000 ms",
        "line 13: faults[2].for_ms: reset happens in a moment: leave for_ms out",
    ]) {
        assert!(found.starts_with(expected), "{found}\ninstead of\n{expected}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn what_is_missing_is_named() {
    let found = read("seed: 3\nload: {sessions: 2}\n").expect_err("problems").to_string();
    let expected =
        "duration_ms: is required\nname: is required\nline 2: load.writes_per_second: is required";
    assert_eq!(found, expected);
}

#[test]
fn a_section_that_is_no_section_is_said_so() {
    let found = problems("stack: 5\nfaults: none\nexpect: {broken: all}\n");
    assert_eq!(
        found,
        [
            "line 4: stack: invalid type: integer `5`, expected keys",
            "line 5: faults: invalid type: string \"none\", expected a list",
            "line 6: expect.broken: invalid type: string \"all\", expected a list",
        ]
    );
}

#[test]
fn what_is_not_yaml_is_shown_with_its_line() {
    let found = problems("stack: {shops: 2\n");
    assert_eq!(found, ["line 4: unclosed bracket '{'"]);
    assert_eq!(problems("load: {}\n"), ["line 4: duplicate mapping key: load"]);
    let list = read("- a\n").expect_err("problems").to_string();
    assert_eq!(list, "expected the keys of a scenario, found a list");
    assert!(read("").is_err());
}

#[test]
fn values_that_make_no_sense_are_refused_with_what_would() {
    for (more, expected) in [
        ("stack: {shops: 2001}", "stack.shops: must be from 1 to 2000, is 2001"),
        ("stall_ms: 0", "stall_ms: must be from 1000 to 3600000, is 0"),
        ("normal: {link_us: [7, 5]}", "normal.link_us: the least must not be more than the most"),
        ("stack: {log: {takeover: 3}}", "stack.log.takeover: unknown key; known here: takeover_ms"),
        ("stack: {log: {takeover_ms: 3}}", "stack.log.takeover_ms: must be from 10 to 60000, is 3"),
        ("stack: {log: {gateways: shared}}", "stack.log.gateways: follows from stack.gateways"),
        ("stack: {journal: {remember_bytes: x}}", "stack.journal.remember_bytes: expected a whole"),
        ("expect: {broken: [lots]}", "expect.broken[0]: must be one of lost, twice, order,"),
        (
            "expect: {slowest_shop_times_median: 2}",
            "expect.slowest_shop_times_median: needs several",
        ),
    ] {
        let found = problems(&format!("{more}\n"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("line 4: {expected}")), "{found:#?}");
    }
}

#[test]
fn loads_that_nobody_can_send_are_refused() {
    let with = |load: &str| {
        let yaml = format!("name: a\nduration_ms: 5000\nload: {{{load}}}\n");
        read(&yaml).expect_err("problems").to_string()
    };
    let found = with(
        "sessions: 0, writes_per_second: 0, body_bytes: [2, 1], methods: {post: 0}, from_ms: 5000, doubles_per_mille: 1001",
    );
    let paths: Vec<&str> = found.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    let expected =
        ["sessions", "writes_per_second", "body_bytes", "methods", "doubles_per_mille", "from_ms"];
    assert_eq!(paths, expected.map(|key| format!("load.{key}")), "{found}");
}

#[test]
fn faults_that_cannot_happen_are_refused_with_the_reason() {
    for (fault, expected) in [
        ("at_ms: 5000, what: reset", ".at_ms: must be before the end of the load, 5000 ms"),
        ("at_ms: 1, for_ms: 0, what: {link: hole}", ".for_ms: must be 1 or more"),
        ("at_ms: 1, for_ms: 9, what: {panic: gateway}", ".for_ms: panic happens in a moment"),
        ("at_ms: 1, shop: 1, what: reset", ".shop: must be below stack.shops, 1"),
        ("at_ms: 1, what: {crash: edge-gateway}", ".what: there is an edge-gateway only with"),
        ("at_ms: 1, what: {delay: 0}", ".what.delay: must be from 1 to 600000, is 0"),
        (
            "at_ms: 1, what: {clock: {site: edge, step_ms: 0}}",
            ".what.clock.step_ms: must be a step",
        ),
        ("at_ms: 1, what: {store: {of: primary}}", ".what.store.of: must be edge-reprise or"),
        ("at_ms: 1, what: {store: {of: edge-reprise, age_ms: 2}}", ".what.store.age_ms: must not"),
        (
            "at_ms: 1, what: {flap: {cut: hole, down_ms: [3, 2], up_ms: [1, 1]}}",
            ".what.flap.down_ms: the least must not be more than the most, is [3, 2]",
        ),
    ] {
        let found = problems(&format!("faults: [{{{fault}}}]\n"));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("line 4: faults[0]{expected}")), "{found:#?}");
    }
}
