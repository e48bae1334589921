//! `k8s/` as it is handed out, with a stand-in for the filter.

use std::path::PathBuf;

use anyhow::Result;
use manifests::{Manifest, render};

pub struct LaidOut {
    k8s: PathBuf,
    _dir: tempfile::TempDir,
}

impl LaidOut {
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let filter = dir.path().join("reprise_filter.wasm");
        std::fs::write(&filter, b"\0asm\x01\0\0\0")?;
        let k8s = dir.path().join("k8s");
        xtask::dist::lay_out_k8s(&filter, &k8s)?;
        Ok(Self { k8s, _dir: dir })
    }

    /// What an overlay and `observability` make together.
    pub fn render(&self, overlay: &str) -> Result<Vec<Manifest>> {
        let mut manifests = render(&self.k8s.join("overlays").join(overlay))?;
        manifests.extend(render(&self.k8s.join("overlays/observability"))?);
        Ok(manifests)
    }
}
