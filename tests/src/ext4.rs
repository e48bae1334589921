//! File systems of a test's own: an ext4 in a file, mounted. Needs root and loop devices.

use anyhow::{Context as _, Result, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a file that takes nearly all room needs for its own blocks, bytes.
const BALLAST_OVERHEAD: u64 = 64 << 10;

/// A mounted image; unmounted when dropped.
#[derive(Debug)]
pub struct Ext4 {
    /// The file with the file system.
    pub image: PathBuf,
    /// Where it is mounted.
    pub mount: PathBuf,
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // Lazily: a process that is just dying may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

fn run(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("run {command:?}"))
}

fn done(command: &mut Command) -> Result<()> {
    let output = run(command)?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Ext4 {
    /// A new one of so many MiB, with its files below `dir`. It writes nothing by itself: what is
    /// in the image is what was synced. `None`, and a loud line, where nothing can be mounted.
    pub fn new(dir: &Path, mib: u64) -> Result<Option<Ext4>> {
        std::fs::create_dir_all(dir)?;
        let image = dir.join("image");
        File::create(&image)?.set_len(mib << 20)?;
        let made =
            Command::new("mke2fs").args(["-q", "-t", "ext4", "-m", "0"]).arg(&image).output();
        let mounted = match made {
            Ok(output) if output.status.success() => Ext4::of(&image, &dir.join("mount")),
            Ok(output) => Err(anyhow::anyhow!("{}", String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(error.into()),
        };
        match mounted {
            Ok(mounted) => Ok(Some(mounted)),
            Err(error) => {
                let root = run(Command::new("id").arg("-u"))?.stdout.trim_ascii() == b"0";
                let must = std::env::var_os("FAULT_MOUNTS").is_some_and(|must| must == "required");
                ensure!(!must, "cannot mount an ext4, and FAULT_MOUNTS=required: {error:#}");
                let why = if root { "needs loop devices" } else { "needs root" };
                eprintln!("SKIPPED: {why} to mount an ext4: {error:#}");
                Ok(None)
            }
        }
    }

    /// Mounts an image.
    pub fn of(image: &Path, mount: &Path) -> Result<Ext4> {
        std::fs::create_dir_all(mount)?;
        let mut command = Command::new("mount");
        done(command.args(["-t", "ext4", "-o", "loop,commit=600"]).arg(image).arg(mount))?;
        Ok(Ext4 { image: image.to_path_buf(), mount: mount.canonicalize()? })
    }

    /// The image as it is now, as the power would leave it.
    pub fn copy_to(&self, copy: &Path) -> Result<()> {
        done(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(copy))
    }

    /// Takes all its room but about so many bytes, in a file that it names.
    pub fn fill(&self, left: u64) -> Result<PathBuf> {
        let ballast = self.mount.join("ballast");
        let output = run(Command::new("df").args(["-B1", "--output=avail"]).arg(&self.mount))?;
        let text = String::from_utf8(output.stdout)?;
        let free: u64 = text.lines().nth(1).context("df says nothing")?.trim().parse()?;
        let bytes = free.saturating_sub(left + BALLAST_OVERHEAD).max(1).to_string();
        done(Command::new("fallocate").args(["-l", &bytes]).arg(&ballast))?;
        Ok(ballast)
    }
}
