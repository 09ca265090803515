//! What the rules of an objective say.

use proptest::prelude::*;

use super::*;
use crate::api::v1alpha1 as raw;
use crate::slo::tests::slo;

fn group(change: impl Fn(&mut raw::SloSpec)) -> Group {
    let name = SloName::try_new("shop", "checkout").expect("a name");
    render(&name, &slo(change), Resolution::DEFAULT).expect("rules")
}

fn query(group: &Group, name: &str) -> String {
    let found: Vec<String> =
        group.queries().into_iter().filter(|(n, _)| *n == name).map(|(_, q)| q.to_owned()).collect();
    found.join("\n")
}

fn indicator(indicator: raw::Indicator) -> impl Fn(&mut raw::SloSpec) {
    move |spec| spec.indicator = indicator.clone()
}

fn nothing() -> raw::Indicator {
    raw::Indicator { ratio: None, latency: None, native_latency: None, gauge: None }
}

fn latency(threshold: &str) -> raw::LatencyIndicator {
    raw::LatencyIndicator { histogram: "h{job='x'}".to_owned(), threshold: threshold.to_owned() }
}

#[test]
fn a_group_has_the_rules_that_it_needs_and_no_more() {
    let names: Vec<String> = group(|_| ()).queries().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(
        names,
        [
            TOTAL,
            BAD,
            TOTAL_WINDOW,
            BAD_WINDOW,
            POINTS_WINDOW,
            "miax:slo_errors:ratio_1h",
            "miax:slo_errors:ratio_6h",
            "miax:slo_errors:ratio_1d",
            "miax:slo_errors:ratio_3d",
            "MiaxErrorBudgetBurning",
            "MiaxErrorBudgetBurning",
            "MiaxErrorBudgetSpent",
            "MiaxSloAbsent"
        ]
    );
    let calendar = group(|spec| {
        let month = raw::CalendarWindow { period: "Month".to_owned(), time_zone: "UTC".to_owned() };
        spec.window = raw::Window { rolling: None, calendar: Some(month) };
        spec.alerts = Some(raw::Alerts { policy: "None".to_owned(), pairs: None, min_events: None });
    });
    assert_eq!(calendar.queries().into_iter().map(|(n, _)| n).collect::<Vec<_>>(), [TOTAL, BAD, "MiaxSloAbsent"]);
    let name = SloName::try_new("shop", "checkout").expect("a name");
    assert_eq!(render(&name, &slo(|s| s.retired = Some(true)), Resolution::DEFAULT), None);
}

#[test]
fn counters_are_counted_from_one_evaluation_to_the_next() {
    let group = group(|_| ());
    let total = query(&group, TOTAL);
    assert_eq!(
        total,
        "(sum((last_over_time(http_requests_total{job=\"shop\"}[5m] offset 30s) - \
         last_over_time(http_requests_total{job=\"shop\"}[15m] offset 330s)) and \
         (resets(http_requests_total{job=\"shop\"}[20m] offset 30s) == \
         resets(http_requests_total{job=\"shop\"}[15m] offset 330s)) or \
         last_over_time(http_requests_total{job=\"shop\"}[5m] offset 30s) and \
         (resets(http_requests_total{job=\"shop\"}[5m] offset 30s) == 0) and \
         (resets(http_requests_total{job=\"shop\"}[20m] offset 30s) > \
         resets(http_requests_total{job=\"shop\"}[15m] offset 330s) or \
         count_over_time(http_requests_total{job=\"shop\"}[20m] offset 30s) < on (job, instance) group_left () \
         max by (job, instance) (count_over_time(http_requests_total{job=\"shop\"}[20m] offset 30s))) or \
         increase(http_requests_total{job=\"shop\"}[5m] offset 30s))) > -Inf < +Inf"
    );
    let own = format!("{{miax_indicator=\"{}\",miax_slo=\"shop/checkout\"}}", {
        slo(|_| ()).indicator.id(Budgeting::Occurrences, Resolution::DEFAULT)
    });
    assert!(query(&group, BAD).ends_with(&format!(" or vector(0)) and sum({TOTAL}{own})) > -Inf < +Inf")));
    assert_eq!(query(&group, BAD_WINDOW), format!("sum_over_time({BAD}{own}[30d])"));
    assert_eq!(query(&group, POINTS_WINDOW), format!("count_over_time({BAD}{own}[30d])"));
    assert_eq!(
        query(&group, "miax:slo_errors:ratio_1h"),
        format!("sum_over_time({BAD}{own}[1h]) / (sum_over_time({TOTAL}{own}[1h]) > 0)")
    );
    assert_eq!(
        query(&group, "MiaxErrorBudgetSpent"),
        format!("1000 * {BAD_WINDOW}{own} >= 1 * {TOTAL_WINDOW}{own} and {TOTAL_WINDOW}{own} > 0")
    );
}

