//! The closed loop on a real Prometheus: a budget burns, deployments stop, a plan lets one pass, the budget recovers, and all of it is
//! in the ledger.

use std::time::Duration;

use miax_cluster::{Exporter, Output, Prometheus, eventually_within};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::gate::opt_in;
use crate::support::{OWNERS, accepts, entries, objective_with, sign_all, stage, takes_effect};

const SHOP: &str = "shop";
/// How long a verdict may take: some rounds of two seconds, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);

struct Loop {
    exporter: Exporter,
    prometheus: Prometheus,
    stage: Stage,
}

impl Loop {
    /// A cluster with a Deployment, a Prometheus that scrapes its service, and an objective for it.
    fn start() -> Self {
        let exporter = Exporter::start().expect("an exporter");
        let prometheus = Prometheus::builder()
            .target(exporter.address())
            .argument("--enable-feature=auto-reload-config")
            .argument("--config.auto-reload-interval=1s")
            .start()
            .expect("a Prometheus");
        let mut stage = stage();
        opt_in(&stage);
        let rules = prometheus.directory().join("rules").display().to_string();
        let flags = ["--prometheus-url", prometheus.url(), "--slo-resolution", "2s", "--slo-rules", &rules];
        stage.controller.kill();
        stage.restart_controller_with(&flags.map(str::to_owned)).expect("the controllers are ready");
        Self { exporter, prometheus, stage }
    }

    fn set_objective(&self) {
        let change = |spec: &mut Value| {
            spec["objective"] = json!("99");
            let of = |matcher: &str| format!("http_requests_total{matcher}");
            spec["indicator"] = json!({"ratio": {"bad": of("{code=\"500\"}"), "total": of("")}});
            spec["window"] = json!({"rolling": "1h"});
            spec["gate"] =
                json!({"workloads": [{"kind": "Deployment", "name": "checkout"}], "margin": "10", "dwell": "2s"});
        };
        accepts(&self.stage, &objective_with(&self.stage, "availability", change, &OWNERS));
    }

    fn slo(&self) -> Value {
        let text = self.stage.plane().kubectl().run(&["-n", SHOP, "get", "slo", "availability", "-o", "json"]);
        serde_json::from_str(&text.expect("the objective")).expect("json")
    }

    #[track_caller]
    fn wait(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let seen = eventually_within(PATIENCE, || Some(self.slo()["status"].clone()).filter(&holds));
        let (controller, prometheus) = (self.stage.controller.log(), self.prometheus.log());
        assert!(seen.is_some(), "{what}: {:#}\n{controller}\n{prometheus}", self.slo()["status"]);
        seen.unwrap_or_default()
    }

    fn wait_verdict(&self, verdict: &str) -> Value {
        self.wait(verdict, |status| status["verdict"] == verdict)
    }

    fn set_image(&self, tag: u32) -> Output {
        let image = format!("checkout=registry.example/checkout:{tag}");
        let arguments = ["-n", SHOP, "set", "image", "deployment/checkout", &image];
        self.stage.plane().kubectl().ask(&arguments, "").expect("kubectl runs")
    }

    /// Waits until the webhook answers a change like this; it learns of an entry a moment later.
    #[track_caller]
    fn wait_answer(&self, tag: u32, ok: bool) {
        let image = format!("checkout=registry.example/checkout:{tag}");
        let arguments = ["-n", SHOP, "set", "image", "deployment/checkout", &image, "--dry-run=server"];
        let ask = || self.stage.plane().kubectl().ask(&arguments, "").expect("kubectl runs");
        let seen = eventually_within(PATIENCE, || (ask().ok == ok).then_some(()));
        assert!(seen.is_some(), "{}\n{:#}", ask().stderr, self.slo()["status"]);
    }
}

