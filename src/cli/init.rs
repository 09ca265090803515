//! `miax init`: the first charter of an organisation, from the default one.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::constitution::lint;
use crate::trust::parse_yaml_strict;
use crate::units::Seconds;

use super::charter::{findings_value, print_findings, worst};
use super::clock::now;
use super::files::{Existing, Signed, write_object};
use super::key::read_public;
use super::output::{Answer, Failure, Format, failure, print, tell};

/// The default charter.
const DEFAULT: &str = include_str!("../../config/charter/default.yaml");

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  miax init --cluster prod-eu=$(kubectl get ns kube-system -o jsonpath={.metadata.uid}) \\
      --principal alice=CEK,APXGP:alice.pub --principal bob=SRE:bob.pub \\
      --machine alpha-bot=ALPHA:alpha-bot.key.pub --out constitution-v1.yaml

A principal with several keys is given several times.")]
pub(super) struct Arguments {
    /// A cluster that the charter governs: NAME=UID of its namespace kube-system.
    #[arg(long, required = true, value_name = "NAME=UID")]
    cluster: Vec<String>,
    /// A person: NAME=SEAT[,SEAT]:PUBLIC_KEY_FILE.
    #[arg(long, value_name = "NAME=SEATS:FILE")]
    principal: Vec<String>,
    /// A machine, in the same form. It authors, and fills only seats that a rule opens to machines.
    #[arg(long, value_name = "NAME=SEATS:FILE")]
    machine: Vec<String>,
    /// Accept a finding of the lint: FINDING:SUBJECT=REASON.
    #[arg(long, value_name = "FINDING:SUBJECT=REASON")]
    waive: Vec<String>,
    /// How long the charter is valid.
    #[arg(long, default_value = "365d")]
    expires: Seconds,
    /// The file to write.
    #[arg(long, default_value = "constitution-v1.yaml")]
    out: PathBuf,
    /// How to print the digest and the findings.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    let Arguments { cluster, principal, machine, waive, expires, out, output } = arguments;
    let template = parse_yaml_strict(DEFAULT).map_err(|e| failure(&e))?.pop();
    let mut object = template.ok_or_else(|| Failure::new("the default charter is empty"))?;
    let clusters: Vec<(&str, &str)> = cluster.iter().map(|c| pair(c, "NAME=UID")).collect::<Result<_, _>>()?;
    let mut principals = Vec::new();
    for (kind, list) in [("Person", &principal), ("Machine", &machine)] {
        for text in list {
            add_principal(&mut principals, kind, text)?;
        }
    }
    let waivers: Vec<Value> = waive.iter().map(|w| waiver(w)).collect::<Result<_, _>>()?;
    let mut set = |pointer: &str, value: Value| match object.pointer_mut(pointer) {
        Some(place) => {
            *place = value;
            Ok(())
        }
        None => Err(Failure::new(format!("the default charter has no {pointer}"))),
    };
    set("/spec/audience", clusters.iter().map(|(name, _)| Value::from(*name)).collect())?;
    set("/spec/expiresAt", Value::from(now().plus(expires).to_string()))?;
    let clusters = clusters.iter().map(|(name, uid)| json!({"name": name, "uid": uid})).collect();
    set("/spec/body/charter/clusters", clusters)?;
    set("/spec/body/charter/principals", Value::from(principals))?;
    if let Some(charter) = object.pointer_mut("/spec/body/charter").and_then(Value::as_object_mut)
        && !waivers.is_empty()
    {
        charter.insert("waivers".to_owned(), Value::from(waivers));
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("signatures".to_owned(), json!([]));
    }
    finish(&object, &out, output)
}

fn finish(object: &Value, out: &Path, output: Format) -> Result<Answer, Failure> {
    let signed = Signed::read(object)?;
    let Signed::Manifest(manifest) = &signed else {
        return Err(Failure::new("the default charter is not a manifest"));
    };
    let findings = lint(&manifest.charter);
    write_object(out, object, Existing::Keep)?;
    print_findings(&findings);
    let place = out.display();
    let value = json!({"file": out, "digest": manifest.document.digest, "findings": findings_value(&findings)});
    print(output, &value, || manifest.document.digest.to_string())?;
    tell(&format!(
        "{place} is written; its digest is above. Next:
  miax charter lint -f {place}
  miax sign -f {place} --seat CTK --as NAME --key KEY         # one author
  miax approve -f {place} --seat APXGP --as NAME --key KEY    # and CEK, and two thirds of TC, APXGP and CEK
  start the operator with --genesis {}
  kubectl apply --server-side -f {place}",
        manifest.document.digest
    ));
    Ok(worst(&findings))
}

fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    let parts = text.split_once('=').filter(|(a, b)| !a.is_empty() && !b.is_empty());
    parts.ok_or_else(|| Failure::new(format!("`{text}` is not of the form {form}")))
}

fn add_principal(principals: &mut Vec<Value>, kind: &str, text: &str) -> Result<(), Failure> {
    let form = "NAME=SEAT[,SEAT]:PUBLIC_KEY_FILE";
    let (name, rest) = pair(text, form)?;
    let (seats, file) =
        rest.split_once(':').ok_or_else(|| Failure::new(format!("`{text}` is not of the form {form}")))?;
    let key = read_public(Path::new(file))?;
    let key = json!({"type": key.key_type().as_str(), "public": key.text()});
    let seats: Vec<&str> = seats.split(',').collect();
    let known = principals.iter_mut().find(|p| p.get("name").and_then(Value::as_str) == Some(name));
    match known.and_then(Value::as_object_mut) {
        Some(known) => match known.get_mut("keys").and_then(Value::as_array_mut) {
            Some(keys) => keys.push(key),
            None => return Err(Failure::new(format!("`{name}` has no list of keys"))),
        },
        None => principals.push(json!({"name": name, "kind": kind, "keys": [key], "seats": seats})),
    }
    Ok(())
}

fn waiver(text: &str) -> Result<Value, Failure> {
    let form = "FINDING:SUBJECT=REASON";
    let (about, reason) = pair(text, form)?;
    let (finding, subject) =
        about.split_once(':').ok_or_else(|| Failure::new(format!("`{text}` is not of the form {form}")))?;
    Ok(json!({"finding": finding, "subject": subject, "reason": reason}))
}
