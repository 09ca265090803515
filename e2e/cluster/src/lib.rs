//! Real Kubernetes clusters for tests and demos, and a Prometheus beside them: started from pinned Go modules in seconds, several side by side, always
//! stopped.

mod admission;
mod binaries;
mod certificates;
mod control_plane;
mod error;
mod exporter;
mod health;
mod image;
mod kubectl;
mod node;
mod process;
mod prometheus;
mod wait;

pub use binaries::{Tool, binary, build_all};
pub use control_plane::{ControlPlane, ControlPlaneBuilder, free_ports};
pub use error::ClusterError;
pub use exporter::Exporter;
pub use health::{Health, Verdicts, health};
pub use image::{File, pack};
pub use kubectl::{Kubectl, Output};
pub use node::Node;
pub use process::Component;
pub use prometheus::{Prometheus, PrometheusBuilder, promtool};
pub use wait::{eventually, eventually_within};
