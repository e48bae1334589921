//! Host calls with the status that they return: the SDK panics on most statuses but `Ok`.

#![allow(unsafe_code, reason = "the SDK's own wrappers do not return these statuses")]

use std::ptr::null_mut;

/// A status in words.
pub fn word(status: u32) -> &'static str {
    match status {
        0 => "ok",
        1 => "not-found",
        2 => "bad-argument",
        3 => "serialization-failure",
        4 => "parse-failure",
        6 => "invalid-memory-access",
        7 => "empty",
        8 => "cas-mismatch",
        10 => "internal-failure",
        12 => "unimplemented",
        _ => "other",
    }
}

/// A map of headers.
#[derive(Clone, Copy, Debug)]
pub enum Map {
    Request = 0,
    Response = 2,
    CallResponse = 6,
}

/// A buffer of bytes.
#[derive(Clone, Copy, Debug)]
pub enum Buffer {
    Request = 0,
    CallResponse = 4,
    GrpcReceive = 5,
}

/// What a call gives: a value, or a status that is not `Ok`.
pub type Given<T> = Result<T, u32>;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, value: *mut *mut u8, value_size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_grpc_send(stream: u32, message: *const u8, size: usize, end: u32) -> u32;
    fn proxy_grpc_cancel(stream: u32) -> u32;
    fn proxy_grpc_close(stream: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        value: *mut *mut u8,
        value_size: *mut usize,
    ) -> u32;
}

/// What a call gives that returns bytes.
fn bytes(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Given<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    match call(&raw mut data, &raw mut size) {
        0 if data.is_null() => Ok(Vec::new()),
        // SAFETY: the host has asked the SDK's allocator for these bytes and gives them away.
        0 => Ok(unsafe { Vec::from_raw_parts(data, size, size) }),
        status => Err(status),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn unit(status: u32) -> Given<()> {
    if status == 0 { Ok(()) } else { Err(status) }
}

/// A header's value.
pub fn header(map: Map, name: &str) -> Given<String> {
    // SAFETY: the pointers are those of live values, as for every call below.
    bytes(|data, size| unsafe {
        proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
    })
    .map(text)
}

/// How many headers there are.
pub fn headers(map: Map) -> Given<u32> {
    let map = bytes(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })?;
    let count = map.first_chunk().map_or(0, |count| u32::from_le_bytes(*count));
    Ok(count)
}

/// Replaces a header, or removes it.
pub fn set_header(map: Map, name: &str, value: Option<&str>) -> Given<()> {
    let (key, size) = (name.as_ptr(), name.len());
    unit(match value {
        Some(v) => unsafe {
            proxy_replace_header_map_value(map as u32, key, size, v.as_ptr(), v.len())
        },
        None => unsafe { proxy_remove_header_map_value(map as u32, key, size) },
    })
}

/// Part of a buffer.
pub fn buffer(buffer: Buffer, start: usize, max: usize) -> Given<Vec<u8>> {
    bytes(|data, size| unsafe { proxy_get_buffer_bytes(buffer as u32, start, max, data, size) })
}

/// Replaces part of a buffer.
pub fn set_buffer(buffer: Buffer, start: usize, size: usize, value: &str) -> Given<()> {
    unit(unsafe { proxy_set_buffer_bytes(buffer as u32, start, size, value.as_ptr(), value.len()) })
}

/// Lets the request of the effective context go on.
pub fn resume_request() -> Given<()> {
    unit(unsafe { proxy_continue_stream(0) })
}

/// Lets the response of the effective context go on.
pub fn resume_response() -> Given<()> {
    unit(unsafe { proxy_continue_stream(1) })
}

/// Answers in the place of the service.
pub fn reply(status: u32, headers: &[(&str, &str)], body: &[u8]) -> Given<()> {
    let mut map = Vec::new();
    let size = |text: &str| u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
    map.extend(u32::try_from(headers.len()).unwrap_or(0).to_le_bytes());
    for (name, value) in headers {
        map.extend(size(name));
        map.extend(size(value));
    }
    for (name, value) in headers {
        for part in [name, value] {
            map.extend(part.as_bytes());
            map.push(0);
        }
    }
    unit(unsafe {
        proxy_send_local_response(
            status,
            null_mut(),
            0,
            body.as_ptr(),
            body.len(),
            map.as_ptr(),
            map.len(),
            -1,
        )
    })
}

/// Makes a context the effective one.
pub fn enter(context: u32) -> Given<()> {
    unit(unsafe { proxy_set_effective_context(context) })
}

/// A value of shared data and its version.
pub fn shared(key: &str) -> Given<(String, u32)> {
    let mut cas = 0;
    let value = bytes(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
    })?;
    Ok((text(value), cas))
}

/// Sets a value of shared data; without one it is removed.
pub fn set_shared(key: &str, value: Option<&str>, cas: u32) -> Given<()> {
    let (data, size) = value.map_or((null_mut::<u8>().cast_const(), 0), |v| (v.as_ptr(), v.len()));
    unit(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), data, size, cas) })
}

/// Sends a message on a stream.
pub fn send(stream: u32, message: &str, end: bool) -> Given<()> {
    unit(unsafe { proxy_grpc_send(stream, message.as_ptr(), message.len(), u32::from(end)) })
}

/// Resets a stream.
pub fn cancel(stream: u32) -> Given<()> {
    unit(unsafe { proxy_grpc_cancel(stream) })
}

/// Closes this end of a stream.
pub fn close(stream: u32) -> Given<()> {
    unit(unsafe { proxy_grpc_close(stream) })
}

/// Defines a counter, or finds it.
pub fn counter(name: &str) -> Given<u32> {
    let mut id = 0;
    unit(unsafe { proxy_define_metric(0, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Counts.
pub fn count(id: u32, by: i64) -> Given<u64> {
    unit(unsafe { proxy_increment_metric(id, by) })?;
    let mut value = 0;
    unit(unsafe { proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}

/// A property.
pub fn property(name: &str) -> Given<String> {
    bytes(|data, size| unsafe { proxy_get_property(name.as_ptr(), name.len(), data, size) })
        .map(text)
}
