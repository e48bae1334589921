//! Merging messages as istiod does: fields one by one, lists by appending, durations and packed
//! messages as a whole, entries of maps as a whole.

use serde_json::{Map, Value};

/// Maps from names to packed messages; in JSON nothing tells them from messages.
const MAPS: [&str; 2] = ["typed_extension_protocol_options", "typed_per_filter_config"];
const TYPE: &str = "@type";

/// Merges `from` into `into`.
pub fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => merge_fields(into, from),
        (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
        (into, from) => *into = from.clone(),
    }
}

/// Merges the fields of two messages; also of two packed ones of the same type.
pub fn merge_fields(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        match into.get_mut(name) {
            None => drop(into.insert(name.clone(), value.clone())),
            Some(Value::Object(old)) if MAPS.contains(&name.as_str()) => {
                old.extend(value.as_object().cloned().unwrap_or_default());
            }
            Some(old) if value.get(TYPE).is_some() => *old = value.clone(),
            Some(old) => merge(old, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_merged_lists_appended_and_packed_messages_replaced() {
        let mut into = json!({
            "a": {"x": 1, "y": 2}, "list": [1], "packed": {"@type": "t", "x": 1, "y": 2},
            "typed_extension_protocol_options": {"k": {"@type": "t", "x": 1}, "l": {}},
        });
        let from = json!({
            "a": {"y": 3}, "list": [2], "packed": {"@type": "t", "y": 3}, "new": "5s",
            "typed_extension_protocol_options": {"k": {"@type": "t"}},
        });
        merge(&mut into, &from);
        let merged = json!({
            "a": {"x": 1, "y": 3}, "list": [1, 2], "packed": {"@type": "t", "y": 3}, "new": "5s",
            "typed_extension_protocol_options": {"k": {"@type": "t"}, "l": {}},
        });
        assert_eq!(into, merged);
    }
}
