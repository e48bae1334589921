use super::*;

const SMALLEST: &str = "service = 'shop'\nstore = 'memory'\n[journal]\nreplica = 'primary'\n";

fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err("problems")
}

#[test]
fn the_smallest_configuration_has_the_documented_defaults() {
    let config = parse(SMALLEST).expect("valid");
    assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
    assert_eq!(config.admin.to_string(), "127.0.0.1:7401");
    assert_eq!(config.probes, None);
    assert_eq!(config.store, Store::Memory);
    assert!(config.log.is_none());
    let journal = config.journal.expect("a journal");
    assert_eq!(journal.replica, Replica::Primary);
    assert_eq!(journal.remember_bytes, 67_108_864);

    let text = "service='shop'\nstore='memory'\n[log]\ndelivery='127.0.0.1:7402'\n";
    let log = parse(text).expect("valid").log.expect("a log");
    assert_eq!(log.mirror_cluster, None);
    assert!(log.sole_gateway);
    assert_eq!((log.takeover_ms, log.delivery_timeout), (500, Duration::from_secs(2)));
    assert_eq!(log.delivery_per_second, 0);
    assert_eq!((log.delivery_parallel, log.handback_hold_ms, log.mirror_grace_ms), (64, 300, 200));
    assert_eq!((log.remember_ids_ms, log.remember_ids_bytes), (86_400_000, 268_435_456));
    assert_eq!(log.session_idle_ms, 604_800_000);
    assert_eq!((log.max_entries, log.max_bytes), (4_000_000, 8_589_934_592));
    let Headers { stamp, word, route } = log.headers;
    assert_eq!([stamp, word, route], ["x-reprise-stamp", "x-reprise-word", "x-reprise-route"]);
}

#[test]
fn the_store_is_on_disk_unless_told_otherwise() {
    let config = parse("service='shop'\n[journal]\nreplica='primary'").expect("valid");
    assert_eq!(config.store, Store::Disk(Engine::Fjall, "/var/lib/reprise".into()));
    assert_eq!(config.min_free_bytes, 128 << 20);
}

#[test]
fn envoys_mirror_names_its_cluster() {
    let text = "service='s'\nstore='memory'\n[log]\ndelivery='a:1'\nmirror='envoy'\n";
    let cluster = |more: &str| {
        parse(&format!("{text}{more}")).expect("valid").log.expect("a log").mirror_cluster
    };
    assert_eq!(cluster("").as_deref(), Some("secondary-guard"));
    assert_eq!(cluster("mirror_cluster='twin'").as_deref(), Some("twin"));
}

#[test]
fn headers_may_have_other_names() {
    let with = |headers: &str| {
        let log = "service='s'\nstore='memory'\n[log]\ndelivery='a:1'\n[log.headers]\n";
        parse(&format!("{log}{headers}"))
    };
    let headers = with("route='x-wso2-cluster-header'").expect("valid").log.expect("a log").headers;
    assert_eq!(headers.route, "x-wso2-cluster-header");
    assert_eq!(headers.stamp, "x-reprise-stamp");
    assert_eq!(
        with("stamp='X-Trace Key'\nword='x-reprise-route'\nid='x'").expect_err("problems"),
        [
            "log.headers.stamp: expected a header name in lower case, found \"X-Trace Key\"",
            "log.headers: word and route are both \"x-reprise-route\"",
            "log.headers.id: unknown key; known here are route, stamp, word",
        ]
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(
        "listen = 'here'\nadmin = 7\nstor = 'sled'\n[log]\nmirror = 'both'\ntakeover_ms = -1\n\
         max_byte = 1\n[journal]\nreplica = 'third'\nremember_bytes = 'many'\n",
    );
    for expected in [
        "service: is required",
        "listen: expected IP:PORT like 127.0.0.1:7400, found \"here\"",
        "admin: expected a string, found a number",
        "stor: unknown key",
        "log.delivery: is required",
        "log.mirror: expected one of log, envoy, found \"both\"",
        "log.takeover_ms: expected a whole number from 10 to 60000, found -1",
        "log.max_byte: unknown key",
        "journal.replica: expected one of primary, secondary, found \"third\"",
        "journal.remember_bytes: expected a whole number",
    ] {
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected} is not in {found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn keys_that_contradict_each_other_are_problems() {
    let found = problems(
        "service='s'\nstore='memory'\nlisten='127.0.0.1:7401'\n[log]\ndelivery='127.0.0.1:7401'\n\
         takeover_ms=3000\n",
    );
    for expected in [
        "admin: must not be the same as listen",
        "log.takeover_ms: must be less than log.delivery_timeout_ms (2000), found 3000",
        "log.delivery: is Envoy's delivery listener, not this process's listen",
        "log.delivery: is Envoy's delivery listener, not this process's admin",
    ] {
        assert!(found.iter().any(|p| p.starts_with(expected)), "{expected} is not in {found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn the_probes_have_an_address_of_their_own() {
    let with = |probes: &str| parse(&format!("probes='{probes}'\n{SMALLEST}"));
    let address = with("0.0.0.0:7408").expect("valid").probes.expect("an address");
    assert_eq!(address.to_string(), "0.0.0.0:7408");
    for (wrong, expected) in [
        ("7408", "probes: expected IP:PORT like 0.0.0.0:7408, found \"7408\""),
        ("0.0.0.0:7400", "probes: must not be the same as listen (127.0.0.1:7400)"),
        ("127.0.0.1:7401", "probes: must not be the same as admin (127.0.0.1:7401)"),
    ] {
        assert_eq!(with(wrong).expect_err("a problem"), [expected]);
    }
    let delivery = "service='s'\nstore='memory'\nprobes='127.0.0.1:7402'\n[log]\n\
                    delivery='127.0.0.1:7402'\n";
    let expected = "log.delivery: is Envoy's delivery listener, not this process's probes";
    assert_eq!(problems(delivery), [expected]);
}

#[test]
fn a_process_without_any_engine_is_refused() {
    let found = problems("service='s'\nstore='memory'\n");
    assert_eq!(found, ["there must be a [log], a [journal] or both"]);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_a_problem() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let data = file.path().join("below");
    let text = format!("service='s'\ndata='{}'\n[journal]\nreplica='primary'\n", data.display());
    let found = problems(&text);
    assert!(found[0].starts_with("data: cannot make") && found[0].ends_with("is not a directory"));
}

#[test]
fn delivery_may_be_a_name_but_needs_a_port() {
    let with = |delivery: &str| {
        parse(&format!("service='s'\nstore='memory'\n[log]\ndelivery='{delivery}'\n"))
    };
    assert!(with("edge-envoy:7402").is_ok());
    for wrong in ["edge-envoy", "edge-envoy:0", ":7402", "u@h:1", "http://h:1", "h:99999"] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn text_that_is_not_toml_is_one_problem_with_its_place() {
    let found = problems("service = \n");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("line 1"), "{found:?}");
}
