//! Writes images as OCI layout directories, without any container tool.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::bytes::{Archive, Entry, put, sha256};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The annotation that names what an index of a layout has.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Who runs in our containers: nobody in particular, and not root.
pub(super) const USER: &str = "65532:65532";
/// Where the program is; `kubectl exec` finds it by its name.
pub(super) const ENTRYPOINT: &str = "/usr/local/bin/reprise";

/// An image of one layer, complete but not yet written.
pub(super) struct Image {
    architecture: &'static str,
    blobs: Vec<Vec<u8>>,
    manifest: Vec<u8>,
}

impl Image {
    /// The filter's image in the variant that Istio and Envoy Gateway call compat: any image whose
    /// only layer has `plugin.wasm` at its root.
    pub(super) fn of_filter(module: Vec<u8>, version: &str) -> Result<Self> {
        let entry = Entry { path: "plugin.wasm".to_owned(), bytes: module, runs: false };
        // The type of machine of an image is required, and says nothing about wasm: nodes of any
        // type take it.
        Self::new("amd64", json!({}), &[entry], "reprise-filter", version)
    }

    /// The image of `reprise`: its program and nothing else.
    pub(super) fn of_reprise(
        program: Vec<u8>,
        architecture: &'static str,
        version: &str,
    ) -> Result<Self> {
        let path = ENTRYPOINT.trim_start_matches('/').to_owned();
        let run = json!({
            "User": USER,
            "Env": ["PATH=/usr/local/bin"],
            "Entrypoint": [ENTRYPOINT],
            "WorkingDir": "/",
        });
        let entry = Entry { path, bytes: program, runs: true };
        Self::new(architecture, run, &[entry], "reprise", version)
    }

    fn new(
        architecture: &'static str,
        run: Value,
        entries: &[Entry],
        title: &str,
        version: &str,
    ) -> Result<Self> {
        let layer = Archive::of(entries)?;
        let config = to_bytes(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer.tar)]},
        }));
        let manifest = to_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &layer.gzip)],
            "annotations": {
                "org.opencontainers.image.title": title,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        }));
        Ok(Self { architecture, blobs: vec![config, layer.gzip], manifest })
    }

    /// The digest of its manifest, in hex: what a pin of an `oci://` URL means.
    pub(super) fn sha256(&self) -> String {
        sha256(&self.manifest)
    }
}

/// Writes a layout with one image, or with several for different machines under one tag.
pub(super) fn write(dir: &Path, tag: &str, images: &[Image]) -> Result<()> {
    let mut top = match images {
        [image] => descriptor(MANIFEST, &image.manifest),
        _ => {
            let manifests: Vec<_> = images.iter().map(for_machine).collect();
            let index =
                to_bytes(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}));
            put_blob(dir, &index)?;
            descriptor(INDEX, &index)
        }
    };
    for image in images {
        for blob in image.blobs.iter().chain([&image.manifest]) {
            put_blob(dir, blob)?;
        }
    }
    top["annotations"] = json!({REF_NAME: tag});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]});
    put(&dir.join("index.json"), to_bytes(&index))?;
    put(&dir.join("oci-layout"), to_bytes(&json!({"imageLayoutVersion": "1.0.0"})))
}

fn for_machine(image: &Image) -> Value {
    let mut descriptor = descriptor(MANIFEST, &image.manifest);
    descriptor["platform"] = json!({"architecture": image.architecture, "os": "linux"});
    descriptor
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", sha256(blob))
}

fn put_blob(dir: &Path, blob: &[u8]) -> Result<()> {
    put(&dir.join("blobs/sha256").join(sha256(blob)), blob)
}

/// Keys in their order, whatever features the map was built with: the same content is the same
/// bytes.
fn to_bytes(value: &Value) -> Vec<u8> {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string().into_bytes()
}
