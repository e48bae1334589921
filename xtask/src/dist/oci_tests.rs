use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::bytes::{Archive, Entry, put, sha256};
use super::super::oci::{self, ENTRYPOINT, Image, USER};
use super::*;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn layout() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let image = Image::of_filter(MODULE.to_vec(), "1.2.3").unwrap();
    oci::write(dir.path(), "1.2.3", std::slice::from_ref(&image)).unwrap();
    (dir, image.sha256())
}

fn refused(dir: &Path) -> String {
    format!("{:#}", filter(dir, "1.2.3").expect_err("refused"))
}

fn parsed(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn lay(dir: &Path, blob: &[u8]) -> Value {
    put(&dir.join("blobs/sha256").join(sha256(blob)), blob).unwrap();
    json!({"digest": format!("sha256:{}", sha256(blob)), "size": blob.len()})
}

fn blob_of(dir: &Path, entry: &Value) -> PathBuf {
    dir.join("blobs/sha256").join(entry["digest"].as_str().unwrap().trim_start_matches("sha256:"))
}

/// Another manifest in the place of the filter's, with its true digest.
fn with_manifest(change: impl FnOnce(&Path, &mut Value)) -> TempDir {
    let (dir, _) = layout();
    let mut index = parsed(&dir.path().join("index.json"));
    let mut manifest = parsed(&blob_of(dir.path(), &index["manifests"][0]));
    change(dir.path(), &mut manifest);
    let laid = lay(dir.path(), manifest.to_string().as_bytes());
    index["manifests"][0]["digest"] = laid["digest"].clone();
    index["manifests"][0]["size"] = laid["size"].clone();
    put(&dir.path().join("index.json"), index.to_string()).unwrap();
    dir
}

/// Another layer in the place of the filter's, with its true digests.
fn with_layer(tar: &[u8], gzip: &[u8]) -> TempDir {
    with_manifest(|dir, manifest| {
        let mut config = parsed(&blob_of(dir, &manifest["config"]));
        config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", sha256(tar))]);
        let laid = lay(dir, config.to_string().as_bytes());
        manifest["config"]["digest"] = laid["digest"].clone();
        manifest["config"]["size"] = laid["size"].clone();
        let laid = lay(dir, gzip);
        manifest["layers"][0]["digest"] = laid["digest"].clone();
        manifest["layers"][0]["size"] = laid["size"].clone();
    })
}

fn with_files(files: &[(&str, &[u8])]) -> TempDir {
    let entry = |(path, bytes): &(&str, &[u8])| Entry {
        path: (*path).to_owned(),
        bytes: bytes.to_vec(),
        runs: false,
    };
    let archive = Archive::of(&files.iter().map(entry).collect::<Vec<_>>()).unwrap();
    with_layer(&archive.tar, &archive.gzip)
}

#[test]
fn what_is_written_is_read_and_is_the_same_each_time() {
    let (first, second) = (layout(), layout());
    assert_eq!(filter(first.0.path(), "1.2.3").unwrap(), (MODULE.to_vec(), first.1.clone()));
    assert_eq!(first.1, second.1);
    let index = |dir: &TempDir| std::fs::read(dir.path().join("index.json")).unwrap();
    assert_eq!(index(&first.0), index(&second.0));
    let other = Image::of_filter([MODULE, b"\0\x01\0"].concat(), "1.2.3").unwrap();
    assert_ne!(other.sha256(), first.1);
}

#[test]
fn the_helpers_here_change_nothing_by_themselves() {
    for dir in [with_manifest(|_, _| {}), with_files(&[("plugin.wasm", MODULE)])] {
        assert_eq!(filter(dir.path(), "1.2.3").unwrap().0, MODULE);
    }
}

#[test]
fn a_flipped_byte_in_any_blob_is_found() {
    let (dir, _) = layout();
    let blobs: Vec<_> = std::fs::read_dir(dir.path().join("blobs/sha256")).unwrap().collect();
    assert_eq!(blobs.len(), 3);
    for blob in blobs {
        let path = blob.unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(refused(dir.path()).contains("other bytes than its digest says"));
        std::fs::write(&path, &whole[1..]).unwrap();
        assert!(refused(dir.path()).contains(&format!("not {}", whole.len())));
        std::fs::remove_file(&path).unwrap();
        assert!(refused(dir.path()).contains("read "));
        std::fs::write(&path, whole).unwrap();
    }
    assert!(filter(dir.path(), "1.2.3").is_ok());
}

#[test]
fn other_media_types_are_refused_wherever_they_stand() {
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let dir = with_manifest(|_, manifest| manifest["layers"][0]["mediaType"] = docker.into());
    assert!(refused(dir.path()).contains(docker));
    let plain = "application/vnd.oci.image.layer.v1.tar";
    let dir = with_manifest(|_, manifest| manifest["layers"][0]["mediaType"] = plain.into());
    assert!(refused(dir.path()).contains(plain));
    let artifact = "application/vnd.module.wasm.config.v1+json";
    let dir = with_manifest(|_, manifest| manifest["config"]["mediaType"] = artifact.into());
    assert!(refused(dir.path()).contains(artifact));
    let manifest_of_docker = "application/vnd.docker.distribution.manifest.v2+json";
    let dir = with_manifest(|_, manifest| manifest["mediaType"] = manifest_of_docker.into());
    assert!(refused(dir.path()).contains("no manifest"));
}

#[test]
fn the_filter_is_the_only_layer() {
    let dir = with_manifest(|_, manifest| {
        let layer = manifest["layers"][0].clone();
        manifest["layers"] = json!([layer, layer]);
    });
    assert!(refused(dir.path()).contains("expected one layer, found 2"));
    let dir = with_manifest(|_, manifest| manifest["layers"] = json!([]));
    assert!(refused(dir.path()).contains("expected one layer, found 0"));
}

#[test]
fn plugin_wasm_is_at_the_root_alone_and_a_module() {
    for (files, expected) in [
        (&[("filter.wasm", MODULE)][..], "no plugin.wasm"),
        (&[("a/plugin.wasm", MODULE)], "no plugin.wasm at its root"),
        // Whoever looks for the name alone would take the first.
        (&[("a/plugin.wasm", MODULE), ("plugin.wasm", MODULE)], "more than plugin.wasm"),
        (&[("plugin.wasm", b"#!/bin/sh")], "no wasm module"),
    ] {
        let found = refused(with_files(files).path());
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn a_path_that_leads_out_is_refused() {
    for path in ["../plugin.wasm", "/plugin.wasm"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(MODULE.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        // The library does not write such a path by itself.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, MODULE).unwrap();
        let tar = builder.into_inner().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &tar).unwrap();
        let found = refused(with_layer(&tar, &gzip.finish().unwrap()).path());
        assert!(found.contains("leads out of the image"), "{path}: {found}");
    }
    let (dir, _) = layout();
    let mut index = parsed(&dir.path().join("index.json"));
    index["manifests"][0]["digest"] = "sha256:../../index.json".into();
    put(&dir.path().join("index.json"), index.to_string()).unwrap();
    assert!(refused(dir.path()).contains("is no digest"));
}

#[test]
fn a_layer_that_the_configuration_does_not_know_is_refused() {
    let dir = with_manifest(|dir, manifest| {
        let mut config = parsed(&blob_of(dir, &manifest["config"]));
        config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", sha256(b"another"))]);
        let laid = lay(dir, config.to_string().as_bytes());
        manifest["config"]["digest"] = laid["digest"].clone();
        manifest["config"]["size"] = laid["size"].clone();
    });
    assert!(refused(dir.path()).contains("the configuration is of another layer"));
}

#[test]
fn the_tag_must_be_there_once() {
    let (dir, _) = layout();
    let error = filter(dir.path(), "1.2.4").unwrap_err();
    assert!(format!("{error:#}").contains("this tag once"), "{error:#}");
}

#[test]
fn the_program_has_an_image_for_each_machine_under_one_tag() {
    let dir = tempfile::tempdir().unwrap();
    let image =
        |program: &[u8], machine| Image::of_reprise(program.to_vec(), machine, "1").unwrap();
    oci::write(dir.path(), "1", &[image(b"x", "amd64"), image(b"a", "arm64")]).unwrap();
    let images = images(dir.path(), "1").unwrap();
    let machines: Vec<_> = images.iter().map(|image| image.architecture.as_str()).collect();
    assert_eq!(machines, ["amd64", "arm64"]);
    for (image, program) in images.iter().zip([b"x", b"a"]) {
        let path = Path::new(ENTRYPOINT.trim_start_matches('/'));
        assert_eq!(image.files, BTreeMap::from([(path.to_owned(), (program.to_vec(), true))]));
        assert_eq!(
            (image.run.user.as_str(), &image.run.entrypoint[..]),
            (USER, &[ENTRYPOINT.to_owned()][..])
        );
        assert_eq!(image.run.env, ["PATH=/usr/local/bin"]);
    }
    assert!(filter(dir.path(), "1").is_err());
}
