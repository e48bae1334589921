//! The manifests with what only a release has: the filter and its numbers.

use std::path::Path;

use anyhow::{Context, Result};

use super::VERSION;
use super::bytes::{files, get, put, sha256};
use super::oci::Image;
use crate::repo;

/// Where the filter's image is named; a registry of one's own takes its place.
const FILTER_IMAGE: &str = "registry.example/reprise/filter";

/// Copies `k8s/` into a directory, with the filter and the numbers of its release in `filter/`, so
/// that it can be rendered.
pub fn lay_out_k8s(filter: &Path, into: &Path) -> Result<()> {
    lay_out(&repo::root().join("k8s"), filter, into)
        .with_context(|| format!("lay the manifests out in {}", into.display()))
}

fn lay_out(from: &Path, filter: &Path, into: &Path) -> Result<()> {
    for file in files(from)? {
        put(&into.join(&file), get(&from.join(&file))?)?;
    }
    let module = get(filter)?;
    let (sha256, image) = (sha256(&module), Image::of_filter(module.clone(), VERSION)?);
    let release = format!(
        "VERSION={VERSION}\nFILTER_SHA256={sha256}\nFILTER_OCI={FILTER_IMAGE}:{VERSION}\n\
         FILTER_OCI_SHA256={}\n",
        image.sha256()
    );
    put(&into.join("filter/reprise_filter.wasm"), module)?;
    put(&into.join("filter/release.env"), release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_get_the_filter_and_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let filter = dir.path().join("any.wasm");
        std::fs::write(&filter, b"\0asm").unwrap();
        let into = dir.path().join("k8s");
        lay_out_k8s(&filter, &into).unwrap();
        assert_eq!(std::fs::read(into.join("filter/reprise_filter.wasm")).unwrap(), b"\0asm");
        assert!(into.join("filter/kustomization.yaml").is_file());
        let release = std::fs::read_to_string(into.join("filter/release.env")).unwrap();
        let numbers: Vec<_> = release.lines().map(|line| line.split_once('=').unwrap()).collect();
        let image = Image::of_filter(b"\0asm".to_vec(), VERSION).unwrap().sha256();
        assert_eq!(
            numbers,
            [
                ("VERSION", VERSION),
                (
                    "FILTER_SHA256",
                    "cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f"
                ),
                ("FILTER_OCI", &format!("registry.example/reprise/filter:{VERSION}")),
                ("FILTER_OCI_SHA256", image.as_str()),
            ]
        );
    }

    #[test]
    fn a_filter_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = lay_out_k8s(Path::new("/no/such.wasm"), dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such.wasm"), "{error:#}");
    }
}
