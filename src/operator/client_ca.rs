//! The file with the authorities of client certificates: read when the webhook starts, and again when its content changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::admission::{Door, DoorError};

/// How often the file is looked at. Its content is compared: mounted ConfigMaps and Secrets change by a swapped link, which
/// a watch of the file does not see.
const PERIOD: Duration = Duration::from_secs(5);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the client authorities in {} cannot be used: {what}", path.display())]
pub struct ClientCaError {
    path: PathBuf,
    what: String,
}

/// Reads the file, and keeps the door as it says for as long as the process runs.
///
/// # Errors
/// [`ClientCaError`] when the file cannot be read or holds anything but certificates of authorities.
pub(super) fn open(path: PathBuf, name: Option<String>) -> Result<Arc<Door>, ClientCaError> {
    let content = read(&path)?;
    let wrong = |error: DoorError| ClientCaError { path: path.clone(), what: error.to_string() };
    let door = Arc::new(Door::try_new(&content, name).map_err(wrong)?);
    tokio::spawn(keep(path, content, door.clone()));
    Ok(door)
}

fn read(path: &Path) -> Result<Vec<u8>, ClientCaError> {
    std::fs::read(path).map_err(|error| ClientCaError { path: path.to_owned(), what: error.to_string() })
}

/// Follows the file for ever. What cannot be used changes nothing: the old authorities stay, and the log says so.
async fn keep(path: PathBuf, mut known: Vec<u8>, door: Arc<Door>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let found = match read(&path) {
            Ok(found) if found == known => continue,
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "the old client authorities stay");
                continue;
            }
        };
        match door.replace(&found) {
            Ok(()) => tracing::info!(path = %path.display(), "the client authorities were read again"),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the new client authorities are bad; the old ones stay");
            }
        }
        // Also what is bad is known now: it is complained about once, not for ever.
        known = found;
    }
}
