//! The filter's VM: the real `.wasm` under wasmtime, with the host calls of proxy-wasm.
