//! `cargo xtask demo`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {}

/// Runs the demo.
pub async fn run(_args: DemoArgs) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