#[test]
fn alerts_compare_with_exact_shares() {
    let burning = query(&group(|_| ()), "MiaxErrorBudgetBurning");
    for share in [" > 0.0144 and ", " > 0.006 and ", " > 0.003 and ", " > 0.001 and ", "[5m]) > 0.0144 * "] {
        assert!(burning.contains(share), "{share}: {burning}");
    }
    assert!(!burning.contains(" >= "));
    let floor = group(|spec| {
        spec.alerts = Some(raw::Alerts { policy: "Workbook".to_owned(), pairs: None, min_events: Some(50) });
    });
    assert!(query(&floor, "MiaxErrorBudgetBurning").contains("[6h]) >= 50)"));
    // No alert that never fires: of 90 % no hour can burn 14.4 times too fast.
    let lenient = query(&group(|spec| spec.objective = "90".to_owned()), "MiaxErrorBudgetBurning");
    assert!(!lenient.contains("ratio_1h") && lenient.contains("ratio_6h"), "{lenient}");
}

#[test]
fn the_bucket_of_a_histogram_is_found_by_its_bound() {
    let of = |threshold| group(indicator(raw::Indicator { latency: Some(latency(threshold)), ..nothing() }));
    assert!(query(&of("0.3"), BAD).contains("h_bucket{job=\"x\",le=\"0.3\"}"));
    assert!(query(&of("1"), BAD).contains(r#"h_bucket{job="x",le=~"1|1\\.0"}"#));
    assert!(query(&of("1"), TOTAL).contains("h_count{job=\"x\"}[5m]"));
    // Without the bucket there is no point, not one without good events.
    assert!(!query(&of("1"), BAD).contains("vector(0)"));
}

#[test]
fn slices_of_time_are_compared_in_whole_numbers() {
    let slices = group(|spec| spec.time_slices = Some(raw::TimeSlices { objective: "99.5".to_owned() }));
    assert!(query(&slices, BAD).contains(" > bool 1 * ("), "{}", query(&slices, BAD));
    assert!(query(&slices, BAD).starts_with("(200 * ("));
    assert!(query(&slices, TOTAL).ends_with(" + 1) > -Inf < +Inf"));
    // Of 8640 slices.
    assert!(query(&slices, "MiaxErrorBudgetSpent").ends_with(">= 8640"));
}

#[test]
fn every_alert_names_the_digest_of_its_group() {
    let (one, other) = (group(|_| ()), group(|spec| spec.objective = "99".to_owned()));
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest(), group(|_| ()).digest());
    let value = one.to_value();
    let rules = value["rules"].as_array().expect("rules");
    for alert in rules.iter().filter(|r| r.get("alert").is_some()) {
        assert_eq!(alert["annotations"][DIGEST_ANNOTATION], one.digest().to_string());
        assert_eq!(alert["labels"]["miax_slo"], "shop/checkout");
    }
    assert_eq!((value["name"].as_str(), value["interval"].as_str()), (Some("miax/shop/checkout"), Some("5m")));
}

#[test]
fn a_short_resolution_needs_no_lag() {
    let name = SloName::try_new("shop", "checkout").expect("a name");
    let resolution = Resolution::try_new(Seconds(5)).expect("a resolution");
    let group = render(&name, &slo(|_| ()), resolution).expect("rules");
    assert!(query(&group, TOTAL).contains("increase(http_requests_total{job=\"shop\"}[5s])"));
    assert!(query(&group, "MiaxErrorBudgetBurning").contains("[5m]) > 0.0144"));
}

proptest! {
    #[test]
    fn no_objective_has_more_rules_or_series_than_the_limit(
        policy in 0_usize..4, hours in 1_u64..=92 * 24, objective in 1_u32..1000, slices: bool, seconds in 1_u64..=600,
    ) {
        let pair = |long: u64| raw::AlertPair {
            severity: if long.is_multiple_of(2) { "Page" } else { "Ticket" }.to_owned(),
            long: format!("{}m", long * 10), short: "5m".to_owned(), factor: "1".to_owned(),
        };
        let slo = slo(|spec| {
            spec.objective = format!("99.{:03}", objective.min(999));
            spec.window.rolling = Some(format!("{hours}h"));
            spec.time_slices = slices.then(|| raw::TimeSlices { objective: "99".to_owned() });
            let name = ["Workbook", "Pyrra", "Custom", "None"][policy];
            let pairs = (name == "Custom").then(|| (1..=4).map(pair).collect());
            spec.alerts = Some(raw::Alerts { policy: name.to_owned(), pairs, min_events: None });
        });
        let name = SloName::try_new("shop", "checkout").expect("a name");
        let group = render(&name, &slo, Resolution::try_new(Seconds(seconds)).expect("a resolution")).expect("rules");
        prop_assert!(group.len() <= 14 && !group.is_empty());
        let names: std::collections::BTreeSet<&str> =
            group.queries().into_iter().map(|(n, _)| n).filter(|n| n.starts_with("miax:")).collect();
        prop_assert!(names.len() <= 12);
        prop_assert!(group.to_value().to_string().len() <= WARN_BYTES);
        for (_, query) in group.queries() {
            prop_assert!(promql_parser::parser::parse(query).is_ok(), "{query}");
        }
    }
}
