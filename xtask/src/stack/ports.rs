//! Free ports on the loopback, kept apart from every other stack on this machine.
//!
//! Ports are taken below the range from which the kernel serves outgoing connections: a process
//! that is killed and started again must find its port free, and a client that connects to a
//! dead port must not meet itself.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

const FIRST: u16 = 20_000;
const BLOCK: u16 = 32;
const BLOCKS: u16 = 375;

/// A block of 32 ports that no other holder of a block has, until it is dropped.
#[derive(Debug)]
pub struct PortBlock {
    base: u16,
    next: u16,
    _lock: File,
}

impl PortBlock {
    /// Reserves a block. The lock is a file under the directory for temporary files, so it goes
    /// with the process however that ends.
    pub fn reserve() -> Result<Self> {
        let dir = std::env::temp_dir().join("reprise-ports");
        std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        // Neighbours in time start their search at different places.
        let start = (std::process::id() % u32::from(BLOCKS)) as u16;
        for step in 0..BLOCKS {
            let base = FIRST + (start + step) % BLOCKS * BLOCK;
            let path = dir.join(format!("{base}.lock"));
            let Ok(lock) = File::create(&path) else {
                continue; // another user's
            };
            if lock.try_lock().is_ok() {
                return Ok(Self { base, next: 0, _lock: lock });
            }
        }
        bail!("no block of free ports: all {BLOCKS} are in use")
    }

    /// The next port of the block on which 127.0.0.1 can be listened on now.
    pub fn take(&mut self) -> Result<u16> {
        while self.next < BLOCK {
            let port = self.base + self.next;
            self.next += 1;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        bail!("all {BLOCK} ports from {} are taken", self.base)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_blocks_share_no_port() {
        let (mut a, mut b) = (PortBlock::reserve().unwrap(), PortBlock::reserve().unwrap());
        let ports: BTreeSet<u16> =
            (0..8).flat_map(|_| [a.take().unwrap(), b.take().unwrap()]).collect();
        assert_eq!(ports.len(), 16);
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let mut block = PortBlock::reserve().unwrap();
        let first = block.take().unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 1)).unwrap();
        assert!(block.take().unwrap() > first + 1);
    }

    #[test]
    fn an_exhausted_block_says_so() {
        let mut block = PortBlock::reserve().unwrap();
        block.next = BLOCK;
        assert!(block.take().is_err());
    }
}
