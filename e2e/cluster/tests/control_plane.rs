//! A control plane starts, stands beside another one, loses and finds its API server, and never outlives its parent.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use miax_cluster::{ControlPlane, File, eventually, pack};

#[test]
fn two_control_planes_stand_side_by_side() {
    let one = ControlPlane::start().expect("one");
    let other = ControlPlane::start().expect("another");
    assert_ne!(one.server(), other.server());
    one.kubectl().run(&["create", "namespace", "only-here"]).expect("created");
    assert!(other.kubectl().run(&["get", "namespace", "only-here"]).is_err());
}

#[test]
fn an_api_server_that_comes_back_has_its_data() {
    let mut plane = ControlPlane::start().expect("a control plane");
    plane.kubectl().run(&["create", "configmap", "kept", "--from-literal=a=b"]).expect("created");
    plane.stop_api_server();
    assert!(plane.kubectl().run(&["get", "configmap", "kept"]).is_err());
    plane.start_api_server().expect("it comes back");
    plane.kubectl().run(&["get", "configmap", "kept"]).expect("the data is there");
}

#[test]
fn a_token_has_the_rights_of_its_account_and_no_more() {
    let plane = ControlPlane::start().expect("a control plane");
    let path = plane.kubeconfig_of_account("default", "default").expect("a token");
    let kubectl = miax_cluster::Kubectl::new(&path).expect("kubectl");
    let answer = kubectl.ask(&["get", "secrets"], "").expect("kubectl runs");
    assert!(!answer.ok && answer.stderr.contains("system:serviceaccount:default:default"), "{}", answer.stderr);
}

/// Whether a process has this text in its command line.
fn somebody_runs_with(text: &str) -> bool {
    let of = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let has = |line: Vec<u8>| String::from_utf8_lossy(&line).contains(text);
    std::fs::read_dir("/proc").is_ok_and(|all| all.flatten().any(|entry| has(of(entry))))
}

#[test]
fn a_killed_parent_leaves_nothing_behind() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_miax-cluster"))
        .arg("up")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    let directory = Path::new(line.trim()).parent().expect("a directory").to_owned();
    assert!(directory.exists());
    parent.kill().expect("killed");
    parent.wait().expect("gone");
    let name = directory.display().to_string();
    let clean = || (!directory.exists() && !somebody_runs_with(&name)).then_some(());
    assert!(eventually(clean).is_some(), "{name} or a process of it is still there");
}

#[test]
fn an_image_is_an_archive_with_its_parts() {
    let file = File { path: "program".into(), content: b"bytes".to_vec() };
    let image = pack("docker.io/local/x:1", &[file]).expect("packed");
    let mut archive = tar::Archive::new(image.as_slice());
    let names: Vec<String> = archive
        .entries()
        .expect("a tar")
        .map(|e| e.expect("entry").path().expect("path").display().to_string())
        .collect();
    assert!(names.contains(&"index.json".to_owned()) && names.contains(&"oci-layout".to_owned()), "{names:?}");
    assert_eq!(names.iter().filter(|n| n.starts_with("blobs/sha256/")).count(), 3);
}
