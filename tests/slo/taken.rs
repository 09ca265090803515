//! promtool takes the rules of every sample, and of names and values that try to be more.

use miax::slo::Resolution;
use miax::slo::rules::Group;
use miax::units::Seconds;

use super::promtool::check_rules;
use super::{group, samples};

#[test]
fn promtool_takes_the_rules_of_every_sample() {
    for seconds in [1, 5, 60, 300, 600] {
        let resolution = Resolution::try_new(Seconds(seconds)).expect("a resolution");
        let groups: Vec<Group> = samples().iter().map(|(_, object)| group(object, resolution)).collect();
        assert_eq!(groups.len(), 5);
        check_rules(&groups);
    }
}

#[test]
fn promtool_takes_what_was_put_into_values_as_values() {
    let (_, sample) = samples().into_iter().find(|(name, _)| name == "slo-availability.yaml").expect("the sample");
    let groups: Vec<Group> =
        [r#"\"} or vector(1) #"#, r"\\", "{{ $labels.x }}", "ünï✓\u{202e}", "$1 `x` 'y' %s", r#"\\\"} unless up{x=\""#]
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let mut object = sample.clone();
                object["metadata"]["name"] = format!("case-{index}").into();
                object["spec"]["indicator"]["ratio"]["bad"] = format!("http_requests_total{{x=\"{value}\"}}").into();
                group(&object, Resolution::DEFAULT)
            })
            .collect();
    check_rules(&groups);
}

#[test]
fn promtool_takes_every_pattern_that_is_let_through() {
    let (_, sample) = samples().into_iter().find(|(name, _)| name == "slo-availability.yaml").expect("the sample");
    let patterns = [
        "5..",
        "(a|b)+?",
        "[a-z_]{2,5}",
        "/api/.*",
        "a\\\\.b",
        "\\\\d+",
        "(?:x)?",
        "[^5]",
        "\\\\{x\\\\}",
        "a??",
        "^a$|",
        "[-a]",
        "a{1000}",
    ];
    let groups: Vec<Group> = (0..)
        .zip(patterns)
        .map(|(index, pattern): (u32, &str)| {
            let mut object = sample.clone();
            object["metadata"]["name"] = format!("case-{index}").into();
            object["spec"]["indicator"]["ratio"]["bad"] = format!("http_requests_total{{x=~\"{pattern}\"}}").into();
            group(&object, Resolution::DEFAULT)
        })
        .collect();
    check_rules(&groups);
}
