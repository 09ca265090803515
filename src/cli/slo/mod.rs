//! `miax slo`: objectives offline.

mod budget;
mod import;
mod lint;
mod new;
mod proposal;
mod render;
mod source;

use super::output::{Answer, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax slo lint -f slo.yaml --retention 15d
  miax slo render -f slo.yaml | kubectl apply --server-side -f -
  miax slo budget -f slo.yaml --bad 250 --total 1000000
  miax slo import -f sloth.yaml -n shop --audience prod-eu --for 365d > slo.yaml
  curl -s http://checkout:8080/metrics | miax slo new -f - -n shop --job checkout --audience prod-eu --for 365d")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the rules by which Prometheus records an objective and alerts of it.
    Render(render::Arguments),
    /// Look for what is wrong in objectives, and for what people do not expect.
    Lint(lint::Arguments),
    /// Say what is left of an error budget after so many events.
    Budget(budget::Arguments),
    /// Make objectives of files of Sloth, Pyrra and OpenSLO.
    Import(import::Arguments),
    /// Propose objectives for metrics that exist.
    New(new::Arguments),
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    match &arguments.action {
        Action::Render(arguments) => render::run(arguments),
        Action::Lint(arguments) => lint::run(arguments),
        Action::Budget(arguments) => budget::run(arguments),
        Action::Import(arguments) => import::run(arguments),
        Action::New(arguments) => new::run(arguments),
    }
}
