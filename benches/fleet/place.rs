//! Where it is measured: a control plane with Miax, and objectives that people signed.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config};
use miax::api::GovernedKind;
use miax::api::v1alpha1::{Slo, SloStatus};
use miax::slo::rules::{Group, render};
use miax::slo::{Resolution, SloName};
use miax::trust::{SigningKey, Statement, Subject, Verb, signed_view};
use miax::units::{Seconds, UnixMillis, UnixSeconds};
use miax_cluster::ControlPlane;
use miax_stage::{Binaries, Options, Stage};
use serde_json::{Value, json};

use crate::prometheus_rules::prometheus_rules;

/// Objects that are sent at once.
const AT_ONCE: usize = 32;
/// Namespaces that the objectives are spread over.
const NAMESPACES: usize = 50;

/// The place.
pub(crate) struct Place {
    pub(crate) stage: Stage,
    pub(crate) client: Client,
}

pub(crate) fn now() -> UnixMillis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    UnixMillis(u64::try_from(now.as_millis()).expect("a time"))
}

impl Place {
    /// A cluster whose charter is in force, with namespaces that opted in and a Deployment in the first.
    pub(crate) async fn prepare() -> Self {
        let options = Options {
            binaries: Binaries {
                miax: env!("CARGO_BIN_EXE_miax").into(),
                operator: env!("CARGO_BIN_EXE_miax-operator").into(),
            },
            plane: ControlPlane::builder(),
            webhook_arguments: Vec::new(),
            common_arguments: Vec::new(),
        };
        let stage = Stage::raise(options).expect("the stage is up");
        stage.adopt_charter().expect("the charter is in force");
        let kubectl = stage.plane().kubectl();
        let spaces: Vec<Value> = (0..NAMESPACES)
            .map(|n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n), "labels": {"miax.dev/gate": "enabled"}}}))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": spaces});
        kubectl.run_with(&["apply", "--server-side", "-f", "-"], &list.to_string()).expect("namespaces");
        let rules = prometheus_rules().to_string();
        kubectl.run_with(&["create", "-f", "-"], &rules).expect("the kind that rules are put into");
        let space = namespace(0);
        let deployment = ["-n", &space, "create", "deployment", "service-0", "--image", "registry.example/service:1"];
        kubectl.run(&deployment).expect("a deployment");
        let file = Kubeconfig::read_from(stage.plane().kubeconfig()).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a config");
        Self { client: Client::try_from(config).expect("a client"), stage }
    }

    /// Starts the controllers anew, with this Prometheus.
    pub(crate) fn measure_with(&mut self, url: &str, resolution: Seconds, more: &[String]) {
        self.stage.controller.terminate();
        let flags = [format!("--prometheus-url={url}"), format!("--slo-resolution={resolution}")];
        self.stage.restart_controller_with(&[&flags, more].concat()).expect("the controllers are ready");
    }

    /// Signs these and sends them to the API server.
    pub(crate) async fn accept(&self, objectives: Vec<Value>) {
        let key = |name: &str| {
            let text = std::fs::read_to_string(self.stage.file(name)).expect("a key");
            Arc::new(SigningKey::read(&text, None).expect("a key"))
        };
        let (author, reviewer) = (key("tina"), key("frank"));
        let create = |mut object: Value| {
            sign(&mut object, &author, ("tina", Verb::Author, "CTK"));
            sign(&mut object, &reviewer, ("frank", Verb::Approve, "SRE"));
            let object: Slo = serde_json::from_value(object).expect("an objective");
            let api =
                Api::<Slo>::namespaced(self.client.clone(), object.metadata.namespace.as_deref().expect("a namespace"));
            async move { api.create(&PostParams::default(), &object).await.map(drop) }
        };
        let sent = futures::stream::iter(objectives).map(create).buffer_unordered(AT_ONCE);
        sent.try_for_each(|()| async { Ok(()) }).await.expect("accepted");
    }

    /// The status of every objective that has one.
    pub(crate) async fn statuses(&self) -> Vec<SloStatus> {
        let api = Api::<Slo>::all(self.client.clone());
        let mut page = ListParams::default().limit(500);
        let mut statuses = Vec::new();
        loop {
            let list = api.list(&page).await.expect("a list");
            statuses.extend(list.items.into_iter().filter_map(|slo| slo.status));
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return statuses,
            }
        }
    }

    /// The verdict in the status of the first objective.
    pub(crate) async fn verdict_of_first(&self) -> Option<String> {
        let api = Api::<Slo>::namespaced(self.client.clone(), &namespace(0));
        api.get(&name_of(0)).await.expect("an objective").status?.verdict
    }

    /// How many objects with rules there are.
    pub(crate) async fn rules(&self) -> usize {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PrometheusRule"));
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &kind);
        api.list_metadata(&ListParams::default()).await.expect("a list").items.len()
    }

    /// What the webhook says to a change of the Deployment of the first objective: `None` when it passes.
    pub(crate) fn refusal(&self) -> Option<String> {
        let (space, image) = (namespace(0), "service=registry.example/service:2");
        let arguments = ["-n", &space, "set", "image", "deployment/service-0", image, "--dry-run=server"];
        let answer = self.stage.plane().kubectl().ask(&arguments, "").expect("kubectl runs");
        (!answer.ok).then_some(answer.stderr)
    }

    /// Whether the webhook refuses such a change because the budget is spent; that nobody knows it is another reason.
    pub(crate) fn is_stopped(&self) -> bool {
        self.refusal().is_some_and(|message| message.contains("BudgetExhausted: "))
    }
}

