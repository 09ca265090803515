//! A webhook in this process that gates many workloads under many objectives. Its ledger is in memory, and its API server is a
//! socket that counts what it is asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use kube::{Client, Config};
use miax::admission::{Doubts, ObjectiveCache, Salts, Snapshot, Webhook, WorkloadCache};
use miax::constitution::{BudgetVerdict, Facts, Manifest, ObjectRef, Proposal, Reply, SloVerdictEvent, TargetFact};
use miax::ledger::{BlockParts, Head, LogTrust};
use miax::store::{BlockStore, CreateError, Health, Ledger, ReadError, Sequencer, StoreEvent, WriterSource, held};
use miax::telemetry::Metrics;
use miax::trust::{NoteSigner, Verb, canonical_json, signed_view};
use miax::units::{BlockNumber, Digest, UnixMillis};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::org::{CLUSTER, NOW, Org};

/// How much there is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Namespaces; every tenth is frozen.
    pub namespaces: usize,
    /// Objectives in each; the budget of every tenth is spent, and that of every tenth nobody knows.
    pub objectives: usize,
    /// Workloads that each of them binds.
    pub workloads: usize,
}

/// The webhook and what it stands on.
pub struct Place {
    pub webhook: Webhook,
    pub ledger: Ledger,
    /// What the webhook asks the API server with.
    pub client: Client,
    asked: Arc<AtomicUsize>,
    /// The sequencer ends when it is dropped.
    pub kept: mpsc::Sender<StoreEvent>,
}

/// Blocks in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<u64, BlockParts>>>);

impl BlockStore for Memory {
    async fn create(&self, _: u16, number: BlockNumber, parts: &BlockParts) -> Result<(), CreateError> {
        self.0.lock().expect("nobody panicked").insert(number.0, parts.clone());
        Ok(())
    }

    async fn read(&self, _: u16, number: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(self.0.lock().expect("nobody panicked").get(&number.0).cloned())
    }
}

impl Size {
    /// Every workload, as namespace, objective and number.
    pub fn each(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Self { namespaces, objectives, workloads } = self;
        (0..namespaces * objectives * workloads)
            .map(move |i| (i / (objectives * workloads), i / workloads % objectives, i % workloads))
    }

    fn objectives(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.namespaces * self.objectives).map(move |i| (i / self.objectives, i % self.objectives))
    }
}

/// Whether nothing may change in a namespace.
pub fn is_frozen(namespace: usize) -> bool {
    namespace % 10 == 9
}

/// What is known of the budget of an objective.
pub fn known(objective: usize) -> BudgetVerdict {
    match objective % 10 {
        1 => BudgetVerdict::Exhausted,
        2 => BudgetVerdict::Unknown,
        _ => BudgetVerdict::Met,
    }
}

/// Whether nothing stands against a change.
pub fn passes((namespace, objective, _): (usize, usize, usize)) -> bool {
    !is_frozen(namespace) && known(objective) == BudgetVerdict::Met
}

pub fn namespace(number: usize) -> String {
    format!("team-{number}")
}

pub fn workload(objective: usize, number: usize) -> String {
    format!("service-{objective}-{number}")
}

