//! Where an archive is, as the operator is told: `NAME=URL`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::ArchiveStore;

/// Name and address of an archive. Only the operator's configuration names one, never an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePlace {
    name: String,
    address: Address,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    Directory(PathBuf),
    Bucket(Cloud, String, String),
}

/// Whose buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    /// Amazon S3, or a store that speaks its protocol and honours `If-None-Match`.
    S3,
    /// Google Cloud Storage.
    Gcs,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchivePlaceError {
    /// The text is not a place.
    #[error(
        "`{0}` is not an archive; write NAME=file:///DIRECTORY, NAME=s3://BUCKET/PREFIX or NAME=gs://BUCKET/PREFIX, the \
         name in a-z, 0-9 and -"
    )]
    Malformed(String),
    /// This build reaches no buckets.
    #[error("the archive `{name}` is in a bucket; this build has no client for it, build with --features cloud")]
    NoClient {
        /// Name of the archive.
        name: String,
    },
    /// The store does not open.
    #[error("the archive `{name}` cannot be opened: {source}")]
    Open {
        /// Name of the archive.
        name: String,
        /// What is wrong.
        source: object_store::Error,
    },
}

impl FromStr for ArchivePlace {
    type Err = ArchivePlaceError;

    fn from_str(text: &str) -> Result<Self, ArchivePlaceError> {
        let read = || {
            let (name, url) = text.split_once('=')?;
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let named = !name.is_empty() && name.len() <= 63 && name.chars().all(plain);
            let (scheme, rest) = url.split_once("://")?;
            let bucket = |cloud| {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let address = Address::Bucket(cloud, bucket.to_owned(), prefix.trim_end_matches('/').to_owned());
                (!bucket.is_empty()).then_some(address)
            };
            let address = match scheme {
                "file" => rest.starts_with('/').then(|| Address::Directory(rest.into())),
                "s3" => bucket(Cloud::S3),
                "gs" => bucket(Cloud::Gcs),
                _ => None,
            };
            named.then_some(Self { name: name.to_owned(), address: address? })
        };
        read().ok_or_else(|| ArchivePlaceError::Malformed(text.to_owned()))
    }
}

impl ArchivePlace {
    /// The name that entries call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the store. A directory must be there: one that is not mounted must not become one on the pod's own disk. A
    /// bucket is asked for nothing yet; its credentials, region and endpoint come from `environment`, under the names that
    /// the tools of the cloud use (`AWS_…`, `GOOGLE_…`).
    ///
    /// # Errors
    /// [`ArchivePlaceError::Open`], [`ArchivePlaceError::NoClient`].
    pub fn open(&self, environment: &[(String, String)]) -> Result<ArchiveStore, ArchivePlaceError> {
        let Self { name, address } = self;
        let wrong = |source| ArchivePlaceError::Open { name: name.clone(), source };
        let (objects, prefix): (Arc<dyn ObjectStore>, _) = match address {
            Address::Directory(path) => {
                let directory = LocalFileSystem::new_with_prefix(path).map_err(wrong)?;
                (Arc::new(directory.with_fsync(true)), Path::default())
            }
            Address::Bucket(cloud, bucket, prefix) => {
                let prefix = Path::parse(prefix).map_err(|e| wrong(e.into()))?;
                let client = client(*cloud, bucket, environment).map_err(wrong)?;
                (client.ok_or_else(|| ArchivePlaceError::NoClient { name: name.clone() })?, prefix)
            }
        };
        Ok(ArchiveStore::new(name, objects, prefix))
    }
}

/// A client of a bucket; `None` when this build has none.
#[cfg(feature = "cloud")]
fn client(
    cloud: Cloud,
    bucket: &str,
    environment: &[(String, String)],
) -> object_store::Result<Option<Arc<dyn ObjectStore>>> {
    use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
    use object_store::gcp::GoogleCloudStorageBuilder;

    // Only fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = |prefix: &'static str| environment.iter().filter(move |(key, _)| key.starts_with(prefix));
    let lower = |key: &str| key.to_ascii_lowercase();
    Ok(Some(match cloud {
        Cloud::S3 => {
            let mut builder = AmazonS3Builder::new();
            for (key, value) in settings("AWS_") {
                // Others are for other tools.
                if let Ok(key) = lower(key).parse() {
                    builder = builder.with_config(key, value);
                }
            }
            // Without conditional puts nothing could be created only where nothing is.
            Arc::new(builder.with_bucket_name(bucket).with_conditional_put(S3ConditionalPut::ETagMatch).build()?)
        }
        Cloud::Gcs => {
            let mut builder = GoogleCloudStorageBuilder::new();
            for (key, value) in settings("GOOGLE_") {
                if let Ok(key) = lower(key).parse() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.with_bucket_name(bucket).build()?)
        }
    }))
}

#[cfg(not(feature = "cloud"))]
#[expect(clippy::unnecessary_wraps, reason = "the other build can fail")]
fn client(_: Cloud, _: &str, _: &[(String, String)]) -> object_store::Result<Option<Arc<dyn ObjectStore>>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_name_and_an_address() {
        let check = |text: &str, address: Address| {
            let place: ArchivePlace = text.parse().expect("a place");
            assert_eq!((place.name(), &place.address), ("cold", &address));
        };
        let bucket = |cloud, prefix: &str| Address::Bucket(cloud, "miax".to_owned(), prefix.to_owned());
        check("cold=file:///var/lib/miax", Address::Directory("/var/lib/miax".into()));
        check("cold=s3://miax/prod/eu/", bucket(Cloud::S3, "prod/eu"));
        check("cold=gs://miax", bucket(Cloud::Gcs, ""));
        let wrong = [
            "",
            "file:///x",
            "=file:///x",
            "Cold=file:///x",
            "cold=/x",
            "cold=file://x",
            "cold=ftp://x/y",
            "cold=s3://",
            "cold=gs:///x",
        ];
        for wrong in wrong {
            assert!(matches!(wrong.parse::<ArchivePlace>(), Err(ArchivePlaceError::Malformed(_))), "{wrong}");
        }
        let missing: ArchivePlace = "cold=file:///nowhere/at/all".parse().expect("a place");
        assert!(missing.open(&[]).expect_err("there is no such directory").to_string().contains("`cold`"));
    }

    #[cfg(not(feature = "cloud"))]
    #[test]
    fn a_build_without_clients_says_so() {
        let place: ArchivePlace = "cold=s3://miax/prod".parse().expect("a place");
        let error = place.open(&[]).expect_err("no client");
        assert!(error.to_string().contains("--features cloud"), "{error}");
    }
}
