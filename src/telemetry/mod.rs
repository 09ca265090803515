//! What the operator tells about itself: metrics, logs, probes.
//!
//! Must not: know the meaning of what it counts, or let a name, namespace or message become a label.

mod archive;
mod audit;
mod forwards;
mod hot;
mod logging;
mod metrics;
mod numbers;
mod probes;
mod witness;

pub use audit::AuditResult;
pub use forwards::ForwardNumbers;
pub use logging::init_logging;
pub use metrics::{Metrics, MetricsError};
pub use numbers::LedgerNumbers;
pub use probes::{Readiness, probes};
pub use witness::{WitnessMetrics, WitnessResult};
