//! What the filter's module asks of its host, held to the list of what it may ask.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use super::VERSION;
use super::bytes::sha256;
use crate::repo;

/// Where the list is, from the root of the repository.
pub const CAPABILITIES: &str = "filter/capabilities.txt";
/// Envoy calls it whatever is allowed.
const ALLOCATE: &str = "proxy_on_memory_allocate";

/// The names in `filter/capabilities.txt`: the `allowed_capabilities` of every manifest.
pub fn capabilities() -> Result<BTreeSet<String>> {
    let path = repo::root().join(CAPABILITIES);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {CAPABILITIES}"))?;
    Ok(listed(&text))
}

fn listed(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// What a module imports and exports, and what it carries besides.
#[derive(Debug, Default)]
pub(super) struct Module {
    host_calls: BTreeSet<String>,
    callbacks: BTreeSet<String>,
    abi: Vec<String>,
    custom: Vec<String>,
}

impl Module {
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.context("this is no wasm module")? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let known = matches!(import.module, "env" | "wasi_snapshot_preview1");
                        if !known || !matches!(import.ty, TypeRef::Func(_)) {
                            bail!("no host has {}.{}", import.module, import.name);
                        }
                        module.host_calls.insert(import.name.to_owned());
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if let Some(abi) = export.name.strip_prefix("proxy_abi_version_") {
                            module.abi.push(abi.replace('_', "."));
                        } else if export.kind == ExternalKind::Func
                            && export.name.starts_with("proxy_on_")
                            && export.name != ALLOCATE
                        {
                            module.callbacks.insert(export.name.to_owned());
                        }
                    }
                }
                Payload::CustomSection(section) => module.custom.push(section.name().to_owned()),
                _ => {}
            }
        }
        Ok(module)
    }

    /// Why it is not to be handed out with this list.
    pub(super) fn problems(&self, allowed: &BTreeSet<String>) -> Vec<String> {
        let asked: BTreeSet<_> = self.host_calls.union(&self.callbacks).cloned().collect();
        let missing = asked.difference(allowed);
        let idle = allowed.difference(&asked);
        let mut problems: Vec<_> = missing
            .map(|name| format!("the module has `{name}`, which is not on {CAPABILITIES}"))
            .chain(idle.map(|name| format!("`{name}` is on {CAPABILITIES}, and nothing has it")))
            .chain(self.custom.iter().map(|name| format!("it is not stripped: section `{name}`")))
            .collect();
        if self.abi.len() != 1 {
            problems.push(format!("it must have one ABI version, found {:?}", self.abi));
        }
        problems
    }

    /// `reprise_filter.json`.
    pub(super) fn describe(&self, bytes: &[u8], image_sha256: &str) -> Value {
        json!({
            "version": VERSION,
            "bytes": bytes.len(),
            "sha256": sha256(bytes),
            "abi": self.abi.first(),
            "host_calls": self.host_calls,
            "callbacks": self.callbacks,
            "image_sha256": image_sha256,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, content: Vec<u8>) -> Vec<u8> {
        [vec![id, content.len() as u8], content].concat()
    }

    fn name(text: &str) -> Vec<u8> {
        [vec![text.len() as u8], text.as_bytes().to_vec()].concat()
    }

    /// A module with a function of no arguments, imports of it, and exports of it.
    fn module(imports: &[(&str, &str)], exports: &[&str], custom: Option<&str>) -> Vec<u8> {
        let import =
            |(module, field): &(&str, &str)| [name(module), name(field), vec![0, 0]].concat();
        let export = |field: &&str| [name(field), vec![0, 0]].concat();
        let mut out = b"\0asm\x01\0\0\0".to_vec();
        out.extend(section(1, vec![1, 0x60, 0, 0]));
        let all: Vec<u8> = imports.iter().flat_map(import).collect();
        out.extend(section(2, [vec![imports.len() as u8], all].concat()));
        out.extend(section(3, vec![1, 0]));
        let all: Vec<u8> = exports.iter().flat_map(export).collect();
        out.extend(section(7, [vec![exports.len() as u8], all].concat()));
        out.extend(section(10, vec![1, 2, 0, 0x0b]));
        out.extend(custom.map(|title| section(0, name(title))).unwrap_or_default());
        out
    }

    const EXPORTS: [&str; 4] = ["proxy_abi_version_0_2_1", "proxy_on_log", ALLOCATE, "_initialize"];
    const IMPORTS: [(&str, &str); 2] =
        [("env", "proxy_log"), ("wasi_snapshot_preview1", "random_get")];

    fn problems(bytes: &[u8], list: &str) -> Vec<String> {
        Module::read(bytes).unwrap().problems(&listed(list))
    }

    #[test]
    fn a_module_asks_for_exactly_what_is_listed() {
        let list = "# calls\nproxy_log\nrandom_get\n\n# callbacks\nproxy_on_log\n";
        let bytes = module(&IMPORTS, &EXPORTS, None);
        assert_eq!(problems(&bytes, list), [""; 0]);
        let described = Module::read(&bytes).unwrap().describe(&bytes, "ab");
        assert_eq!(described["abi"], "0.2.1");
        assert_eq!(described["bytes"], bytes.len());
        assert_eq!(described["host_calls"], json!(["proxy_log", "random_get"]));
        assert_eq!(described["callbacks"], json!(["proxy_on_log"]));
    }

    #[test]
    fn too_much_and_too_little_are_named() {
        let bytes = module(&IMPORTS, &EXPORTS, None);
        assert_eq!(
            problems(&bytes, "proxy_log\nproxy_on_log\nproxy_http_call\n"),
            [
                "the module has `random_get`, which is not on filter/capabilities.txt",
                "`proxy_http_call` is on filter/capabilities.txt, and nothing has it",
            ]
        );
    }

    #[test]
    fn names_for_debuggers_and_a_second_abi_are_named() {
        let list = "proxy_log\nrandom_get\nproxy_on_log\n";
        let named = module(&IMPORTS, &EXPORTS, Some("name"));
        assert_eq!(problems(&named, list), ["it is not stripped: section `name`"]);
        let exports = [&EXPORTS[..], &["proxy_abi_version_0_1_0"]].concat();
        let two = problems(&module(&IMPORTS, &exports, None), list);
        assert_eq!(two, [r#"it must have one ABI version, found ["0.2.1", "0.1.0"]"#]);
    }

    #[test]
    fn what_is_no_module_or_asks_an_unknown_host_is_refused() {
        let refused = |bytes: &[u8]| format!("{:#}", Module::read(bytes).unwrap_err());
        assert!(refused(b"#!/bin/sh\n").starts_with("this is no wasm module"));
        let strange = module(&[("gojs", "runtime.nanotime")], &EXPORTS, None);
        assert_eq!(refused(&strange), "no host has gojs.runtime.nanotime");
    }

    #[test]
    fn the_list_names_calls_and_callbacks() {
        let list = capabilities().unwrap();
        for name in ["proxy_log", "random_get", "proxy_on_request_headers"] {
            assert!(list.contains(name), "{name}");
        }
    }
}
