//! A filter that does what a request's script says, and writes down every callback and what each
//! host call returned. The table `cases.yaml` holds what a host must make of it.
//!
//! A request names its case in `x-case` and what is to be done in `x-script`, see [`script`]. Its
//! trace is the body of the answer to a later request with `x-result: CASE`; a request with
//! neither passes untouched and unseen.

mod exchange;
mod ops;
mod raw;
mod root;
mod script;
mod vm;

/// What the host calls first.
mod entry {
    #![allow(missing_docs, reason = "the macro writes the function")]

    use crate::root::Root;
    use proxy_wasm::types::LogLevel;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|id| Box::new(Root::new(id)));
    }}
}
