//! A YAML file as a value, with the line of every key.

use crate::Problem;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::fmt;

/// A file.
pub struct File {
    /// What it says.
    pub value: Value,
    lines: BTreeMap<String, u64>,
}

impl File {
    /// The line of a key, or of the nearest one around it.
    pub fn line(&self, path: &str) -> Option<u64> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Reads a file, whatever it says, as long as it is YAML.
pub fn read(yaml: &str) -> Result<File, Problem> {
    let node: Spanned<Node> = serde_saphyr::from_str(yaml).map_err(|error| {
        let line = error.location().map(|place| place.line());
        let text = error.without_snippet().to_string();
        // The place stands in front already.
        let what = text.split(" at line ").next().unwrap_or(&text).to_string();
        let what = what.split(", set DuplicateKeyPolicy").next().unwrap_or(&what).to_string();
        Problem { line, at: String::new(), what }
    })?;
    let mut lines = BTreeMap::new();
    let value = unfold(node, String::new(), &mut lines);
    Ok(File { value, lines })
}

fn unfold(node: Spanned<Node>, path: String, lines: &mut BTreeMap<String, u64>) -> Value {
    if !path.is_empty() {
        lines.insert(path.clone(), node.referenced.line());
    }
    match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => {
            let item = |(n, item)| unfold(item, format!("{path}[{n}]"), lines);
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
        Node::Keys(keys) => {
            let mut map = Map::new();
            for (key, value) in keys {
                let dot = if path.is_empty() { "" } else { "." };
                let below = format!("{path}{dot}{}", key.value);
                let value = unfold(value, below.clone(), lines);
                lines.insert(below, key.referenced.line());
                map.insert(key.value, value);
            }
            Value::Object(map)
        }
    }
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Keys(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Node, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut keys = Vec::new();
        while let Some(entry) = from.next_entry()? {
            keys.push(entry);
        }
        Ok(Node::Keys(keys))
    }
}
