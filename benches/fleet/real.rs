//! One objective in a real Prometheus: from the first bad event to the refusal.

use std::time::{Duration, Instant};

use miax::units::Seconds;
use miax_cluster::{Exporter, Prometheus, eventually_within};
use tokio::runtime::Runtime;

use crate::place::{Place, objective};
use crate::{Row, seconds};

const RESOLUTION: Seconds = Seconds(10);
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn rows() -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let exporter = Exporter::start().expect("an exporter");
    let prometheus = Prometheus::builder()
        .target(exporter.address())
        .argument("--enable-feature=auto-reload-config")
        .argument("--config.auto-reload-interval=1s")
        .start()
        .expect("a Prometheus");
    let mut place = runtime.block_on(Place::prepare());
    let rules = format!("--slo-rules={}", prometheus.directory().join("rules").display());
    place.measure_with(prometheus.url(), RESOLUTION, &[rules]);
    let object = objective(0, "http_requests_total{code=\"500\"}", "http_requests_total", "1h");
    runtime.block_on(place.accept(vec![object]));
    let met = || {
        exporter.serve(1000, 0);
        place.refusal().is_none().then_some(())
    };
    assert!(eventually_within(PATIENCE, met).is_some(), "{}", place.stage.controller.log());
    let failed = Instant::now();
    exporter.serve(0, 100_000);
    let stopped = eventually_within(PATIENCE, || place.is_stopped().then(|| failed.elapsed())).expect("it stops");
    let limit = Duration::from_secs(RESOLUTION.0 * 2 + 10);
    let what = format!("real Prometheus, rules every {RESOLUTION}: from the first bad event to the refusal");
    vec![Row::new(what, seconds(stopped), format!("<= {} s", limit.as_secs()), stopped <= limit)]
}
