//! Host calls about the worker: its log, time, shared data and counters.

use super::guest::{Called, Slice, Status, call, hand_over, write, write_u32};
use super::host::Host;
use super::imports::{Imports, end, number, show};
use super::properties;
use super::words::Level;
use wasmtime::{Caller, Error};

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.env("proxy_log", log)?;
    imports.env("proxy_get_current_time_nanoseconds", current_time)?;
    imports.env("proxy_set_tick_period_milliseconds", tick_period)?;
    imports.env("proxy_get_property", get_property)?;
    imports.env("proxy_get_shared_data", get_shared)?;
    imports.env("proxy_set_shared_data", set_shared)?;
    imports.env("proxy_define_metric", define_metric)?;
    imports.env("proxy_increment_metric", increment_metric)?;
    imports.env("proxy_get_metric", get_metric)?;
    UNUSED.iter().try_for_each(|(name, parameters)| imports.unused(name, *parameters))
}

/// What the SDK imports and the filter never calls, with the number of parameters. The SDK panics
/// on this answer, so that a filter that begins to call one says so.
const UNUSED: [(&str, usize); 10] = [
    ("proxy_close_stream", 1),
    ("proxy_set_property", 4),
    ("proxy_register_shared_queue", 3),
    ("proxy_resolve_shared_queue", 5),
    ("proxy_enqueue_shared_queue", 3),
    ("proxy_dequeue_shared_queue", 3),
    ("proxy_done", 0),
    ("proxy_get_status", 3),
    ("proxy_grpc_call", 12),
    ("proxy_call_foreign_function", 6),
];

fn log(mut caller: Caller<'_, Host>, level: u32, at: u32, len: u32) -> Called {
    let text = Slice { at, len };
    let status = call(&mut caller, |memory, host| {
        let level = Level::from_wire(level).ok_or(Status::BadArgument)?;
        host.log(level, &String::from_utf8_lossy(text.read(memory)?));
        Ok(())
    })?;
    end(&mut caller, "proxy_log", status, |memory| format!("{level}, {}", show(memory, text)))
}

fn current_time(mut caller: Caller<'_, Host>, time_at: u32) -> Called {
    let time = caller.data().clock.wall_ns;
    let status = call(&mut caller, |memory, _| write(memory, time_at, &time.to_le_bytes()))?;
    end(&mut caller, "proxy_get_current_time_nanoseconds", status, |_| time.to_string())
}

fn tick_period(mut caller: Caller<'_, Host>, ms: u32) -> Called {
    caller.data_mut().tick_ms = ms.into();
    end(&mut caller, "proxy_set_tick_period_milliseconds", Status::Ok, |_| ms.to_string())
}

fn get_property(
    mut caller: Caller<'_, Host>,
    path_at: u32,
    path_len: u32,
    pointer_at: u32,
    size_at: u32,
) -> Called {
    let path = Slice { at: path_at, len: path_len };
    let status = hand_over(&mut caller, [pointer_at, size_at], |memory, host, into| {
        properties::get(host, path.read(memory)?, into)
    })?;
    end(&mut caller, "proxy_get_property", status, |memory| show(memory, path))
}

fn get_shared(
    mut caller: Caller<'_, Host>,
    key_at: u32,
    key_len: u32,
    pointer_at: u32,
    size_at: u32,
    version_at: u32,
) -> Called {
    let key = Slice { at: key_at, len: key_len };
    let status = hand_over(&mut caller, [pointer_at, size_at], |memory, host, into| {
        let version = host.shared.get(key.read(memory)?, into).ok_or(Status::NotFound)?;
        write_u32(memory, version_at, version)
    })?;
    end(&mut caller, "proxy_get_shared_data", status, |memory| {
        let (size, version) = (number(memory, size_at), number(memory, version_at));
        format!("{}, {size} B, version {version}", show(memory, key))
    })
}

fn set_shared(
    mut caller: Caller<'_, Host>,
    key_at: u32,
    key_len: u32,
    value_at: u32,
    value_len: u32,
    version: u32,
) -> Called {
    let key = Slice { at: key_at, len: key_len };
    let value = Slice { at: value_at, len: value_len };
    let status = call(&mut caller, |memory, host| {
        let (key, value) = (key.read(memory)?, value.read(memory)?);
        host.shared.set(key, value, version).map_err(|_| Status::CasMismatch)
    })?;
    end(&mut caller, "proxy_set_shared_data", status, |memory| {
        format!("{}, {value_len} B, version {version}", show(memory, key))
    })
}

/// Counters are numbered in fours: the last two bits say what kind of metric it is.
const METRIC_STEP: u32 = 4;

/// The place of a metric.
fn metric(id: u32) -> usize {
    (id / METRIC_STEP).wrapping_sub(1) as usize
}

fn define_metric(
    mut caller: Caller<'_, Host>,
    kind: u32,
    name_at: u32,
    name_len: u32,
    id_at: u32,
) -> Called {
    let name = Slice { at: name_at, len: name_len };
    let status = call(&mut caller, |memory, host| {
        if kind != 0 {
            return Err(Status::Unimplemented);
        }
        let name = String::from_utf8_lossy(name.read(memory)?).into_owned();
        let known = host.metrics.iter().position(|(known, _)| *known == name);
        let index = known.unwrap_or_else(|| {
            host.metrics.push((name, 0));
            host.metrics.len() - 1
        });
        write_u32(memory, id_at, (index as u32 + 1) * METRIC_STEP)
    })?;
    end(&mut caller, "proxy_define_metric", status, |memory| {
        format!("{}, metric {}", show(memory, name), number(memory, id_at))
    })
}

fn increment_metric(mut caller: Caller<'_, Host>, id: u32, by: i64) -> Called {
    let status = call(&mut caller, |_, host| {
        let (_, value) = host.metrics.get_mut(metric(id)).ok_or(Status::NotFound)?;
        let by = u64::try_from(by).ok().filter(|by| *by > 0).ok_or(Status::BadArgument)?;
        *value = value.saturating_add(by);
        Ok(())
    })?;
    end(&mut caller, "proxy_increment_metric", status, |_| format!("metric {id}, {by}"))
}

fn get_metric(mut caller: Caller<'_, Host>, id: u32, value_at: u32) -> Called {
    let status = call(&mut caller, |memory, host| {
        let (_, value) = host.metrics.get(metric(id)).ok_or(Status::NotFound)?;
        write(memory, value_at, &value.to_le_bytes())
    })?;
    end(&mut caller, "proxy_get_metric", status, |_| format!("metric {id}"))
}
