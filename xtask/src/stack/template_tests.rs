use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

#[test]
fn a_marked_scalar_is_replaced_and_the_rest_stays() {
    let mut values = Values::default();
    values.number("port", 8443).text("host", "::1").millis("wait", 125);
    let template = "# a `# @name` in prose\na:\n  port_value: 1  # @port\n  address: 127.0.0.1 # @host\n- timeout: 1s  # @wait\nb: {c: d}\n";
    assert_eq!(
        render(template, &values).unwrap(),
        "# a `# @name` in prose\na:\n  port_value: 8443\n  address: \"::1\"\n- timeout: 0.125s\nb: {c: d}\n"
    );
}

#[test]
fn a_json_block_is_merged_in_depth_and_keeps_its_margin() {
    let mut values = Values::default();
    let more = json!({"limits": {"sessions": 7}, "session": {"cookie": "sid"}, "strict": true});
    values.object("gateway", object(more));
    let template = "  value: |  # @json gateway\n    {\n      \"session\": {\"header\": \"x\"},\n      \"limits\": {\"body_bytes\": 9}\n    }\nnext: 1\n";
    let out = render(template, &values).unwrap();
    assert!(out.starts_with("  value: |\n    {\n"), "{out}");
    assert!(out.ends_with("\n    }\nnext: 1\n"), "{out}");
    let json = out.trim_start_matches("  value: |").trim_end_matches("next: 1\n");
    assert_eq!(
        serde_json::from_str::<Value>(json).unwrap(),
        json!({"session": {"cookie": "sid"}, "limits": {"body_bytes": 9, "sessions": 7}, "strict": true})
    );
}

#[test]
fn a_marker_that_nobody_fills_is_an_error_with_its_line() {
    let error = render("a: 1\nb: 2  # @missing\n", &Values::default()).unwrap_err();
    assert!(format!("{error:#}").contains("line 2"), "{error:#}");
    assert!(format!("{error:#}").contains("@missing"), "{error:#}");
}

#[test]
fn a_value_without_a_marker_is_an_error() {
    let mut values = Values::default();
    values.number("nobody", 1);
    let error = render("a: 1\n", &values).unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
}

#[test]
fn a_marker_on_anything_but_a_scalar_is_an_error() {
    let mut values = Values::default();
    values.number("x", 1);
    for line in ["a: {b: 1}  # @x", "a:  # @x", "a: |  # @x y", "a: [1]  # @x", "- *b  # @x"] {
        assert!(render(line, &values).is_err(), "{line}");
    }
}

#[test]
fn a_json_marker_over_something_else_is_an_error() {
    let mut values = Values::default();
    values.object("g", Map::new());
    assert!(render("v: |  # @json g\n  not json\n", &values).is_err());
    assert!(render("v: 1  # @json g\n", &values).is_err());
}