fn name_of(number: usize) -> String {
    format!("availability-of-service-{number}")
}

fn namespace(number: usize) -> String {
    format!("team-{}", number % NAMESPACES)
}

/// An objective without signatures, for a Deployment of its own.
pub(crate) fn objective(number: usize, bad: &str, total: &str, window: &str) -> Value {
    let until = UnixSeconds::from(now()).plus(Seconds(86_400));
    json!({
        "apiVersion": "miax.dev/v1alpha1", "kind": "SLO",
        "metadata": {"name": name_of(number), "namespace": namespace(number)},
        "spec": {
            "audience": ["demo"], "version": 1, "expiresAt": until.to_string(), "objective": "99.9",
            "indicator": {"ratio": {"bad": bad, "total": total}}, "window": {"rolling": window},
            "gate": {"workloads": [{"kind": "Deployment", "name": format!("service-{number}")}]}, "signatures": [],
        },
    })
}

/// The rules of an objective.
pub(crate) fn group(object: &Value, resolution: Resolution) -> Group {
    let text = |field: &str| object["metadata"][field].as_str().expect("text");
    let name = SloName::try_new(text("namespace"), text("name")).expect("a name");
    let slo = serde_json::from_value(object["spec"].clone()).expect("a spec");
    render(&name, &miax::slo::Slo::try_from(&slo).expect("an objective"), resolution).expect("rules")
}

fn sign(object: &mut Value, key: &SigningKey, (name, verb, seat): (&str, Verb, &str)) {
    let text = |field: &str| object["metadata"][field].as_str().expect("text").to_owned();
    let subject = Subject::new(GovernedKind::Slo.plural(), &text("namespace"), &text("name"));
    let audience = ["demo".to_owned()];
    let (digest, at) = (signed_view(object).expect("canonical").digest(), UnixSeconds::from(now()));
    let statement = Statement {
        subject: &subject,
        digest,
        verb,
        seat,
        principal: name,
        audience: &audience,
        signed_at: at,
        comment: None,
    };
    let (format, value) = key.sign(&statement.signed_bytes().expect("bytes")).expect("signed");
    let signature = json!({
        "principal": name, "verb": verb.as_str(), "seat": seat, "signedAt": at.to_string(),
        "key": key.public().expect("public").id().as_str(), "format": format.as_str(), "value": value,
    });
    object["spec"]["signatures"].as_array_mut().expect("signatures").push(signature);
}
