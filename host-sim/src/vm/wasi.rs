//! The few calls of WASI that Envoy gives a filter: clocks, randomness, environment, output.

use super::guest::{Answered, Slice, call, write, write_u32};
use super::host::Host;
use super::imports::Imports;
use super::words::Level;
use wasmtime::{Caller, Error};

const WASI: &str = "wasi_snapshot_preview1";

const SUCCESS: u32 = 0;
const BAD_DESCRIPTOR: u32 = 8;
const FAULT: u32 = 21;
const NOT_SUPPORTED: u32 = 58;

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.define(WASI, "clock_time_get", clock_time_get)?;
    imports.define(WASI, "random_get", random_get)?;
    imports.define(WASI, "environ_get", environ_get)?;
    imports.define(WASI, "environ_sizes_get", environ_sizes_get)?;
    imports.define(WASI, "fd_write", fd_write)?;
    imports.define(WASI, "proc_exit", proc_exit)
}

fn clock_time_get(
    mut caller: Caller<'_, Host>,
    id: u32,
    _: u64,
    time_at: u32,
) -> Result<u32, Error> {
    let clock = caller.data().clock;
    let time = match id {
        0 => clock.wall_ns,
        1 => clock.mono_ns,
        _ => return Ok(NOT_SUPPORTED),
    };
    caller.data_mut().note(|| format!("clock_time_get({id}) = {time}"));
    run(&mut caller, |memory, _| write(memory, time_at, &time.to_le_bytes()))
}

fn random_get(mut caller: Caller<'_, Host>, at: u32, len: u32) -> Result<u32, Error> {
    caller.data_mut().note(|| format!("random_get({len} B)"));
    run(&mut caller, |memory, host| {
        let slice = Slice { at, len };
        slice.read(memory)?;
        if let Some(bytes) = memory.get_mut(at as usize..).and_then(|m| m.get_mut(..len as usize)) {
            host.rng.fill(bytes);
        }
        Ok(())
    })
}

fn environ_get(mut caller: Caller<'_, Host>, list_at: u32, text_at: u32) -> Result<u32, Error> {
    run(&mut caller, |memory, host| {
        let (mut list_at, mut text_at) = (list_at, text_at);
        for line in &host.environment {
            write_u32(memory, list_at, text_at)?;
            write(memory, text_at, line)?;
            list_at = list_at.wrapping_add(4);
            text_at = text_at.wrapping_add(line.len() as u32);
        }
        Ok(())
    })
}

fn environ_sizes_get(
    mut caller: Caller<'_, Host>,
    count_at: u32,
    size_at: u32,
) -> Result<u32, Error> {
    run(&mut caller, |memory, host| {
        let size: usize = host.environment.iter().map(Vec::len).sum();
        write_u32(memory, count_at, host.environment.len() as u32)?;
        write_u32(memory, size_at, size as u32)
    })
}

/// What a filter prints is a log line.
fn fd_write(
    mut caller: Caller<'_, Host>,
    descriptor: u32,
    list_at: u32,
    count: u32,
    written_at: u32,
) -> Result<u32, Error> {
    let level = match descriptor {
        1 => Level::Info,
        2 => Level::Error,
        _ => return Ok(BAD_DESCRIPTOR),
    };
    run(&mut caller, |memory, host| {
        let mut text = Vec::new();
        for n in 0..count {
            let at = list_at.wrapping_add(n.wrapping_mul(8));
            let [at, len] = [at, at.wrapping_add(4)].map(|at| word(memory, at));
            text.extend_from_slice(Slice { at: at?, len: len? }.read(memory)?);
        }
        write_u32(memory, written_at, text.len() as u32)?;
        if !text.is_empty() {
            let text = String::from_utf8_lossy(&text);
            host.log(level, text.strip_suffix('\n').unwrap_or(&text));
        }
        Ok(())
    })
}

fn word(memory: &[u8], at: u32) -> Result<u32, super::guest::Status> {
    let bytes = Slice { at, len: 4 }.read(memory)?.first_chunk();
    Ok(bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
}

fn proc_exit(_: Caller<'_, Host>, code: u32) -> Result<(), Error> {
    Err(Error::msg(format!("the filter ended itself with proc_exit({code})")))
}

fn run(
    caller: &mut Caller<'_, Host>,
    run: impl FnOnce(&mut [u8], &mut Host) -> Answered,
) -> Result<u32, Error> {
    let status = call(caller, run)?;
    Ok(if status == super::guest::Status::Ok { SUCCESS } else { FAULT })
}
