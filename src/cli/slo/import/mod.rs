//! `miax slo import`: objectives of files of Sloth, Pyrra and OpenSLO. What cannot be taken over exactly is refused or told, never
//! left away in silence.

mod openslo;
mod pyrra;
mod reading;
mod sloth;

use std::path::PathBuf;

use serde_json::Value;

use crate::trust::parse_yaml_of_others;

use super::super::files::read_text;
use super::super::output::{Answer, Failure, one_line, tell};
use super::proposal::{Common, Proposal, print};
use reading::{Notes, text};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax slo import -f sloth.yaml -n shop --audience prod-eu --for 365d > slo.yaml
  miax slo import -f pyrra.yaml --audience prod-eu --for 365d > slo.yaml
  miax slo import -f openslo.yaml -n shop --audience prod-eu --for 365d --window 28d > slo.yaml

Reads Sloth `prometheus/v1` and `sloth.slok.dev/v1`, Pyrra `pyrra.dev/v1alpha1` and OpenSLO `openslo/v1`. What is not taken over is said
on stderr; the exit code is 1 when an objective cannot be taken over.")]
pub(super) struct Arguments {
    /// File of the other program; - for stdin.
    #[arg(short, long)]
    file: PathBuf,
    /// Window of objectives whose file says none; files of Sloth never do.
    #[arg(long, default_value = "30d")]
    window: String,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let place = arguments.file.display();
    let documents =
        parse_yaml_of_others(&read_text(&arguments.file)?).map_err(|e| Failure::new(format!("{place}: {e}")))?;
    let mut notes = Notes::default();
    let proposals = read(&documents, &arguments.window, &mut notes)?;
    let mut objects = Vec::new();
    for (name, proposal) in proposals {
        match proposal.and_then(|p| arguments.common.object(p)) {
            Ok(object) => objects.push(object),
            Err(why) => notes.refuse(&name, &why),
        }
    }
    for line in notes.lines() {
        tell(&one_line(line));
    }
    print(&objects);
    tell(&format!(
        "taken over: {}, refused: {}; look at each, add a gate, and sign it",
        objects.len(),
        notes.refused()
    ));
    Ok(if notes.refused() == 0 { Answer::Yes } else { Answer::No })
}

/// A name, and its objective or why there is none.
type Read = (String, Result<Proposal, String>);

/// Reads the documents of a file.
fn read(documents: &[Value], window: &str, notes: &mut Notes) -> Result<Vec<Read>, Failure> {
    let mut all = Vec::new();
    for document in documents {
        let of = (text(document, "version"), text(document, "apiVersion"), text(document, "kind"));
        match of {
            ("prometheus/v1", _, _) => all.extend(sloth::file(document, window, notes)),
            (_, "sloth.slok.dev/v1", "PrometheusServiceLevel") => all.extend(sloth::object(document, window, notes)),
            (_, "pyrra.dev/v1alpha1", "ServiceLevelObjective") => all.push(pyrra::objective(document, notes)),
            (_, "openslo/v1", "SLO") => all.extend(openslo::objectives(document, documents, window, notes)),
            // Read where an objective refers to it.
            (_, "openslo/v1", "SLI") => {}
            (_, "openslo/v1", kind) => notes.tell(text(document, "kind"), &format!("a {kind} is not taken over")),
            (version, api, kind) => {
                let found = [version, api, kind].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
                return Err(Failure::new(format!("`{found}` is not a file that can be taken over"))
                    .with_next("give a file of Sloth v1, Pyrra v1alpha1 or OpenSLO v1"));
            }
        }
    }
    Ok(all)
}
