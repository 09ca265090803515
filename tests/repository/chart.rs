//! The chart declares what the code declares: the same rights, webhook, flow control and accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use miax::api::GatedKind;
use miax::operator::{Extent, Pruning, objects};
use miax::trust::parse_yaml_strict;
use miax_cluster::{Tool, binary};
use serde_json::Value;

use crate::root;

fn helm(arguments: &[&str]) -> (bool, String, String) {
    let program = binary(Tool::Helm).expect("helm is found or built");
    let output = Command::new(program).args(arguments).current_dir(root()).output().expect("helm runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

/// The objects of the chart with these arguments.
pub fn rendered(more: &[&str]) -> Vec<Value> {
    let fixed = ["template", "miax", "charts/miax", "--namespace", "miax-system"];
    let (ok, text, errors) = helm(&[&fixed[..], more].concat());
    assert!(ok, "{errors}");
    parse_yaml_strict(&text).expect("yaml")
}

/// Objects by kind, namespace and name, without what only people and Helm read.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let named = objects.into_iter().map(|mut object| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("annotations");
            metadata.remove("labels");
        }
        (name, object)
    });
    named.collect()
}

/// What only the chart has: the pods and what belongs to them. The release namespace is Helm's.
const CHART_ONLY: [&str; 4] = ["Deployment ", "Service ", "PodDisruptionBudget ", "NetworkPolicy "];

/// What pruning needs.
const PRUNES: &str = ",controller.prune.enabled=true,controller.prune.keepBlocks=9,controller.archives[0].name=cold,\
controller.archives[0].claim=one,controller.archives[1].name=far,controller.archives[1].claim=two,witnesses.members={https://w1.\
example:7380+witness.example/w1+567cde09+BG56HN0psLeP0Tr0xVmP7/TvKpcWbjym8uT7/M2AUFvx}";

#[test]
fn the_chart_declares_what_the_code_declares() {
    for (seats, pruning) in [("SRE,TCC", Pruning::Off), ("OPS", Pruning::On)] {
        let organs: Vec<String> = seats.split(',').map(str::to_owned).collect();
        let gated = if pruning == Pruning::On { GatedKind::OPTIONAL.into_iter().collect() } else { BTreeSet::new() };
        let mut declared = by_name(objects(None, &organs, &Extent { pruning, gated }));
        assert!(declared.remove("Namespace /miax-system").is_some());
        let prune = if pruning == Pruning::On { PRUNES } else { "" };
        let gate = if pruning == Pruning::On { ",gate.kinds={ReplicaSet,Job,CronJob,Pod}" } else { "" };
        let mut chart = by_name(rendered(&["--set", &format!("seats={{{seats}}}{prune}{gate}")]));
        chart.retain(|name, _| !CHART_ONLY.iter().any(|kind| name.starts_with(kind)));
        let names = |map: &BTreeMap<String, Value>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&chart), names(&declared), "{seats}");
        for (name, object) in declared {
            assert_eq!(chart.get(&name), Some(&object), "{seats}: {name}");
        }
    }
}

