//! Reads images from OCI layout directories, by the rules of those who pull them and a little more
//! strictly. It shares nothing with what writes them but the names of the media types.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::oci::{CONFIG, INDEX, LAYER, MANIFEST, REF_NAME};

/// More than any layer of ours unpacks to.
const UNPACKED: u64 = 256 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Deserialize, PartialEq, Eq)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: RunConfig,
    rootfs: RootFs,
}

/// How a container of an image is run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RunConfig {
    pub(super) user: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) env: Vec<String>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// An image, read and checked.
#[derive(Debug)]
pub(super) struct ReadImage {
    /// The digest of its manifest, in hex.
    pub(super) sha256: String,
    pub(super) architecture: String,
    pub(super) run: RunConfig,
    /// The files of its only layer, and whether each is a program.
    pub(super) files: BTreeMap<PathBuf, (Vec<u8>, bool)>,
}

/// The module in the filter's image, and the digest that pins the image. As those who pull it do,
/// it takes the file `plugin.wasm` of a layer `tar+gzip` from a plain manifest; there must be no
/// second file that could be taken for it.
pub(super) fn filter(dir: &Path, tag: &str) -> Result<(Vec<u8>, String)> {
    let images = images(dir, tag)?;
    let [image] = &images[..] else { bail!("expected one image, found {}", images.len()) };
    let Some((module, _)) = image.files.get(Path::new("plugin.wasm")) else {
        bail!("the layer has no plugin.wasm at its root");
    };
    ensure!(image.files.len() == 1, "the layer has more than plugin.wasm");
    ensure!(module.starts_with(b"\0asm\x01\0\0\0"), "plugin.wasm is no wasm module");
    Ok((module.clone(), image.sha256.clone()))
}

/// All images under a tag: one, or one for each type of machine.
pub(super) fn images(dir: &Path, tag: &str) -> Result<Vec<ReadImage>> {
    read(dir, tag).with_context(|| format!("the image {tag} in {}", dir.display()))
}

fn read(dir: &Path, tag: &str) -> Result<Vec<ReadImage>> {
    let layout: LayoutFile = json(&file(&dir.join("oci-layout"))?)?;
    ensure!(layout.image_layout_version == "1.0.0", "an unknown version of the layout");
    let index = index(&file(&dir.join("index.json"))?)?;
    let tagged = |entry: &&Descriptor| entry.annotations.get(REF_NAME).is_some_and(|t| t == tag);
    let mut tagged = index.manifests.iter().filter(tagged);
    let (Some(top), None) = (tagged.next(), tagged.next()) else {
        bail!("the index must have this tag once");
    };
    if top.media_type != INDEX {
        return Ok(vec![image(dir, top)?]);
    }
    let machines = self::index(&blob(dir, top)?)?;
    let images = machines.manifests.iter().map(|entry| image(dir, entry));
    images.collect()
}

fn index(bytes: &[u8]) -> Result<Index> {
    let index: Index = json(bytes)?;
    ensure!(index.schema_version == 2, "an unknown version of an index");
    ensure!(index.media_type.as_deref().is_none_or(|kind| kind == INDEX), "this is no index");
    Ok(index)
}

fn image(dir: &Path, entry: &Descriptor) -> Result<ReadImage> {
    expect(entry, MANIFEST)?;
    let manifest: Manifest = json(&blob(dir, entry)?)?;
    let kind = manifest.media_type.as_deref();
    ensure!(
        manifest.schema_version == 2 && kind.is_none_or(|kind| kind == MANIFEST),
        "no manifest"
    );
    expect(&manifest.config, CONFIG)?;
    let config: Config = json(&blob(dir, &manifest.config)?)?;
    ensure!(config.platform.os == "linux", "not for linux");
    if let Some(platform) = &entry.platform {
        ensure!(*platform == config.platform, "the index and the image name different machines");
    }
    let [layer] = &manifest.layers[..] else {
        bail!("expected one layer, found {}", manifest.layers.len());
    };
    expect(layer, LAYER)?;
    let tar = unpacked(&blob(dir, layer)?)?;
    ensure!(config.rootfs.diff_ids == [digest(&tar)], "the configuration is of another layer");
    Ok(ReadImage {
        sha256: entry.digest.trim_start_matches("sha256:").to_owned(),
        architecture: config.platform.architecture,
        run: config.config,
        files: files(&tar)?,
    })
}

fn expect(entry: &Descriptor, media_type: &str) -> Result<()> {
    let found = &entry.media_type;
    ensure!(found == media_type, "expected the media type {media_type}, found {found}");
    Ok(())
}

/// The blob of a descriptor, whose size and digest are as it says.
fn blob(dir: &Path, entry: &Descriptor) -> Result<Vec<u8>> {
    let hex = entry.digest.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ensure!(is_hex, "{:?} is no digest", entry.digest);
    let bytes = file(&dir.join("blobs/sha256").join(hex))?;
    ensure!(
        bytes.len() as u64 == entry.size,
        "blob {hex} has {} bytes, not {}",
        bytes.len(),
        entry.size
    );
    ensure!(digest(&bytes) == entry.digest, "blob {hex} has other bytes than its digest says");
    Ok(bytes)
}

fn unpacked(gzip: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    let read = GzDecoder::new(gzip).take(UNPACKED + 1).read_to_end(&mut tar);
    read.context("the layer is not gzip")?;
    ensure!(tar.len() as u64 <= UNPACKED, "the layer unpacks to more than {UNPACKED} bytes");
    Ok(tar)
}

fn files(tar: &[u8]) -> Result<BTreeMap<PathBuf, (Vec<u8>, bool)>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry.context("the layer is not tar")?;
        let path = entry.path()?.into_owned();
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(inside, "{} leads out of the image", path.display());
        ensure!(entry.header().entry_type().is_file(), "{} is no file", path.display());
        let runs = entry.header().mode()? & 0o111 == 0o111;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let twice = files.insert(path.clone(), (bytes, runs)).is_some();
        ensure!(!twice, "{} is there twice", path.display());
    }
    Ok(files)
}

fn file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).context("not the JSON of an image")
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[cfg(test)]
#[path = "oci_tests.rs"]
mod tests;
