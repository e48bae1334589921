//! The host calls, under the names by which a filter imports them.

use super::guest::{Called, Slice, Status, both};
use super::host::Host;
use super::{abi, calls, exchange, wasi};
use std::collections::BTreeSet;
use wasmtime::{Caller, Engine, Error, FuncType, IntoFunc, Linker, Val, ValType};

/// Everything that a filter may import.
pub(super) struct Imports {
    pub(super) linker: Linker<Host>,
    pub(super) names: BTreeSet<(&'static str, &'static str)>,
}

impl Imports {
    pub(super) fn new(engine: &Engine) -> Result<Imports, Error> {
        let mut imports = Imports { linker: Linker::new(engine), names: BTreeSet::new() };
        abi::define(&mut imports)?;
        exchange::define(&mut imports)?;
        calls::define(&mut imports)?;
        wasi::define(&mut imports)?;
        Ok(imports)
    }

    /// A host call of proxy-wasm.
    pub(super) fn env<P, R>(
        &mut self,
        name: &'static str,
        run: impl IntoFunc<Host, P, R>,
    ) -> Result<(), Error> {
        self.define("env", name, run)
    }

    /// A host call of proxy-wasm that nobody calls.
    pub(super) fn unused(&mut self, name: &'static str, parameters: usize) -> Result<(), Error> {
        self.names.insert(("env", name));
        let parameters = vec![ValType::I32; parameters];
        let ty = FuncType::new(self.linker.engine(), parameters, [ValType::I32]);
        let answer = Val::I32(Status::Unimplemented as i32);
        let run = move |mut caller: Caller<'_, Host>, _: &[Val], results: &mut [Val]| {
            caller.data_mut().note(|| format!("{name}(...) = Unimplemented"));
            results.fill(answer);
            Ok(())
        };
        self.linker.func_new("env", name, ty, run).map(|_| ())
    }

    pub(super) fn define<P, R>(
        &mut self,
        module: &'static str,
        name: &'static str,
        run: impl IntoFunc<Host, P, R>,
    ) -> Result<(), Error> {
        self.names.insert((module, name));
        self.linker.func_wrap(module, name, run).map(|_| ())
    }
}

/// Ends a host call; notes it with its arguments if anybody wants to know.
pub(super) fn end(
    caller: &mut Caller<'_, Host>,
    name: &str,
    status: Status,
    arguments: impl FnOnce(&[u8]) -> String,
) -> Called {
    if caller.data().trace.is_some() {
        let (memory, host) = both(caller)?;
        let line = format!("{name}({}) = {status:?}", arguments(memory));
        host.note(|| line);
    }
    Ok(status as u32)
}

/// The most bytes of an argument that a trace shows.
const SHOWN: usize = 80;

/// An argument as a trace shows it.
pub(super) fn show(memory: &[u8], slice: Slice) -> String {
    let Ok(bytes) = slice.read(memory) else {
        return "out of memory".into();
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= SHOWN && !text.contains(char::is_control) => format!("{text:?}"),
        _ => format!("{} B", bytes.len()),
    }
}

/// A number in guest memory as a trace shows it.
pub(super) fn number(memory: &[u8], at: u32) -> String {
    let bytes = Slice { at, len: 4 }.read(memory).ok().and_then(|b| b.first_chunk());
    bytes.map_or("?".into(), |b| u32::from_le_bytes(*b).to_string())
}