/// What follows `miax draft` in a refusal's next step.
fn next_step(refusal: &str) -> Vec<String> {
    let (_, step) = refusal.split_once("miax draft ").expect("a next step");
    step.split(" --for").next().expect("words").split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_spent_budget_stops_deployments_until_a_plan_or_recovery() {
    let the = Loop::start();
    let kubectl = the.stage.plane().kubectl();
    the.set_objective();
    the.wait("the rules run", |status| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.clone().any(|c| c["type"] == "RulesLoaded" && c["status"] == "True")
    });
    the.exporter.serve(10_000, 0);
    let status = the.wait("all events are counted", |status| status["budget"]["total"] == 10_000);
    assert_eq!(status["verdict"], "Met");
    assert_eq!((&status["budget"]["remaining"], &status["budget"]["remainingEvents"]), (&json!("1"), &json!(100)));
    assert!(the.set_image(2).ok, "nothing stands against a change while something is left");
    the.wait("the new template is proven", |status| status["healthy"].as_array().is_some_and(|h| !h.is_empty()));

    // The budget of 1 % of all events is spent six times over.
    the.exporter.serve(0, 800);
    let status = the.wait_verdict("Exhausted");
    assert!(status["budget"]["remainingEvents"].as_i64().expect("a number") < 0, "{status:#}");
    the.wait_answer(3, false);
    let before = entries(&the.stage).len();
    let refused = the.set_image(3);
    for part in [
        "BudgetExhausted: SLO shop/availability (99 % over the last 1h)",
        "of the budget is left",
        "query: miax:slo_bad",
    ] {
        assert!(!refused.ok && refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(entries(&the.stage).len(), before + 1, "the refusal is an entry");
    kubectl.run(&["-n", SHOP, "scale", "deployment/checkout", "--replicas", "3"]).expect("scaling passes");
    assert!(!kubectl.ask(&["-n", SHOP, "create", "deployment", "checkout-2", "--image", "x"], "").expect("runs").ok);

    // The plan: what the refusal says is what is drafted.
    let step = next_step(&refused.stderr);
    let step: Vec<&str> = step.iter().map(String::as_str).collect();
    let fixed =
        ["--for", "1h", "--reason", "a smaller pool", "--audience", "demo", "--name", "plan", "--out", "plan.yaml"];
    the.stage.cli().run(&[&["draft"], &step[..], &fixed].concat()).expect("drafted");
    sign_all(
        &the.stage,
        "plan.yaml",
        &[("sign", "frank", "SRE"), ("approve", "alma", "ALPHA"), ("approve", "dana", "TCC")],
    );
    takes_effect(&the.stage, (SHOP, "plan"), "plan.yaml");
    let told = the.stage.cli().run(&["status"]).expect("status");
    for part in [
        "budgets  1 objectives, 0 with",
        "SLO shop/availability (99 % over the last 1h): budget SPENT since",
        "plans    1",
        "1 of 1 uses left",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    the.wait_answer(3, true);
    assert!(!the.set_image(4).ok, "another template than the plan's");
    assert!(the.set_image(3).ok, "the one named change passes");
    the.wait_answer(5, false);

    // Back to what ran well: always.
    let back = the.set_image(2);
    assert!(back.ok, "{}", back.stderr);
    assert!(!the.set_image(3).ok, "the plan is used up");

    // Events enough, and the same errors are a small share of them.
    the.exporter.serve(1_000_000, 0);
    the.wait_verdict("Met");
    the.wait_answer(6, true);
    assert!(the.set_image(6).ok, "the gate is open again");

    let all = entries(&the.stage);
    let verdicts: Vec<&str> =
        all.iter().filter(|e| e["kind"] == "slo.verdict").filter_map(|e| e["verdict"].as_str()).collect();
    assert!(verdicts.ends_with(&["Met", "Exhausted", "Met"]), "{verdicts:?}");
    let allowed = |reason: &str| {
        let of = |e: &&Value| e["verdict"] == "Allow" && e["findings"][0]["reason"] == reason;
        all.iter().filter(of).count()
    };
    assert_eq!((allowed("PlanUsed"), allowed("RolledBack")), (1, 1));
    assert_eq!(all.iter().filter(|e| e["kind"] == "slo.set").count(), 1);
    // Every one of them is judged again from its entry alone, and the objective from its document.
    let documents = the.stage.file("availability-v1.yaml");
    let replayed = the.stage.cli().ask(&["ledger", "replay", "--documents", &documents, "-o", "json"]).expect("runs");
    let replayed: Value = serde_json::from_str(&replayed.stdout).expect("json");
    assert_eq!(replayed["differ"], json!([]));
    let gated = all.iter().filter(|e| e["kind"] == "decision" && e["object"]["kind"] == "Deployment").count();
    assert!(
        replayed["same"].as_u64() >= u64::try_from(gated + 2).ok(),
        "{gated} changes, slo.set and its decision: {replayed}"
    );
}

#[test]
fn without_its_prometheus_nobody_knows_and_a_spent_budget_stays_spent() {
    let mut the = Loop::start();
    the.set_objective();
    the.exporter.serve(10_000, 0);
    the.wait_verdict("Met");
    the.prometheus.stop();
    let status = the.wait_verdict("Unknown");
    assert!(status["message"].as_str().is_some_and(|m| m.contains("Prometheus does not answer")), "{status:#}");
    the.wait_answer(2, false);
    assert!(the.set_image(2).stderr.contains("BudgetUnknown"));
    the.prometheus.start_again().expect("it starts");
    the.wait_verdict("Met");
    the.wait_answer(2, true);
    the.exporter.serve(0, 1000);
    the.wait_verdict("Exhausted");
    the.prometheus.stop();
    the.wait_verdict("Unknown");
    the.wait_answer(2, false);
    assert!(the.set_image(2).stderr.contains("BudgetExhausted"), "a time without data forgives nothing");
}