impl Place {
    /// Everything set, measured and cached.
    pub async fn prepare(size: Size) -> Self {
        let org = Org::new();
        let key = NoteSigner::try_new("gate.test", &[1; 32]).expect("name");
        let head = Head::genesis(LogTrust { origin: "gate.test".into(), epoch: 0, key: key.verifier() });
        let writers = WriterSource { log_keys: held(key), replica: "gate".into(), seed: Arc::new(|| [3; 32]) };
        let clock = Arc::new(|| UnixMillis(u64::try_from(NOW.get()).expect("after 1970") * 1000));
        let (sequencer, ledger, input) = Sequencer::new(Memory::default(), head, None, writers, clock.clone());
        let (events, inbox) = mpsc::channel(4);
        tokio::spawn(sequencer.run(input, inbox));
        for event in [StoreEvent::ListBegins, StoreEvent::ListEnds] {
            events.send(event).await.expect("runs");
        }
        ledger.changes().wait_for(|view| view.health == Health::Whole).await.expect("runs");

        let genesis = Manifest::read(&org.charter).expect("a charter").document.digest;
        done(&ledger, Proposal::Adopt(Box::new(org.charter.clone())), Some(genesis)).await;
        let mut objects = Vec::new();
        for (space, number) in size.objectives() {
            let object = objective(&org, (space, number), size.workloads);
            done(&ledger, Proposal::SetObjective(Box::new(object.clone())), None).await;
            done(&ledger, Proposal::Verdict(Box::new(verdict(&object, known(number)))), None).await;
            objects.push(with_status(object));
        }
        for space in (0..size.namespaces).filter(|space| is_frozen(*space)) {
            done(&ledger, Proposal::Enact(Box::new(freeze(&org, space))), None).await;
        }

        let asked = Arc::new(AtomicUsize::new(0));
        let lists = lists(size, objects);
        let kinds = lists.len();
        let client = api_server(lists, asked.clone()).await;
        let caches = (WorkloadCache::start(&client), ObjectiveCache::start(client.clone()));
        let snapshot = Arc::new(Snapshot::new(caches.0, caches.1, CLUSTER.into(), Some(genesis), clock));
        // A list and a watch of each kind.
        while !snapshot.is_fresh() || asked.load(Ordering::SeqCst) < 2 * kinds {
            tokio::task::yield_now().await;
        }
        let salts = Salts::new(Arc::new(|| Some([5; 32])), None);
        let webhook = Webhook::new(ledger.clone(), snapshot, Arc::new(Metrics::try_new().expect("metrics")), salts);
        Self { webhook, ledger, client, asked, kept: events }
    }

    /// The same with what may be said against the ledger.
    pub fn with_doubts(self, doubts: Doubts) -> Self {
        Self { webhook: self.webhook.with_doubts(doubts), ..self }
    }

    /// Requests that the API server has got.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Appends what must be allowed.
pub async fn done(ledger: &Ledger, proposal: Proposal, genesis: Option<Digest>) {
    let (cluster_uid, target) = (CLUSTER.to_owned(), TargetFact::NotNamed);
    let facts = Facts { now: *NOW, cluster_uid, genesis, target, budgets: Vec::new() };
    match ledger.append(proposal, facts).await.expect("appended").reply {
        Reply::Judged(decision) => panic!("{}", decision.message()),
        Reply::Done | Reply::Passed | Reply::Begin(_) | Reply::JudgedBefore(..) => {}
    }
}

fn objective(org: &Org, (space, number): (usize, usize), workloads: usize) -> Value {
    let bound = (0..workloads).map(|w| json!({"kind": "Deployment", "name": workload(number, w)}));
    let counted = |what: &str| format!("http_{what}_total{{job=\"{}-{number}\"}}", namespace(space));
    let mut object = json!({
        "apiVersion": "miax.dev/v1alpha1", "kind": "SLO",
        "metadata": {"name": format!("availability-{number}"), "namespace": namespace(space), "uid": format!("{space}-{number}")},
        "spec": {
            "audience": ["test"], "version": 1, "expiresAt": "2026-12-20T00:00:00Z", "objective": "99.9",
            "indicator": {"ratio": {"bad": counted("errors"), "total": counted("requests")}},
            "window": {"rolling": "30d"}, "gate": {"workloads": bound.collect::<Vec<_>>()}, "signatures": [],
        },
    });
    org.sign(&mut object, "tina", Verb::Author, "CTK");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    object
}

/// Digest of what is signed.
pub fn digest(object: &Value) -> Digest {
    signed_view(object).expect("canonical").digest()
}

fn verdict(object: &Value, verdict: BudgetVerdict) -> SloVerdictEvent {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    SloVerdictEvent {
        object: ObjectRef { kind: "SLO".into(), namespace: text("/metadata/namespace"), name: text("/metadata/name") },
        digest: digest(object),
        verdict,
        spent: (verdict == BudgetVerdict::Exhausted).then_some(*NOW),
        message: "measured".into(),
        now: *NOW,
    }
}

/// As the controller leaves it after a measurement; one template is known to have run well.
fn with_status(mut object: Value) -> Value {
    let ran = template(1);
    let name = &object["spec"]["gate"]["workloads"][0]["name"];
    let healthy = json!({"kind": "Deployment", "name": name, "template": digest_of(&ran), "seen": NOW.to_string()});
    object["status"] = json!({
        "digest": digest(&object), "evaluatedAt": NOW.to_string(), "intervalSeconds": 300, "verdict": "Met",
        "healthy": [healthy], "burn": [], "conditions": [],
    });
    object
}

/// Digest of a pod template.
pub fn digest_of(template: &Value) -> Digest {
    canonical_json(template).expect("canonical").digest()
}

fn freeze(org: &Org, space: usize) -> Value {
    let mut object = json!({
        "apiVersion": "miax.dev/v1alpha1", "kind": "ControlCommand",
        "metadata": {"name": "freeze", "namespace": namespace(space)},
        "spec": {
            "audience": ["test"], "action": {"type": "Freeze", "freeze": {}}, "impact": "Normal", "reason": "audit",
            "expiresAt": "2026-11-24T12:00:00Z", "signatures": [],
        },
    });
    org.sign(&mut object, "tina", Verb::Author, "CTK");
    org.sign(&mut object, "alma", Verb::Approve, "ALPHA");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    object
}

/// A pod template as they are: some kilobytes, of which the image is what changes.
pub fn template(tag: usize) -> Value {
    let env =
        (0..40).map(|i| json!({"name": format!("SETTING_{i}"), "value": format!("value-{i}.internal.example:80{i}")}));
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3});
    json!({
        "metadata": {"labels": {"app": "service", "team": "shop"}, "annotations": {"prometheus.io/scrape": "true"}},
        "spec": {
            "containers": [{
                "name": "app", "image": format!("registry.example/team/service:{tag}"), "env": env.collect::<Vec<_>>(),
                "readinessProbe": probe, "livenessProbe": probe,
                "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": {"runAsNonRoot": true, "readOnlyRootFilesystem": true},
            }],
            "serviceAccountName": "service", "terminationGracePeriodSeconds": 30,
        },
    })
}

