//! Whether a program needs nothing of the system that it runs on.

use anyhow::{Context, Result, bail};
use object::Endianness;
use object::elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

/// The type of machine that a program is for, by the name that images use.
pub(super) fn architecture(program: &[u8]) -> Result<&'static str> {
    let header = FileHeader64::<Endianness>::parse(program).context("this is no 64-bit ELF")?;
    match header.e_machine(header.endian()?) {
        EM_X86_64 => Ok("amd64"),
        EM_AARCH64 => Ok("arm64"),
        other => bail!("a program for the unknown machine {other:#x}"),
    }
}

/// An error unless a program is static: the kernel starts it by itself, and no library is loaded.
/// A dynamic section may be there, with the places at which the program moves itself.
pub(super) fn is_static(program: &[u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(program).context("this is no 64-bit ELF")?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, program)? {
        if segment.p_type(endian) == PT_INTERP {
            bail!("it is not static: it names an interpreter");
        }
        let dynamic = segment.dynamic(endian, program)?.unwrap_or_default();
        if dynamic.iter().any(|entry| entry.tag(endian) == DT_NEEDED) {
            bail!("it is not static: it needs a library");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_the_system_links_is_not_static() {
        // This test is one: cargo builds for the host.
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = is_static(&this).unwrap_err();
        assert!(error.to_string().starts_with("it is not static"), "{error}");
        let host = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        assert_eq!(architecture(&this).unwrap(), host);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for bytes in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF\x02\x01\x01"] {
            assert!(is_static(bytes).is_err() && architecture(bytes).is_err(), "{bytes:?}");
        }
    }
}
