//! What is handed out: `cargo xtask dist` builds it all into `target/dist/`.

mod bytes;
mod k8s;
mod oci;

pub use k8s::lay_out_k8s;

/// The version of everything here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
