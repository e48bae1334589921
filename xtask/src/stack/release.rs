//! Which version of Reprise each process runs: upgrades and rollbacks, one process at a time.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{Process, Stack};
use crate::tools::Release;

impl Stack {
    /// Gives a process another release, which it runs from its next start on.
    pub fn give(&self, process: Process, release: &Release) -> Result<()> {
        let mut children = self.children();
        let child = children.get_mut(&process);
        let child = child.with_context(|| format!("{} was not started", process.name()))?;
        match process {
            Process::EdgeReprise | Process::CloudReprise => {
                child.spec_mut().program.clone_from(&release.reprise);
                Ok(())
            }
            Process::EdgeEnvoy
            | Process::CloudEnvoy
            | Process::SecondEnvoy
            | Process::EdgeGuard
            | Process::CloudGuard
            | Process::EdgeDelivery
            | Process::EdgeModule => {
                let config = child.spec().args.get(1).context("an Envoy without -c FILE")?;
                put_filter(Path::new(config), &release.filter)
            }
        }
    }
}

/// Names another module wherever an Envoy's configuration names one.
fn put_filter(config: &Path, filter: &Path) -> Result<()> {
    let text =
        std::fs::read_to_string(config).with_context(|| format!("read {}", config.display()))?;
    let mut found = 0;
    let line = |line: &str| match line.split_once("filename: ") {
        Some((before, path)) if path.trim_end().trim_matches('"').ends_with(".wasm") => {
            found += 1;
            format!("{before}filename: {:?}\n", filter.display().to_string())
        }
        _ => format!("{line}\n"),
    };
    let changed: String = text.lines().map(line).collect();
    if found == 0 {
        bail!("{} names no module", config.display());
    }
    std::fs::write(config, changed).with_context(|| format!("write {}", config.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("edge.yaml");
        std::fs::write(&config, "a:\n  filename: \"/old.wasm\"\nb: 1\nc: {}\n  filename: /x.txt\n")
            .unwrap();
        put_filter(&config, Path::new("/new/f.wasm")).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        assert_eq!(text, "a:\n  filename: \"/new/f.wasm\"\nb: 1\nc: {}\n  filename: /x.txt\n");
        std::fs::write(&config, "b: 1\n").unwrap();
        assert!(put_filter(&config, Path::new("/f.wasm")).is_err());
    }
}
