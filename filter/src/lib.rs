//! The Reprise filter for Envoy, the `.wasm` itself: turns Envoy's callbacks into events for
//! `filter-core`, and the effects that come back into host calls. It decides nothing.
//!
//! One root context per plugin and worker owns the worker's role, its stream and its dispatched
//! calls; one HTTP context per exchange reports to it.
//!
//! Nothing here panics: a panic kills the worker's VM with everything it holds. Host calls go
//! through `hostcalls`, which panics on statuses that it does not list; the rules that keep those
//! from coming are kept by the core (never two replies to one exchange, headers only in their
//! phase) and by [`carry_out`].
//!
//! Start reading at [`root`].

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![allow(clippy::disallowed_methods, reason = "the adapter is where the core's time comes from")]

mod carry_out;
mod exchange;
mod host;
#[cfg(feature = "panic-on-demand")]
mod panics;
mod role;
mod root;
mod worker;

/// What Envoy calls first.
mod entry {
    #![allow(missing_docs, reason = "the macro writes the function")]

    use crate::root::Root;
    use proxy_wasm::types::LogLevel;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|id| Box::new(Root::new(id)));
    }}
}
