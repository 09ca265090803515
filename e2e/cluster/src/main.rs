//! `miax-cluster`: a cluster to try things on, or only its programs.

use std::io::Read as _;
use std::process::ExitCode;

use miax_cluster::{ClusterError, ControlPlane, Node, build_all};

const USAGE: &str = "usage: miax-cluster up     start a control plane, print its kubeconfig, stay until end of input
       miax-cluster node   the same with a node that runs pods (Linux, root)
       miax-cluster build  build or find every program";

fn up() -> Result<(), ClusterError> {
    let plane = ControlPlane::start()?;
    println!("{}", plane.kubeconfig().display());
    eprintln!("the control plane runs; export KUBECONFIG as printed, end with Ctrl-D or Ctrl-C");
    // Ctrl-C ends this process; the janitor then ends the cluster.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

fn node() -> Result<(), ClusterError> {
    let node = Node::start()?;
    println!("{}", node.plane().kubeconfig().display());
    eprintln!("the node is ready; export KUBECONFIG as printed, end with Ctrl-D or Ctrl-C");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("up") => up(),
        Some("node") => node(),
        Some("build") => build_all(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
