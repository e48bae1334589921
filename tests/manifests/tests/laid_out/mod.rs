//! `k8s/` as it is handed out, with a stand-in for the filter.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use manifests::{Manifest, render};

pub struct LaidOut {
    k8s: PathBuf,
    dir: tempfile::TempDir,
}

impl LaidOut {
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let filter = dir.path().join("reprise_filter.wasm");
        std::fs::write(&filter, b"\0asm\x01\0\0\0")?;
        let k8s = dir.path().join("target/dist/k8s");
        xtask::dist::lay_out_k8s(&filter, &k8s)?;
        Ok(Self { k8s, dir })
    }

    /// Where `target/dist/k8s` is.
    pub fn workplace(&self) -> &Path {
        self.dir.path()
    }

    /// The same for a shop in a namespace of its own.
    pub fn in_namespace(&self, namespace: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let k8s = dir.path().join("k8s");
        let script = self.k8s.join("in-namespace.sh");
        let made = Command::new("sh").arg(script).arg(namespace).arg(&k8s).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(Self { k8s, dir })
    }

    /// What an overlay makes with one more component.
    pub fn render_with(&self, overlay: &str, component: &str) -> Result<Vec<Manifest>> {
        let own = self.k8s.join("overlays/own");
        std::fs::create_dir_all(&own)?;
        let text =
            format!("resources: [../{overlay}]\ncomponents: [../../components/{component}]\n");
        std::fs::write(own.join("kustomization.yaml"), text)?;
        render(&own)
    }

    /// What an overlay and `observability` make together.
    pub fn render(&self, overlay: &str) -> Result<Vec<Manifest>> {
        let mut manifests = render(&self.k8s.join("overlays").join(overlay))?;
        manifests.extend(render(&self.k8s.join("overlays/observability"))?);
        Ok(manifests)
    }
}
