//! YAML as plain values, read strictly: a key that nobody knows of is a failure, so that what is
//! new in the files is seen here.

use host_sim::kernel::{Addr, Micros};
use serde_json::Value;

/// Ports of the files and where they lead.
pub type Ports = &'static [(u64, Addr)];

pub fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// What is under a key.
pub fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or_else(|| panic!("there is no {key} in {value:#}"))
}

/// What is under keys, one in the other.
pub fn deep<'a>(value: &'a Value, keys: &[&str]) -> &'a Value {
    keys.iter().fold(value, |value, key| at(value, key))
}

pub fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value:#}"))
}

/// The one item of a list.
pub fn single(value: &Value) -> &Value {
    match items(value) {
        [one] => one,
        _ => panic!("not one: {value:#}"),
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:#}"))
}

pub fn texts(value: &Value) -> Vec<String> {
    items(value).iter().map(|item| text(item).to_string()).collect()
}

pub fn number(value: &Value) -> u32 {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("no number: {value:#}"))
}

/// A duration: `0.125s`.
pub fn micros(value: &Value) -> Micros {
    let seconds = text(value).strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
    let seconds = seconds.unwrap_or_else(|| panic!("no duration: {value:#}"));
    (seconds * 1e6).round() as Micros
}

/// A map has only keys that are read, and keys of what is not simulated.
pub fn only(value: &Value, read: &[&str], not_simulated: &[&str]) {
    let map = value.as_object().unwrap_or_else(|| panic!("no map: {value:#}"));
    for key in map.keys() {
        let known = read.contains(&key.as_str()) || not_simulated.contains(&key.as_str());
        assert!(known, "the simulator does not know of {key} in {value:#}");
    }
}

/// The address of `{address: {socket_address: …}}`.
pub fn address(value: &Value, ports: Ports) -> Addr {
    let port = &deep(value, &["address", "socket_address"])["port_value"];
    let known = ports.iter().find(|(number, _)| Some(*number) == port.as_u64());
    known.unwrap_or_else(|| panic!("whose port is {port}?")).1
}
