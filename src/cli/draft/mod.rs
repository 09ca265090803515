//! `miax draft`: a command without signatures.

mod epoch;
mod object;
mod places;
mod windows;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::trust::to_yaml;
use crate::units::{Digest, UnixSeconds};

use super::clock::now;
use super::files::{Existing, Signed, write_object};
use super::output::{Answer, Failure, print, tell};
use super::source::Trust;
use epoch::opening;
use object::{Common, Drafted, End, Place, Workload, gated, object};
use places::places;
use windows::Windows;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax draft scale deployment/checkout -n shop --replicas 12 --impact Critical --reason 'black friday' --audience prod-eu --out cmd.yaml
  miax draft restart statefulset/db -n shop --impact High --reason 'leak, see OPS-7' --audience prod-eu
  miax draft isolate deployment/checkout -n shop --for 2h --impact Critical --reason 'it talks to a stranger' --audience prod-eu
  miax draft freeze -n shop --for 8h --reason 'audit' --audience prod-eu --out freeze.yaml
  miax draft waive deployment/checkout -n shop --rule freeze --for 1h --reason 'OPS-7' --audience prod-eu --out waive.yaml
  miax draft override sha256:9f2c... --for 4h --reason 'safety, see OPS-7' --audience prod-eu --out override.yaml
  miax draft revoke-key SHA256:Yx0... --reason 'laptop lost' --audience prod-eu --out revoke.yaml
  miax draft veto sha256:9f2c... --reason 'not during the audit' --audience prod-eu --out veto.yaml
  miax draft review sha256:9f2c... --findings 'cache ran full, see OPS-7' --reason 'post-mortem' --audience prod-eu")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Set the number of replicas.
    #[command(after_help = "Example:
  miax draft scale deployment/checkout -n shop --replicas 12 --reason 'black friday' --audience prod-eu --out cmd.yaml")]
    Scale {
        /// How many.
        #[arg(long)]
        replicas: u32,
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Restart all pods.
    #[command(after_help = "Example:
  miax draft restart statefulset/db -n shop --impact High --reason 'leak, see OPS-7' --audience prod-eu")]
    Restart {
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Bring the pod template of a revision back.
    #[command(after_help = "Example:
  miax draft rollback deployment/checkout -n shop --to-revision 41 --reason 'errors since 42' --audience prod-eu")]
    Rollback {
        /// The revision, as `kubectl rollout history` lists it.
        #[arg(long)]
        to_revision: u64,
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Change images, environment, resources or replicas, and nothing else.
    #[command(after_help = "Example:
  miax draft patch deployment/checkout -n shop --image app=registry.example/checkout:42 --env app:LOG=debug \\
      --limit app:memory=1Gi --reason 'fix for OPS-7' --audience prod-eu --out cmd.yaml")]
    Patch {
        /// CONTAINER=IMAGE.
        #[arg(long)]
        image: Vec<String>,
        /// CONTAINER:NAME=VALUE.
        #[arg(long)]
        env: Vec<String>,
        /// CONTAINER:RESOURCE=AMOUNT.
        #[arg(long)]
        request: Vec<String>,
        /// CONTAINER:RESOURCE=AMOUNT.
        #[arg(long)]
        limit: Vec<String>,
        /// How many replicas.
        #[arg(long)]
        replicas: Option<u32>,
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Cut the pods of a workload off from the network in both directions, for a time.
    #[command(after_help = "Example:
  miax draft isolate deployment/checkout -n shop --for 2h --impact Critical --reason 'it talks to a stranger' \\
      --audience prod-eu --out isolate.yaml")]
    Isolate {
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Let no pod template of a namespace change, but by commands.
    #[command(after_help = "Examples:
  miax draft freeze -n shop --for 8h --reason 'audit' --audience prod-eu --out freeze.yaml
  miax draft freeze -n shop --system --reason 'audit' --audience prod-eu    # until it is thawed; stands in miax-system
  miax draft freeze -n shop --window 'Fri 16:00-24:00' --window Sat,Sun --time-zone Europe/Berlin --way-out SRE,CTK \\
      --reason 'nobody is here' --audience prod-eu --out weekends.yaml")]
    Freeze {
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        windows: Windows,
        /// Seats that all must sign a waiver for it, instead of those who may thaw.
        #[arg(long, value_delimiter = ',', value_name = "SEAT")]
        way_out: Vec<String>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
    /// End the freezes of a namespace, or let them rest for a time.
    #[command(after_help = "Examples:
  miax draft thaw -n shop --reason 'the audit is over' --audience prod-eu --out thaw.yaml
  miax draft thaw -n shop --for 4h --reason 'OPS-7' --audience prod-eu    # they hold again then; calendars rest too
  miax draft thaw -n shop --freeze sha256:9f2c... --reason 'no free weekends' --audience prod-eu    # ends a calendar")]
    Thaw {
        /// Digest of the Freeze command whose freeze it is, as `miax status` prints it; a calendar is ended by it alone.
        #[arg(long)]
        freeze: Option<Digest>,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
    /// Take one workload out of one rule, or out of a freeze, for a time.
    #[command(after_help = "Examples:
  miax draft waive deployment/checkout -n shop --rule freeze --for 1h --reason 'OPS-7' --audience prod-eu --out waive.yaml
  miax draft waive deployment/checkout -n shop --rule runtime-critical --until 2026-11-24T10:00:00Z --reason 'OPS-7' \\
      --audience prod-eu")]
    Waive {
        /// A rule of the charter whose seats need not be filled, or `freeze`.
        #[arg(long)]
        rule: String,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Plan for a spent error budget: let a workload change to one pod template.
    #[command(after_help = "Example:
  kubectl apply --dry-run=server -f checkout.yaml    # its refusal names the objective and the template
  miax draft mitigate deployment/checkout -n shop --slo checkout-availability --objective sha256:9f2c... \\
      --template sha256:77aa... --for 2h --reason 'a smaller pool, see OPS-7' --audience prod-eu --out plan.yaml")]
    Mitigate {
        /// Name of the objective.
        #[arg(long)]
        slo: String,
        /// Digest of its version.
        #[arg(long)]
        objective: Digest,
        /// Digest of the one pod template that the workload may have.
        #[arg(long)]
        template: Digest,
        /// How many changes it covers.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        #[command(flatten)]
        end: End,
        /// The workload: deployment/NAME, statefulset/NAME, daemonset/NAME, replicaset/NAME, job/NAME, cronjob/NAME or pod/NAME.
        workload: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
    /// Suspend a freeze or a veto of another organ, for a time; the highest organ must acknowledge it.
    #[command(after_help = "Example:
  miax draft override sha256:9f2c... --for 4h --reason 'safety, see OPS-7' --audience prod-eu --out override.yaml")]
    Override {
        /// Digest of the Freeze or Veto command, as `miax status` prints it.
        decision: Digest,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        common: Common,
    },
    /// Say that the highest organ has seen an override.
    #[command(after_help = "Example:
  miax draft acknowledge-override sha256:9f2c... --reason 'seen' --audience prod-eu --out acknowledge.yaml")]
    AcknowledgeOverride {
        /// Digest of the Override command, as `miax status` prints it.
        command: Digest,
        #[command(flatten)]
        common: Common,
    },
    /// Say that an incident was seen.
    #[command(after_help = "Example:
  miax draft acknowledge-incident checkout-latency-42 --reason 'on call' --audience prod-eu --out acknowledge.yaml")]
    AcknowledgeIncident {
        /// Name of the incident, as the alerting system knows it.
        incident: String,
        #[command(flatten)]
        common: Common,
    },
    /// Make a key worthless; whoever holds it may do so alone.
    #[command(after_help = "Example:
  miax draft revoke-key SHA256:Yx0... --reason 'laptop lost' --audience prod-eu --out revoke.yaml
  miax sign -f revoke.yaml --as dana --seat SRE --key spare    # your own key: your signature is enough")]
    RevokeKey {
        /// Fingerprint of the key, as `ssh-keygen -l` prints it.
        key: String,
        #[command(flatten)]
        common: Common,
    },
    /// Stop a command of a lower organ that is not done yet.
    #[command(after_help = "Example:
  miax draft veto sha256:9f2c... --reason 'not during the audit' --audience prod-eu --out veto.yaml")]
    Veto {
        /// Digest of the command, as `miax show` prints it.
        command: Digest,
        #[command(flatten)]
        common: Common,
    },
    /// Confirm an emergency amendment, by the quorum of the charter before it.
    #[command(after_help = "Example:
  miax draft ratify-amendment sha256:9f2c... --reason 'reviewed' --audience prod-eu --out ratify.yaml")]
    RatifyAmendment {
        /// Digest of the emergency charter, as `miax status` prints it.
        charter: Digest,
        #[command(flatten)]
        common: Common,
    },
    /// Close the post-mortem of a command; by people who did not sign it.
    #[command(after_help = "Example:
  miax draft review sha256:9f2c... --findings 'cache ran full, see OPS-7' --reason 'post-mortem' --audience prod-eu")]
    Review {
        /// Digest of the command, as `miax status` prints it.
        command: Digest,
        /// What was found: a summary, or where the post-mortem is.
        #[arg(long)]
        findings: String,
        #[command(flatten)]
        common: Common,
    },
    /// Go on with what is left of a ledger whose end is lost for good. `miax-operator open-epoch` takes the signed file.
    #[command(after_help = "Examples:
  miax draft open-epoch ledger.yaml --key KEY --reason 'the disk of etcd is gone' --audience prod-eu --out epoch.yaml
  miax draft open-epoch ledger.yaml --key KEY --checkpoint kept.txt --reason 'no backup' --audience prod-eu

Everything up to the first thing that is wrong is kept; what --checkpoint or the dump vouches for beyond that is lost.
First try to bring it back: miax ledger restore COPY.")]
    OpenEpoch {
        /// What is left: a dump, a directory or a tarball of the ledger.
        ledger: PathBuf,
        #[command(flatten)]
        trust: Trust,
        #[command(flatten)]
        common: Common,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    let now = now();
    let (drafted, common) = meaning(arguments.action, now)?;
    let object = object(&drafted, &common, now)?;
    // The same reading as everywhere: what would be refused is not even written.
    let signed = Signed::read(&object)?;
    match &common.out {
        Some(path) => {
            write_object(path, &object, Existing::Keep)?;
            tell(&format!("{}: {} ({})", path.display(), signed.summary(), signed.document().digest));
        }
        None => print(common.output, &object, || to_yaml(&object))?,
    }
    Ok(Answer::Yes)
}

/// The fields that have a value.
fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}

fn meaning(action: Action, now: UnixSeconds) -> Result<(Drafted, Common), Failure> {
    Ok(match action {
        Action::Scale { replicas, workload, common } => {
            (Drafted::on_workload("Scale", json!({"replicas": replicas}), &workload, &common)?, common)
        }
        Action::Restart { workload, common } => {
            (Drafted::on_workload("Restart", json!({}), &workload, &common)?, common)
        }
        Action::Rollback { to_revision, workload, common } => {
            (Drafted::on_workload("Rollback", json!({"revision": to_revision}), &workload, &common)?, common)
        }
        Action::Patch { image, env, request, limit, replicas, workload, common } => {
            let fields = places(replicas, &image, &env, &request, &limit)?;
            (Drafted::on_workload("Patch", fields, &workload, &common)?, common)
        }
        Action::Isolate { end, workload, common } => {
            let fields = json!({"until": end.required(now)?.to_string()});
            (Drafted::on_workload("Isolate", fields, &workload, &common)?, common)
        }
        Action::Freeze { end, windows, way_out, place, common } => {
            let until = end.at(now)?.map(|until| json!(until.to_string()));
            let seats = (!way_out.is_empty()).then(|| json!(way_out));
            let fields = given([("until", until), ("calendar", windows.calendar()?), ("wayOut", seats)]);
            (Drafted::on_namespace("Freeze", fields, &place, &common)?, common)
        }
        Action::Thaw { freeze, end, place, common } => {
            let until = end.at(now)?.map(|until| json!(until.to_string()));
            let fields = given([("freeze", freeze.map(|digest| json!(digest))), ("until", until)]);
            (Drafted::on_namespace("Thaw", fields, &place, &common)?, common)
        }
        Action::Waive { rule, end, workload, common } => {
            let until = end.required(now)?;
            let fields = json!({"rule": rule, "until": until.to_string()});
            (Drafted::on_workload("Waive", fields, &workload, &common)?.covering(until), common)
        }
        Action::Mitigate { slo, objective, template, uses, end, workload, place, common } => {
            let until = end.required(now)?;
            let (kind, name) = gated(&workload)?;
            let target = json!({"kind": kind.as_str(), "name": name});
            let fields = json!({"slo": slo, "objective": objective, "target": target, "template": template, "uses": uses, "until": until.to_string()});
            (Drafted::on_namespace("Mitigate", fields, &place, &common)?.covering(until), common)
        }
        Action::Override { decision, end, common } => {
            let until = end.required(now)?;
            let fields = json!({"decision": decision, "until": until.to_string()});
            (Drafted::on_state("Override", fields, &common).covering(until), common)
        }
        Action::AcknowledgeOverride { command, common } => {
            (Drafted::on_state("AcknowledgeOverride", json!({"command": command}), &common), common)
        }
        Action::AcknowledgeIncident { incident, common } => {
            (Drafted::on_state("AcknowledgeIncident", json!({"incident": incident}), &common), common)
        }
        Action::RevokeKey { key, common } => (Drafted::on_state("RevokeKey", json!({"key": key}), &common), common),
        Action::Veto { command, common } => (Drafted::on_state("Veto", json!({"command": command}), &common), common),
        Action::RatifyAmendment { charter, common } => {
            (Drafted::on_state("RatifyAmendment", json!({"charter": charter}), &common), common)
        }
        Action::Review { command, findings, common } => {
            let fields = json!({"command": command, "findings": findings});
            (Drafted::on_state("Review", fields, &common), common)
        }
        Action::OpenEpoch { ledger, trust, common } => {
            (Drafted::on_state("OpenEpoch", opening(&ledger, &trust)?, &common), common)
        }
    })
}