#[test]
fn pods_run_with_no_rights_on_their_node() {
    let deployments: Vec<Value> = rendered(&[]).into_iter().filter(|o| o["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["capabilities"]["drop"][0], "ALL");
    }
}

#[test]
fn the_webhook_alone_gets_the_client_authorities() {
    let check = |object: &str, source: &str| {
        let set = format!("webhook.clientCa.{object}=door,webhook.clientCa.key=door.crt,webhook.clientCa.name=api");
        let deployments = rendered(&["--set", &set]).into_iter().filter(|o| o["kind"] == "Deployment");
        for deployment in deployments {
            let pod = &deployment["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            let value = |name: &str| {
                let variables = container["env"].as_array().expect("variables");
                variables.iter().find(|v| v["name"] == name).map(|v| v["value"].clone())
            };
            let is_webhook = container["args"][0] == "webhook";
            let path = is_webhook.then(|| "/etc/miax/client-ca/door.crt".into());
            assert_eq!((value("MIAX_CLIENT_CA"), value("MIAX_CLIENT_NAME")), (path, is_webhook.then(|| "api".into())));
            assert_eq!(pod.pointer(source) == Some(&"door".into()), is_webhook);
            assert_eq!(container["volumeMounts"][0]["mountPath"] == "/etc/miax/client-ca", is_webhook);
        }
    };
    check("configMap", "/volumes/0/configMap/name");
    check("secret", "/volumes/0/secret/secretName");
    let plain = rendered(&[]).into_iter().any(|o| o.to_string().contains("MIAX_CLIENT_CA"));
    assert!(!plain, "nothing is asked for by default");
}

const MEMBER: &str = "https://w1.example:7380+witness.example/w1+567cde09+BG56HN0psLeP0Tr0xVmP7/TvKpcWbjym8uT7/M2AUFvx";

#[test]
fn both_roles_get_the_policy_for_witnesses() {
    let set =
        format!("witnesses.members={{{MEMBER}}},witnesses.mode=require,witnesses.quorum=1,witnesses.ports={{7380}}");
    let objects = rendered(&[
        "--set",
        &set,
        "--set",
        "witnesses.ca.configMap=own-ca,witnesses.maxAge=2m,webhook.clientCa.secret=door",
    ]);
    for deployment in objects.iter().filter(|o| o["kind"] == "Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let variables = container["env"].as_array().expect("variables");
        let value = |name: &str| variables.iter().find(|v| v["name"] == name).and_then(|v| v["value"].as_str());
        assert_eq!((value("MIAX_WITNESSES"), value("MIAX_WITNESS_QUORUM")), (Some(MEMBER), Some("1")));
        assert_eq!((value("MIAX_WITNESS_MODE"), value("MIAX_WITNESS_MAX_AGE")), (Some("require"), Some("2m")));
        assert_eq!(value("MIAX_WITNESS_CA"), Some("/etc/miax/witness-ca/ca.crt"));
        let of = |list: &Value, name: &str| list.as_array().expect("a list").iter().any(|v| v["name"] == name);
        for name in ["client-ca", "witness-ca"] {
            let expected = name == "witness-ca" || container["args"][0] == "webhook";
            assert_eq!(of(&container["volumeMounts"], name), expected, "{name}");
            assert_eq!(of(&pod["volumes"], name), expected, "{name}");
        }
    }
    let policy = objects.iter().find(|o| o["kind"] == "NetworkPolicy").expect("a NetworkPolicy").to_string();
    assert!(policy.contains("7380"), "{policy}");
    let plain = rendered(&[]).into_iter().any(|o| o.to_string().contains("MIAX_WITNESS"));
    assert!(!plain, "nobody is asked by default");
}

#[test]
fn replicas_reach_each_other_and_only_webhooks_take_proposals() {
    let objects = rendered(&[]);
    for deployment in objects.iter().filter(|o| o["kind"] == "Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().expect("variables");
        let variable = |name: &str| variables.iter().find(|v| v["name"] == name);
        let is_webhook = container["args"][0] == "webhook";
        let listen = variable("MIAX_PEER_LISTEN").map(|v| v["value"].clone());
        assert_eq!(listen, is_webhook.then(|| "0.0.0.0:9444".into()));
        let ip = variable("MIAX_PEER_IP").map(|v| v["valueFrom"]["fieldRef"]["fieldPath"].clone());
        assert_eq!(ip, is_webhook.then(|| "status.podIP".into()));
        assert_eq!(container["ports"].to_string().contains("9444"), is_webhook);
    }
    let policy = objects.iter().find(|o| o["kind"] == "NetworkPolicy").expect("a policy");
    let ours = serde_json::json!([{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "miax"}}}]);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let rules = policy["spec"][direction].as_array().expect("rules");
        let of: Vec<_> = rules.iter().filter(|r| r["ports"].to_string().contains("9444")).collect();
        assert_eq!(of.len(), 1, "{direction}");
        assert_eq!(of[0][peers], ours, "{direction}: from our own pods and to them alone");
    }
}

