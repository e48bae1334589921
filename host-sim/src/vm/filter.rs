//! The filter: compiled once, for every VM on every thread.

use super::exports;
use super::host::Host;
use super::imports::Imports;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;
use wasmtime::{Config, Engine, InstancePre, Module, OptLevel};

/// A compiled filter.
#[derive(Clone)]
pub struct Filter(Arc<Compiled>);

struct Compiled {
    sha256: String,
    instance: InstancePre<Host>,
}

/// Why there is no filter.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the filter: {0}")]
    Read(#[from] std::io::Error),
    /// It is no WebAssembly.
    #[error("cannot compile the filter: {0}")]
    Compile(String),
    /// It calls what this simulator does not have, all of it by module and name.
    #[error("the filter imports what the simulator lacks: {}", .0.join(", "))]
    Imports(Vec<String>),
    /// It lacks callbacks, or has them in another form.
    #[error("the filter lacks these exports, or has them in another form: {}", .0.join(", "))]
    Exports(Vec<String>),
}

/// Address space of a VM, bytes; a memory that outgrows it is moved. Enough for a filter that
/// holds bodies, and little enough for thousands of VMs.
const RESERVATION: u64 = 64 << 20;

impl Filter {
    /// Reads and compiles a filter.
    pub fn load(path: &Path) -> Result<Filter, LoadError> {
        Filter::from_bytes(&std::fs::read(path)?)
    }

    /// Compiles a filter.
    pub fn from_bytes(bytes: &[u8]) -> Result<Filter, LoadError> {
        let compile = |e: wasmtime::Error| LoadError::Compile(format!("{e:#}"));
        let engine = engine().map_err(compile)?;
        let module = Module::new(&engine, bytes).map_err(compile)?;
        let imports = Imports::new(&engine).map_err(compile)?;
        let lacking: Vec<String> = module
            .imports()
            .filter(|import| !imports.names.contains(&(import.module(), import.name())))
            .map(|import| format!("{}.{}", import.module(), import.name()))
            .collect();
        if !lacking.is_empty() {
            return Err(LoadError::Imports(lacking));
        }
        let missing = exports::missing(&module);
        if !missing.is_empty() {
            return Err(LoadError::Exports(missing));
        }
        let instance = imports.linker.instantiate_pre(&module).map_err(compile)?;
        let digest = Sha256::digest(bytes);
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Filter(Arc::new(Compiled { sha256, instance })))
    }

    /// The SHA-256 of the file, in hex.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    pub(super) fn instance(&self) -> &InstancePre<Host> {
        &self.0.instance
    }
}

/// The same on every machine: what WebAssembly leaves open is settled, and nothing is interrupted.
fn engine() -> Result<Engine, wasmtime::Error> {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    config.memory_init_cow(true);
    config.memory_reservation(RESERVATION);
    config.wasm_backtrace_max_frames(None);
    Engine::new(&config)
}
