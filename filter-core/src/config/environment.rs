//! `${NAME}` in the texts of a configuration: the value of an environment variable.

use protocol::fields::Problems;
use serde_json::Value;

/// Puts the values of variables in the place of their names, in every text of `value`. `path` is
/// where it stands in the configuration.
pub(super) fn fill_in(
    value: &mut Value,
    path: &str,
    variable: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
) {
    match value {
        Value::String(text) if text.contains("${") => {
            *text = filled_in(text, variable, |problem| problems.add(path, problem));
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                fill_in(item, &format!("{path}[{index}]"), variable, problems);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                fill_in(field, &path, variable, problems);
            }
        }
        _ => {}
    }
}

/// A variable that is not set stands for its own name, so that the rest can still be checked.
fn filled_in(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
    mut problem: impl FnMut(String),
) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            problem(format!("expected ${{NAME}}, an environment variable, found \"{text}\""));
            return filled;
        };
        filled.push_str(before);
        match variable(name) {
            Some(value) => filled.push_str(&value),
            None => {
                problem(format!("the environment has no variable {name}"));
                filled.push_str(name);
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// A name as in POSIX: letters, digits and underscores, no digit first.
fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_family = "wasm")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn fill(mut value: Value) -> Result<Value, Vec<String>> {
        let mut problems = Problems::default();
        let variable = |name: &str| match name {
            "A" => Some("a".to_string()),
            "_B2" => Some("${A}".to_string()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        fill_in(&mut value, "", &variable, &mut problems);
        problems.into_result().map(|()| value)
    }

    #[test]
    fn every_text_gets_what_its_variables_hold_and_nothing_is_filled_in_twice() {
        let value =
            json!({"x": ["${A}", "-${A}${A}-"], "${A}": {"y": "${_B2}", "z": "${EMPTY}"}, "n": 1});
        let filled = json!({"x": ["a", "-aa-"], "${A}": {"y": "${A}", "z": ""}, "n": 1});
        assert_eq!(fill(value).unwrap(), filled);
    }

    #[test]
    fn a_dollar_alone_is_itself() {
        let value = json!(["$A", "$$", "{A}", "a$", "^/s/([^/$]+)"]);
        assert_eq!(fill(value.clone()).unwrap(), value);
    }

    #[test]
    fn what_is_not_set_or_no_name_is_a_problem_at_its_key() {
        assert_eq!(
            fill(json!({"a": [{"b": "${C} ${D}"}], "e": "${", "f": "x${1}", "g": "${}", "h": "${A B}"}))
                .unwrap_err(),
            [
                "a[0].b: the environment has no variable C",
                "a[0].b: the environment has no variable D",
                "e: expected ${NAME}, an environment variable, found \"${\"",
                "f: expected ${NAME}, an environment variable, found \"x${1}\"",
                "g: expected ${NAME}, an environment variable, found \"${}\"",
                "h: expected ${NAME}, an environment variable, found \"${A B}\"",
            ]
        );
    }
}
