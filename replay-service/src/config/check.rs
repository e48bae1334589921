//! Checks that concern more than one key, or the machine.

use super::{Config, Store};
use protocol::fields::Problems;
use std::net::SocketAddr;
use std::path::Path;

/// Checks a configuration whose parts are valid.
pub fn whole(config: &Config, problems: &mut Problems) {
    let mut addresses = vec![("listen", config.listen), ("admin", config.admin)];
    addresses.extend(config.probes.map(|probes| ("probes", probes)));
    for (at, &(key, address)) in addresses.iter().enumerate() {
        for &(other, taken) in addresses[..at].iter().filter(|(_, taken)| same(*taken, address)) {
            problems.add(key, format!("must not be the same as {other} ({taken})"));
        }
    }
    if let Some(log) = &config.log {
        let timeout_ms = log.delivery_timeout.as_millis() as u64;
        if log.takeover_ms >= timeout_ms {
            let what = format!(
                "must be less than log.delivery_timeout_ms ({timeout_ms}), found {}",
                log.takeover_ms
            );
            problems.add("log.takeover_ms", what);
        }
        for (key, address) in addresses {
            if log.delivery.as_str() == address.to_string() {
                let what = format!("is Envoy's delivery listener, not this process's {key}");
                problems.add("log.delivery", what);
            }
        }
    }
    if let Store::Disk(_, data) = &config.store
        && let Err(what) = creatable(data)
    {
        problems.add("data", what);
    }
}

/// Port 0 is a port of its own each time.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    overlap && a.port() == b.port() && a.port() != 0
}

/// Whether a directory is there or can be made; makes nothing.
fn creatable(data: &Path) -> Result<(), String> {
    let absolute = std::path::absolute(data).map_err(|cause| cause.to_string())?;
    let existing = absolute.ancestors().find_map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((path, metadata))
    });
    match existing {
        None => Err(format!("cannot make {}: nothing above it is there", data.display())),
        Some((path, metadata)) if !metadata.is_dir() => {
            Err(format!("cannot make {}: {} is not a directory", data.display(), path.display()))
        }
        Some((path, metadata)) if metadata.permissions().readonly() => {
            Err(format!("cannot write in {}: it is read-only", path.display()))
        }
        Some(_) => Ok(()),
    }
}