#[test]
fn the_controller_alone_gets_the_archives() {
    let set = "controller.archives[0].name=cold,controller.archives[0].claim=one,controller.archives[1].name=far,controller.archives[1].claim=two";
    for deployment in rendered(&["--set", set]).into_iter().filter(|o| o["kind"] == "Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let is_controller = container["args"][0] == "controller";
        let variables = container["env"].as_array().expect("variables");
        let told = variables.iter().find(|v| v["name"] == "MIAX_ARCHIVES").map(|v| v["value"].clone());
        let places = "cold=file:///var/lib/miax/archives/cold,far=file:///var/lib/miax/archives/far";
        assert_eq!(told, is_controller.then(|| places.into()));
        let mounted = container["volumeMounts"][1]["mountPath"].as_str();
        assert_eq!(mounted, is_controller.then_some("/var/lib/miax/archives/far"));
        let claim = pod["volumes"][1]["persistentVolumeClaim"]["claimName"].as_str();
        assert_eq!(claim, is_controller.then_some("two"));
    }
    let set = "controller.archives[0].name=far,controller.archives[0].url=s3://bucket/eu,controller.archiveSecret=keys";
    for deployment in rendered(&["--set", set]).into_iter().filter(|o| o["kind"] == "Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let is_controller = container["args"][0] == "controller";
        let variables = container["env"].as_array().expect("variables");
        let told = variables.iter().find(|v| v["name"] == "MIAX_ARCHIVES").map(|v| v["value"].clone());
        assert_eq!(told, is_controller.then(|| "far=s3://bucket/eu".into()));
        let secret = container.pointer("/envFrom/0/secretRef/name").and_then(Value::as_str);
        assert_eq!((secret, container["volumeMounts"].is_null()), (is_controller.then_some("keys"), true));
    }
}

#[test]
fn the_controller_alone_prunes_where_it_is_told_to() {
    let set = format!("seats={{SRE}}{PRUNES}");
    for deployment in rendered(&["--set", &set]).into_iter().filter(|o| o["kind"] == "Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let is_controller = container["args"][0] == "controller";
        let variables = container["env"].as_array().expect("variables");
        let told = |name: &str| variables.iter().find(|v| v["name"] == name).and_then(|v| v["value"].as_str());
        let expected = is_controller.then_some(("true", "9"));
        assert_eq!(told("MIAX_PRUNE").zip(told("MIAX_KEEP_BLOCKS")), expected);
    }
    let plain = rendered(&[])
        .into_iter()
        .any(|o| o.to_string().contains("MIAX_PRUNE") || o.to_string().contains("miax-pruner"));
    assert!(!plain, "nothing is deleted by default");
}