/// Who most changes come from.
pub const SYNCER: &str = "system:serviceaccount:argocd:argocd-application-controller";

/// The question of the API server when somebody brings a Deployment from one image to another.
pub fn review((space, number, of): (usize, usize, usize), before: usize, after: usize, actor: &str) -> Vec<u8> {
    let name = workload(number, of);
    let object = |tag: usize| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace(space)},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "service"}}, "template": template(tag)},
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": format!("{space}-{number}-{of}-{after}"), "operation": "UPDATE", "name": name, "namespace": namespace(space),
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "userInfo": {"username": actor},
            "object": object(after), "oldObject": object(before),
        },
    })
    .to_string()
    .into_bytes()
}

/// What the API server lists, by path.
fn lists(size: Size, objectives: Vec<Value>) -> HashMap<String, Value> {
    let list = |api: &str, kind: &str, items: Vec<Value>| json!({"apiVersion": api, "kind": format!("{kind}List"), "metadata": {"resourceVersion": "7"}, "items": items});
    let named = |(space, number, of): (usize, usize, usize)| {
        let (namespace, name) = (namespace(space), workload(number, of));
        json!({"metadata": {"name": name, "namespace": namespace, "uid": format!("{space}-{number}-{of}"), "generation": 1,
            "resourceVersion": "5"}})
    };
    HashMap::from([
        ("/apis/apps/v1/deployments".to_owned(), list("apps/v1", "Deployment", size.each().map(named).collect())),
        ("/apis/apps/v1/statefulsets".to_owned(), list("apps/v1", "StatefulSet", Vec::new())),
        ("/apis/apps/v1/daemonsets".to_owned(), list("apps/v1", "DaemonSet", Vec::new())),
        ("/apis/miax.dev/v1alpha1/slos".to_owned(), list("miax.dev/v1alpha1", "SLO", objectives)),
    ])
}

/// A server that lists this, watches in silence, and counts what it is asked; and a client of it.
async fn api_server(lists: HashMap<String, Value>, asked: Arc<AtomicUsize>) -> Client {
    let lists = Arc::new(lists);
    let answer = move |request: Request| {
        asked.fetch_add(1, Ordering::SeqCst);
        let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let list = lists.get(request.uri().path()).cloned();
        async move {
            match (list, watch) {
                (Some(_), true) => {
                    Response::new(Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>()))
                }
                (Some(list), false) => Response::new(Body::from(list.to_string())),
                (None, _) => axum::http::StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, service).await });
    Client::try_from(Config::new(format!("http://{address}").parse().expect("a url"))).expect("a client")
}
