//! The filter's VM: the real `.wasm` under wasmtime, with the host calls of proxy-wasm.
//!
//! ABI 0.2.1 as Envoy 1.40 keeps it. A [`Filter`] is compiled once; a [`Vm`] is one plugin on one
//! worker thread, with its root context and the contexts of its exchanges. Nothing is re-entrant:
//! [`Vm::call`] runs one callback, and what the filter asked for meanwhile waits in
//! [`Vm::take_actions`], as Envoy carries out what changes an exchange after the callback returned.

mod abi;
mod callbacks;
mod calls;
mod context;
mod exchange;
mod exports;
mod filter;
mod guest;
mod headers;
mod host;
mod imports;
mod instance;
mod properties;
mod shared;
mod tokens;
mod wasi;
mod words;

pub use context::ContextData;
pub use filter::{Filter, LoadError};
pub use instance::{Clock, Panic, StartError, Vm, VmConfig, Why};
pub use shared::Shared;
pub use words::{Action, Answer, Callback, Level, LogLine};

/// The id of a VM's root context.
pub const ROOT: u32 = 1;
