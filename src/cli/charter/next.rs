//! `miax charter next`: the next version to edit, without signatures.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::units::Seconds;

use super::super::clock::now;
use super::super::files::{Existing, read_charter, write_object};
use super::super::output::{Answer, Failure, Format, print, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  miax charter next -f constitution-v1.yaml       # writes constitution-v2.yaml
  $EDITOR constitution-v2.yaml
  miax charter diff -f constitution-v1.yaml --to constitution-v2.yaml
  miax sign -f constitution-v2.yaml --as tina --seat CTK --key tina
  miax charter next -f constitution-v1.yaml --emergency 48h    # by CEK and ALPHA; lapses unless ratified")]
pub(super) struct Arguments {
    /// The charter in force.
    #[arg(short, long)]
    file: PathBuf,
    /// How long the next one is valid.
    #[arg(long, default_value = "365d")]
    valid: Seconds,
    /// Make it an emergency amendment, which lapses after this time unless it is ratified, for example 48h.
    #[arg(long, value_name = "TIME")]
    emergency: Option<Seconds>,
    /// Where to write it; without it `<id>-v<version>.yaml` beside the file.
    #[arg(long)]
    out: Option<PathBuf>,
    /// How to print what was made; as text only the file's name.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { file, valid, emergency, out, output } = arguments;
    let (mut object, manifest) = read_charter(file)?;
    let version = manifest.version + 1;
    let name = format!("{}-v{version}", manifest.id);
    let now = now();
    let expires_at = now.plus(*valid).to_string();
    let ratify_by = emergency.map(|within| now.plus(within).to_string());
    // Status, labels and what else a cluster adds are not carried over; only what can be signed is.
    if let Some(map) = object.as_object_mut() {
        map.retain(|key, _| ["apiVersion", "kind", "spec"].contains(&key.as_str()));
        map.insert("metadata".to_owned(), json!({"name": name}));
    }
    let spec = object.get_mut("spec").and_then(Value::as_object_mut).ok_or_else(|| Failure::new("there is no spec"))?;
    spec.insert("version".to_owned(), Value::from(version));
    spec.insert("expiresAt".to_owned(), Value::from(expires_at.clone()));
    spec.remove("ratifyBy");
    spec.extend(ratify_by.clone().map(|by| ("ratifyBy".to_owned(), Value::from(by))));
    spec.insert("signatures".to_owned(), json!([]));
    let path = out.clone().unwrap_or_else(|| file.with_file_name(format!("{name}.yaml")));
    write_object(&path, &object, Existing::Keep)?;
    let value = json!({"file": path, "name": name, "version": version, "expiresAt": expires_at, "ratifyBy": ratify_by});
    print(*output, &value, || path.display().to_string())?;
    tell(&format!("edit {}, then compare: miax charter diff -f {} --to {0}", path.display(), file.display()));
    Ok(Answer::Yes)
}
