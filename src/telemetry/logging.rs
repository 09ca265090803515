//! Logs: one line of JSON each on stderr, or text for people.

use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is a list as in `info,kube=warn`; one that cannot be read means `info`.
pub fn init_logging(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
