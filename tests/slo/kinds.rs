//! What each kind of indicator counts, what is not counted, and when alerts fire.

use miax::slo::Resolution;
use serde_json::Value;

use super::fleet::SCRAPE;
use super::promtool::{Case, check_case};
use super::{group, samples};

const END: u64 = 2 * 3600;

fn sample(name: &str) -> Value {
    samples().into_iter().find(|(file, _)| file == name).expect("the sample").1
}

/// Lets a sample count series over two hours.
#[track_caller]
fn check(object: &Value, series: &[(&str, &str)], one: &[&str], nothing: &[&str], alerts: &[(&'static str, bool)]) {
    let text = |t: &&str| (*t).to_owned();
    let case = Case {
        interval: SCRAPE,
        resolution: 300,
        series: series.iter().map(|(name, values)| (text(name), text(values))).collect(),
        at: END,
        one: one.iter().map(text).collect(),
        nothing: nothing.iter().map(text).collect(),
        alerts: alerts.to_vec(),
    };
    check_case(&[group(object, Resolution::DEFAULT)], &case);
}

#[test]
fn a_histogram_counts_what_is_slower_than_its_bucket() {
    check(
        &sample("slo-latency.yaml"),
        &[
            (r#"http_request_duration_seconds_count{job="checkout",instance="a"}"#, "0+10x480"),
            (r#"http_request_duration_seconds_bucket{job="checkout",instance="a",le="0.3"}"#, "0+9x480"),
            (r#"http_request_duration_seconds_bucket{job="checkout",instance="a",le="+Inf"}"#, "0+10x480"),
        ],
        &[
            "sum(sum_over_time(miax:slo_bad:increase[1h]) == bool 240)",
            "sum(sum_over_time(miax:slo_total:increase[1h]) == bool 2400)",
        ],
        &["miax:slo_bad:window"],
        &[("MiaxErrorBudgetBurning", true), ("MiaxSloAbsent", false)],
    );
}

#[test]
fn a_histogram_without_the_bucket_says_nothing() {
    check(
        &sample("slo-latency.yaml"),
        &[
            (r#"http_request_duration_seconds_count{job="checkout",instance="a"}"#, "0+10x480"),
            (r#"http_request_duration_seconds_bucket{job="checkout",instance="a",le="0.25"}"#, "0+9x480"),
        ],
        &[],
        &["miax:slo_bad:increase"],
        &[("MiaxSloAbsent", true)],
    );
}

#[test]
fn a_native_histogram_counts_what_is_above_the_threshold() {
    check(
        &sample("slo-native-latency.yaml"),
        &[(
            r#"query_duration_seconds{job="search",instance="a"}"#,
            "{{schema:0 sum:10 count:10 buckets:[9 1]}}+{{schema:0 sum:10 count:10 buckets:[9 1]}}x480",
        )],
        &[
            "sum(abs(sum_over_time(miax:slo_bad:increase[1h]) - 240) < bool 0.001)",
            "sum(abs(sum_over_time(miax:slo_total:increase[1h]) - 2400) < bool 0.001)",
        ],
        &[],
        &[("MiaxErrorBudgetBurning", true)],
    );
}

#[test]
fn a_native_histogram_without_events_has_none_that_are_bad() {
    check(
        &sample("slo-native-latency.yaml"),
        &[(r#"query_duration_seconds{job="search",instance="a"}"#, "{{schema:0 sum:10 count:10 buckets:[9 1]}}x480")],
        &["sum(miax:slo_bad:increase == bool 0)", "sum(miax:slo_total:increase == bool 0)"],
        &[],
        &[],
    );
}

#[test]
fn a_slice_is_bad_when_less_than_enough_of_its_samples_are_good() {
    // Ten minutes of failures: two slices, and a third with one failure of twenty, which is just enough.
    check(
        &sample("slo-probe.yaml"),
        &[(r#"probe_success{job="front-door",instance="a"}"#, "1x239 0x39 1x200")],
        &["sum(miax:slo_bad:window == bool 2)", "sum(miax:slo_total:window == bool 24)"],
        &[],
        &[("MiaxErrorBudgetSpent", false)],
    );
}

#[test]
fn counters_of_good_events_count_the_others() {
    check(
        &sample("slo-good-ratio.yaml"),
        &[
            (r#"jobs_total{job="worker",instance="a",result="ok"}"#, "0+4x480"),
            (r#"jobs_total{job="worker",instance="a",result="failed"}"#, "0+1x480"),
        ],
        &[
            "sum(sum_over_time(miax:slo_bad:increase[1h]) == bool 240)",
            "sum(sum_over_time(miax:slo_total:increase[1h]) == bool 1200)",
        ],
        &[],
        &[("MiaxErrorBudgetSpent", true), ("MiaxErrorBudgetBurning", false)],
    );
}

#[test]
fn a_target_that_is_new_to_prometheus_brings_no_events_of_years() {
    check(
        &sample("slo-availability.yaml"),
        &[
            (r#"http_requests_total{job="checkout",instance="a",code="200"}"#, "0+10x480"),
            (r#"http_requests_total{job="checkout",instance="b",code="200"}"#, "_x239 1000000000+10x240"),
            (r#"http_requests_total{job="checkout",instance="b",code="500"}"#, "_x239 5000000+0x240"),
            // Seen again after an hour.
            (r#"http_requests_total{job="checkout",instance="c",code="500"}"#, "7000000x60 _x240 7000000x180"),
        ],
        &[
            "sum(miax:slo_bad:window == bool 0)",
            "sum(miax:slo_total:window > bool 6900)",
            "sum(miax:slo_total:window < bool 7200)",
        ],
        &[],
        &[("MiaxErrorBudgetSpent", false), ("MiaxErrorBudgetBurning", false)],
    );
}

#[test]
fn errors_count_from_the_first_one_of_a_target_on() {
    check(
        &sample("slo-availability.yaml"),
        &[
            (r#"http_requests_total{job="checkout",instance="a",code="200"}"#, "0+10x480"),
            (r#"http_requests_total{job="checkout",instance="a",code="500"}"#, "_x239 37x240"),
            // A process that is new, and fails once after its first scrape.
            (r#"http_requests_total{job="checkout",instance="b",code="200"}"#, "_x260 0+10x200"),
            (r#"http_requests_total{job="checkout",instance="b",code="500"}"#, "_x262 5x200"),
        ],
        &["sum(miax:slo_bad:window == bool 42)"],
        &[],
        &[("MiaxErrorBudgetSpent", true)],
    );
}

#[test]
fn without_traffic_nothing_is_spent_and_without_series_nothing_is_known() {
    check(
        &sample("slo-availability.yaml"),
        &[(r#"http_requests_total{job="checkout",instance="a",code="200"}"#, "5x480")],
        &[
            "sum(miax:slo_bad:window == bool 0)",
            "sum(miax:slo_total:window == bool 0)",
            "sum(miax:slo_points:window > bool 20)",
        ],
        &["miax:slo_errors:ratio_1h"],
        &[("MiaxErrorBudgetSpent", false), ("MiaxSloAbsent", false), ("MiaxErrorBudgetBurning", false)],
    );
    check(
        &sample("slo-availability.yaml"),
        &[(r#"http_requests_total{job="another",instance="a",code="500"}"#, "0+1x480")],
        &[],
        &["miax:slo_bad:increase", "miax:slo_total:increase", "miax:slo_points:window"],
        &[("MiaxErrorBudgetSpent", false), ("MiaxSloAbsent", true)],
    );
}

#[test]
fn what_is_no_number_is_no_point() {
    let mut gauge = sample("slo-probe.yaml");
    gauge["spec"].as_object_mut().expect("a spec").remove("timeSlices");
    check(
        &gauge,
        &[(r#"probe_success{job="front-door",instance="a"}"#, "1x239 NaN 1x240")],
        &["sum(miax:slo_bad:window == bool 0)", "sum(miax:slo_points:window == bool 23)"],
        &[],
        &[],
    );
}
