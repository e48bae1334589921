//! Reads a value as a type and says everything that the type does not know.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Manifest, values};

/// What is wrong with `value` as a `T`: the first wrong type or enum, and every unknown field.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let inner = serde_path_to_error::Deserializer::new(value, &mut track);
    // It writes a `?` for each Option on the way.
    let unknown = |path: serde_ignored::Path<'_>| {
        problems.push(format!("unknown field {path}").replace(".?", ""));
    };
    let read: Result<T, _> = serde_ignored::deserialize(inner, unknown);
    if let Err(error) = read {
        problems.push(format!("{}: {error}", track.path()));
    }
    problems
}

/// [`typed`], and the fields that the schema of `T` requires: the built-in types read a missing
/// one as empty.
pub fn built_in<T: DeserializeOwned + JsonSchema>(value: &Value) -> Vec<String> {
    let mut problems = typed::<T>(value);
    let schema = schemars::schema_for!(T).to_value();
    missing(&schema, &schema, value, "", &mut problems);
    problems
}

/// A custom resource: its metadata, and its `spec` as a `T`.
pub fn custom<T: DeserializeOwned>(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    for key in manifest.value.as_object().into_iter().flat_map(|object| object.keys()) {
        if !["apiVersion", "kind", "metadata", "spec"].contains(&key.as_str()) {
            problems.push(format!("unknown field {key}"));
        }
    }
    let within = |place: &'static str| move |problem| format!("{place}: {problem}");
    let metadata = built_in::<ObjectMeta>(manifest.at("/metadata"));
    problems.extend(metadata.into_iter().map(within("metadata")));
    problems.extend(values::metadata(manifest));
    problems.extend(typed::<T>(manifest.at("/spec")).into_iter().map(within("spec")));
    problems
}

/// Goes through a value along its schema.
fn missing(root: &Value, schema: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
    let reference = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
    if let Some(target) = reference.and_then(|pointer| root.pointer(pointer)) {
        return missing(root, target, value, path, problems);
    }
    match value {
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                if name.as_str().is_some_and(|name| !fields.contains_key(name)) {
                    problems.push(format!("{path}: {name} is missing"));
                }
            }
            for (name, field) in fields {
                let known = schema["properties"].get(name);
                let schema = known.unwrap_or(&schema["additionalProperties"]);
                missing(root, schema, field, &format!("{path}.{name}"), problems);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                missing(root, &schema["items"], item, &format!("{path}.{index}"), problems);
            }
        }
        _ => {}
    }
}
