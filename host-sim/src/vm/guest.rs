//! The guest's memory: reading arguments from it, handing results to it.

use super::host::Host;
use wasmtime::{Caller, Error};

/// What a host call answers, as proxy-wasm numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 0,
    NotFound = 1,
    BadArgument = 2,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// A host call: a status, or the end of the VM.
pub(super) type Called = Result<u32, Error>;

/// A host call that can be answered at once, or the status that says why not.
pub(super) type Answered = Result<(), Status>;

/// A piece of guest memory.
#[derive(Clone, Copy)]
pub(super) struct Slice {
    pub(super) at: u32,
    pub(super) len: u32,
}

impl Slice {
    pub(super) fn read(self, memory: &[u8]) -> Result<&[u8], Status> {
        let from = self.at as usize;
        let to = from.checked_add(self.len as usize).ok_or(Status::InvalidMemoryAccess)?;
        memory.get(from..to).ok_or(Status::InvalidMemoryAccess)
    }
}

/// Writes bytes into guest memory.
pub(super) fn write(memory: &mut [u8], at: u32, bytes: &[u8]) -> Answered {
    let from = at as usize;
    let to = from.checked_add(bytes.len()).ok_or(Status::InvalidMemoryAccess)?;
    memory.get_mut(from..to).ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(bytes);
    Ok(())
}

/// Writes a number into guest memory.
pub(super) fn write_u32(memory: &mut [u8], at: u32, value: u32) -> Answered {
    write(memory, at, &value.to_le_bytes())
}

/// The guest's memory and the host's state, both at hand.
pub(super) fn both<'a>(
    caller: &'a mut Caller<'_, Host>,
) -> Result<(&'a mut [u8], &'a mut Host), Error> {
    let Some(memory) = caller.data().memory else {
        return Err(Error::msg("a host call before the VM has its memory"));
    };
    Ok(memory.data_and_store_mut(caller))
}

/// Runs a host call that only reads and writes memory and the host's state.
pub(super) fn call(
    caller: &mut Caller<'_, Host>,
    run: impl FnOnce(&mut [u8], &mut Host) -> Answered,
) -> Result<Status, Error> {
    let (memory, host) = both(caller)?;
    Ok(run(memory, host).err().unwrap_or(Status::Ok))
}

/// Runs a host call that puts bytes into the buffer it is given, and hands these to the guest,
/// in memory that the guest allocates. Nothing is handed over as a null pointer.
pub(super) fn hand_over(
    caller: &mut Caller<'_, Host>,
    [pointer_at, size_at]: [u32; 2],
    run: impl FnOnce(&mut [u8], &mut Host, &mut Vec<u8>) -> Answered,
) -> Result<Status, Error> {
    let (memory, host) = both(caller)?;
    let mut bytes = std::mem::take(&mut host.scratch);
    bytes.clear();
    let mut status = run(memory, host, &mut bytes).err().unwrap_or(Status::Ok);
    if status == Status::Ok {
        let at = allocate(caller, bytes.len())?;
        let (memory, _) = both(caller)?;
        status = write(memory, at, &bytes)
            .and_then(|()| write_u32(memory, pointer_at, at))
            .and_then(|()| write_u32(memory, size_at, bytes.len() as u32))
            .err()
            .unwrap_or(Status::Ok);
    }
    caller.data_mut().scratch = bytes;
    Ok(status)
}

/// Has the guest allocate; nothing is null.
fn allocate(caller: &mut Caller<'_, Host>, size: usize) -> Result<u32, Error> {
    if size == 0 {
        return Ok(0);
    }
    let Some(allocate) = caller.data_mut().allocate.take() else {
        return Err(Error::msg("a host call before the VM can allocate"));
    };
    let size = u32::try_from(size).map_err(|_| Error::msg("more than a guest can hold"))?;
    let at = allocate.call(&mut *caller, size);
    caller.data_mut().allocate = Some(allocate);
    at
}
