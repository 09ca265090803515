//! What is generated is committed, and equal to what the code generates now. `make generate` writes it.

use std::fmt::Write as _;

use miax::api::GovernedKind;
use miax::api::reason::{Reason, ReasonClass};
use miax::telemetry::{Metrics, WitnessMetrics};
use miax::trust::to_yaml;

use crate::root;

/// Compares a file with what it must hold; with MIAX_GENERATE set it is written instead.
fn check(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("MIAX_GENERATE").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(&file, expected).expect("written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is not what the code generates; run `make generate` and look at the difference");
}

fn notice(what: &str) -> String {
    format!("# Generated from the code by `make generate`; do not edit.\n{what}")
}

#[test]
fn crds_are_those_of_the_types() {
    for kind in GovernedKind::ALL {
        let text = notice(&to_yaml(&serde_json::to_value(kind.crd()).expect("json")));
        check(&format!("crds/{}.yaml", kind.plural()), &text);
        check(&format!("charts/miax/crds/{}.yaml", kind.plural()), &text);
    }
}

#[test]
fn the_settings_for_argo_cd_are_its_scripts() {
    let mut text = notice(
        "# Health of Miax's kinds for Argo CD; merge it into its ConfigMap:\n\
         #   kubectl -n argocd patch configmap argocd-cm --patch-file config/argocd/argocd-cm.yaml\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n  namespace: argocd\ndata:\n",
    );
    for kind in GovernedKind::ALL {
        let path = format!("config/argocd/resource_customizations/miax.dev/{}/health.lua", kind.kind());
        let script = std::fs::read_to_string(root().join(&path)).expect(&path);
        writeln!(text, "  resource.customizations.health.miax.dev_{}: |", kind.kind()).expect("written");
        for line in script.lines() {
            let indent = if line.is_empty() { "" } else { "    " };
            writeln!(text, "{indent}{line}").expect("written");
        }
    }
    check("config/argocd/argocd-cm.yaml", &text);
}

#[test]
fn the_page_of_reasons_is_that_of_the_enum() {
    let mut page = "# Reasons\n\n<!-- Generated from the code by `make generate`; do not edit. -->\n\n\
        One closed list: the same word stands in the denial, the condition, the metric label and the ledger.\n"
        .to_owned();
    for (class, title) in [
        (ReasonClass::Allowed, "Allowed (200)"),
        (ReasonClass::Refused, "Refused by a rule (403)"),
        (ReasonClass::Malformed, "Not a document that can be judged (422)"),
        (ReasonClass::Unable, "Miax cannot judge now (500, still refused)"),
    ] {
        write!(page, "\n## {title}\n\n| Reason | Meaning |\n|---|---|\n").expect("written");
        for reason in Reason::ALL.iter().filter(|r| r.class() == class) {
            writeln!(page, "| `{reason}` | {} |", reason.meaning()).expect("written");
        }
    }
    check("docs/reference/reasons.md", &page);
}

#[test]
fn the_page_of_metrics_is_that_of_the_registry() {
    let mut page = "# Metrics\n\n<!-- Generated from the code by `make generate`; do not edit. -->\n\n\
        Served on the probes' port under `/metrics`. Labels come from closed lists only.\n\n\
        | Metric | Type | Meaning |\n|---|---|---|\n"
        .to_owned();
    let row = |(name, kind, help)| format!("| `{name}` | {kind} | {help} |\n");
    page.extend(Metrics::try_new().expect("metrics").catalogue().into_iter().map(row));
    page.push_str(
        "\n## Of a witness\n\nServed by `miax ledger witness` where it listens.\n\n\
        | Metric | Type | Meaning |\n|---|---|---|\n",
    );
    page.extend(WitnessMetrics::try_new().expect("metrics").catalogue().into_iter().map(row));
    check("docs/reference/metrics.md", &page);
}

#[test]
fn the_page_of_the_cli_is_its_help() {
    let mut page = "# miax\n\n<!-- Generated from the code by `make generate`; do not edit. -->\n".to_owned();
    describe(&mut miax::cli::definition(), "miax", &mut page);
    check("docs/reference/cli.md", &page);
}

fn describe(command: &mut clap::Command, name: &str, page: &mut String) {
    let help = command.clone().bin_name(name).term_width(100).render_long_help();
    write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.to_string().trim_end()).expect("written");
    let mut below: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    for sub in &mut below {
        let name = format!("{name} {}", sub.get_name());
        describe(sub, &name, page);
    }
}

#[test]
fn every_command_shows_an_example() {
    let definition = miax::cli::definition();
    let silent: Vec<&str> = definition
        .get_subcommands()
        .filter(|c| c.get_after_help().is_none_or(|h| !h.to_string().contains("Example")))
        .map(clap::Command::get_name)
        .collect();
    assert!(silent.is_empty(), "no example in the help of {silent:?}");
}