#[test]
fn the_controller_alone_asks_prometheus() {
    let url = "controller.prometheus.url=https://p.example:9091/x,controller.prometheus.ports={9091}";
    let files = "controller.prometheus.ca.configMap=own,controller.prometheus.clientSecret=us";
    let objects = rendered(&["--set", &format!("{url},{files},controller.prometheus.token.audience=prom")]);
    for deployment in objects.iter().filter(|o| o["kind"] == "Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let is_controller = container["args"][0] == "controller";
        let variables = container["env"].as_array().expect("variables");
        let check = |name: &str, expected: &str| {
            let found = variables.iter().find(|v| v["name"] == name).and_then(|v| v["value"].as_str());
            assert_eq!(found, is_controller.then_some(expected), "{name}");
        };
        check("MIAX_PROMETHEUS_URL", "https://p.example:9091/x");
        check("MIAX_PROMETHEUS_CA", "/etc/miax/prometheus/ca.crt");
        check("MIAX_PROMETHEUS_CERT", "/etc/miax/prometheus/tls.crt");
        check("MIAX_PROMETHEUS_KEY", "/etc/miax/prometheus/tls.key");
        check("MIAX_PROMETHEUS_TOKEN_FILE", "/etc/miax/prometheus/token");
        assert_eq!(container["volumeMounts"][0]["mountPath"] == "/etc/miax/prometheus", is_controller);
        let sources = pod.pointer("/volumes/0/projected/sources").and_then(Value::as_array).map(Vec::len);
        assert_eq!(sources, is_controller.then_some(3));
    }
    let policy = objects.iter().find(|o| o["kind"] == "NetworkPolicy").expect("a NetworkPolicy").to_string();
    assert!(policy.contains("9091"), "{policy}");
    let secret = format!("{url},controller.prometheus.token.secret=t,controller.prometheus.allowHttp=true");
    let all = rendered(&["--set", &secret]).into_iter().map(|o| o.to_string()).collect::<String>();
    assert!(all.contains("MIAX_PROMETHEUS_ALLOW_HTTP") && all.contains(r#"{"key":"token","path":"token"}"#), "{all}");
    let plain = rendered(&[]).into_iter().any(|o| o.to_string().contains("MIAX_PROMETHEUS"));
    assert!(!plain, "nobody is asked by default");
}

#[test]
fn wrong_values_are_refused() {
    let check = |more: &[&str], part: &str| {
        let fixed = ["template", "miax", "charts/miax", "--namespace", "miax-system"];
        let (ok, _, errors) = helm(&[&fixed[..], more].concat());
        assert!(!ok && errors.contains(part), "{more:?}: {errors}");
    };
    check(&["--set", "typo=1"], "typo");
    check(&["--set", "webhook.replica=1"], "replica");
    check(&["--set", "genesis=abc"], "genesis");
    check(&["--set", "seats={}"], "seats");
    check(&["--set", "auditPeriod=1"], "auditPeriod");
    check(&["--set", "webhook.clientCa.path=/x"], "path");
    check(&["--set", "controller.clientCa.configMap=x"], "clientCa");
    check(&["--set", "webhook.clientCa.configMap=A_B"], "configMap");
    check(&["--set", "webhook.clientCa.configMap=a,webhook.clientCa.secret=b"], "not both");
    check(&["--set", "controller.prune.enabled=true"], "two controller.archives");
    let mode = format!("seats={{SRE}}{PRUNES},witnesses.mode=off");
    check(&["--set", &mode], "witnesses");
    check(&["--set", "controller.prune.keepBlocks=0"], "keepBlocks");
    check(&["--set", "controller.archives[0].name=A,controller.archives[0].claim=a"], "name");
    check(&["--set", "controller.archives[0].name=a"], "claim");
    check(&["--set", "controller.archives[0].name=a,controller.archives[0].url=ftp://x"], "url");
    check(
        &["--set", "controller.archives[0].name=a,controller.archives[0].claim=a,controller.archives[0].url=s3://x"],
        "oneOf",
    );
    check(&["--set", "webhook.clientCa.name=a"], "says nothing without");
    check(&["--set", "witnesses.members={https://w1.example}"], "members");
    check(&["--set", "witnesses.mode=always"], "mode");
    check(&["--set", "witnesses.maxAge=5"], "maxAge");
    check(&["--set", "witnesses.url=x"], "url");
    check(&["--set", "witnesses.mode=require"], "nothing could ever be allowed");
    check(&["--set", &format!("witnesses.members={{{MEMBER}}},witnesses.quorum=2")], "larger than the number");
    check(&["--set", "controller.prometheus.url=https://me:secret@p.example"], "url");
    check(&["--set", "controller.prometheus.token.secret=t"], "says nothing without");
    let both = "controller.prometheus.token.audience=a,controller.prometheus.token.secret=t";
    check(&["--set", &format!("controller.prometheus.url=https://p.example,{both}")], "not both");
    check(&["--set", "monitoring.podMonitor.interval=often"], "interval");
    let both = "monitoring.podMonitor.enabled=true,monitoring.serviceMonitor.enabled=true";
    check(&["--set", both], "a podMonitor or a serviceMonitor, not both");
    check(&["--namespace", "elsewhere"], "install into the namespace miax-system");
}
