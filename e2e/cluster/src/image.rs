//! Container images without an image builder: one layer, packed as an OCI archive
//! (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>).

use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A file of an image.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path inside, without the leading slash.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

const OCI: &str = "application/vnd.oci.image";

/// Packs programs as an image of this name; the first file is the entry point, run by a user without rights.
///
/// # Errors
/// [`std::io::Error`] when the archive cannot be written, which memory always can.
pub fn pack(name: &str, files: &[File]) -> std::io::Result<Vec<u8>> {
    let layer = archive(files.iter().map(|f| (f.path.clone(), f.content.as_slice(), 0o755)))?;
    let entry = files.first().map(|f| format!("/{}", f.path)).unwrap_or_default();
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": [entry], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": format!("{OCI}.manifest.v1+json"),
        "config": descriptor("config.v1+json", &config),
        "layers": [descriptor("layer.v1.tar", &layer)],
    })
    .to_string()
    .into_bytes();
    let mut index = descriptor("manifest.v1+json", &manifest);
    if let Some(map) = index.as_object_mut() {
        map.insert("annotations".to_owned(), json!({"io.containerd.image.name": name}));
    }
    let index = json!({"schemaVersion": 2, "manifests": [index]}).to_string().into_bytes();
    let layout = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
    let blobs =
        [&layer, &config, &manifest].map(|blob| (format!("blobs/sha256/{}", hex(blob)), blob.as_slice(), 0o644));
    let head =
        [("oci-layout".to_owned(), layout.as_slice(), 0o644), ("index.json".to_owned(), index.as_slice(), 0o644)];
    archive(head.into_iter().chain(blobs))
}

fn archive<'a>(files: impl IntoIterator<Item = (String, &'a [u8], u32)>) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        header.set_mode(mode);
        tar.append_data(&mut header, path, content)?;
    }
    tar.into_inner()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn descriptor(kind: &str, bytes: &[u8]) -> serde_json::Value {
    json!({"mediaType": format!("{OCI}.{kind}"), "digest": digest(bytes), "size": bytes.len()})
}
