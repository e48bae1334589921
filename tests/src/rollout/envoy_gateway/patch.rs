//! EnvoyPatchPolicies: JSON patches of what Envoy Gateway made.

use anyhow::{Context as _, Result, bail, ensure};
use manifests::Manifest;
use serde_json::Value;

use super::{items, only, text};

/// Where the resources of a type stand among all that is sent.
const TYPES: [(&str, &str); 3] = [
    ("type.googleapis.com/envoy.config.listener.v3.Listener", "listeners"),
    ("type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "routes"),
    ("type.googleapis.com/envoy.config.cluster.v3.Cluster", "clusters"),
];

/// Applies a policy. What Envoy Gateway would only report in the policy's status is an error.
pub fn apply(policy: &Manifest, sent: &mut Value) -> Result<()> {
    let spec = policy.at("/spec");
    only(spec, &["type", "targetRef", "jsonPatches"], "an EnvoyPatchPolicy")?;
    ensure!(spec["type"] == "JSONPatch", "a policy of the type {}", spec["type"]);
    for patch in items(&spec["jsonPatches"]) {
        only(patch, &["type", "name", "operation"], "a patch")?;
        one(patch, sent).with_context(|| text(&patch["name"]).to_owned())?;
    }
    Ok(())
}

fn one(patch: &Value, sent: &mut Value) -> Result<()> {
    let operation = &patch["operation"];
    only(operation, &["op", "path", "jsonPath", "value"], "an operation")?;
    let (op, path, value) = (text(&operation["op"]), text(&operation["path"]), &operation["value"]);
    ensure!(["add", "replace"].contains(&op), "the operation {op}");
    ensure!(!value.is_null(), "the operation {op} without a value");
    let place = TYPES.iter().find(|(kind, _)| patch["type"] == *kind);
    let (_, place) = place.with_context(|| format!("the type {}", patch["type"]))?;
    let all = sent[*place].as_array_mut().context("no resources")?;
    let from = operation["jsonPath"].as_str();
    if op == "add" && path.is_empty() && from.is_none() {
        all.push(value.clone());
        return Ok(());
    }
    let is = |resource: &&mut Value| resource["name"] == patch["name"];
    let resource = all.iter_mut().find(is).context("there is no such resource")?;
    let pointers = match from {
        None => vec![path.to_owned()],
        Some(from) => {
            let found = found(resource, from)?;
            ensure!(!found.is_empty(), "nothing stands at {from}");
            found.iter().map(|pointer| format!("{pointer}{path}")).collect()
        }
    };
    for pointer in pointers {
        put(resource, op, &pointer, value)?;
    }
    Ok(())
}

/// Puts a value where a pointer leads. What is added may be new, what is replaced must be there.
fn put(resource: &mut Value, op: &str, pointer: &str, value: &Value) -> Result<()> {
    let (parent, name) = pointer.rsplit_once('/').context("no pointer")?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let into = resource.pointer_mut(parent).with_context(|| format!("nothing is at {parent}"))?;
    let Value::Object(into) = into else { bail!("{parent} is not an object") };
    ensure!(op == "add" || into.contains_key(&name), "nothing is at {pointer}");
    into.insert(name, value.clone());
    Ok(())
}

/// The pointers to what a path finds. Known are `..name`, `.name` and `[?(@.key=='text')]`.
fn found(resource: &Value, path: &str) -> Result<Vec<String>> {
    let mut here = vec![String::new()];
    let mut rest = path;
    while !rest.is_empty() {
        let mut next = Vec::new();
        if let Some(condition) = rest.strip_prefix("[?(@.") {
            let (condition, after) = condition.split_once("')]").context("an open condition")?;
            let (key, wanted) = condition.split_once("=='").context("a condition without ==")?;
            for pointer in &here {
                let list = resource.pointer(pointer).map_or(&[][..], items);
                let fits = list.iter().enumerate().filter(|(_, item)| item[key] == wanted);
                next.extend(fits.map(|(index, _)| format!("{pointer}/{index}")));
            }
            rest = after;
        } else {
            let deep = rest.starts_with("..");
            let name = rest.strip_prefix(if deep { ".." } else { "." });
            let name = name.with_context(|| format!("the path {path} from {rest} on"))?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            for pointer in &here {
                let from = resource.pointer(pointer).unwrap_or(&Value::Null);
                children(from, pointer, name, deep, &mut next);
            }
            rest = after;
        }
        here = next;
    }
    Ok(here)
}

/// The pointers to what has a name: below a value, or anywhere under it.
fn children(from: &Value, pointer: &str, name: &str, deep: bool, found: &mut Vec<String>) {
    if from.get(name).is_some() {
        found.push(format!("{pointer}/{name}"));
    }
    if !deep {
        return;
    }
    match from {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                children(value, &format!("{pointer}/{key}"), name, deep, found);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                children(value, &format!("{pointer}/{index}"), name, deep, found);
            }
        }
        _ => {}
    }
}
