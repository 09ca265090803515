//! Thousands of objectives: the number of questions does not grow with them, and no answer is large.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use miax::controllers::prometheus::{Credentials, Limits, Prometheus, Transport};
use miax::controllers::slo::{Wanted, measure};
use miax::slo::Resolution;
use miax::slo::rules::{Group, Recordings, render};
use miax::units::{Millis, Seconds};
use serde_json::json;

use crate::slo::objective;
use crate::support::{now, runtime};

const MANY: usize = 5000;

/// What was asked and how large the answers were.
#[derive(Clone, Default)]
struct Fake {
    series: Arc<Vec<String>>,
    asked: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Fake {
    /// Answers as Prometheus would, with one value for every objective.
    fn answer(&self, form: &str) -> String {
        let field = |name: &str| form.split('&').find_map(|f| f.strip_prefix(name)).map(unescape).unwrap_or_default();
        let (query, time) = (field("query="), field("time="));
        let data = match query.as_str() {
            "time()" => format!(r#"{{"resultType":"scalar","result":[{0},"{0}"]}}"#, miax_seconds()),
            _ => self.series(&query, &time),
        };
        let answer = format!(r#"{{"status":"success","data":{data}}}"#);
        self.asked.lock().expect("nobody panicked").push((query, answer.len()));
        answer
    }

    fn series(&self, query: &str, time: &str) -> String {
        let name = query.split(['[', '{', '(']).next().unwrap_or_default();
        let (kind, value) = match name {
            "sum_over_time" | "count_over_time" | "" => ("vector", format!(r#""value":[{time},"8640"]"#)),
            _ => ("matrix", format!(r#""values":[[{time},"7"],[{time},"8640"]]"#)),
        };
        let name = if name.is_empty() { "miax:slo_errors:ratio_1h" } else { name };
        let mut text = format!(r#"{{"resultType":"{kind}","result":["#);
        for (index, labels) in self.series.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(text, r#"{comma}{{"metric":{{"__name__":"{name}",{labels}}},{value}}}"#);
        }
        text + "]}"
    }
}

fn miax_seconds() -> String {
    let now = now().0;
    format!("{}.{:03}", now / 1000, now % 1000)
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        match (first, more) {
            (b'%', [a, b, tail @ ..]) => {
                let digits = [*a, *b];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).expect("text"), 16).expect("hex"));
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn the_number_of_questions_does_not_grow_with_the_objectives() {
    let gauge = json!({"gauge": {"up": "ready"}});
    let objectives: Vec<_> = (0..MANY)
        .map(|n| {
            let window = match n % 50 {
                0 => json!({"calendar": {"period": "Month", "timeZone": "UTC"}}),
                _ => json!({"rolling": "30d"}),
            };
            objective(&format!("objective-of-a-service-{n}"), &gauge, &window, &json!({}))
        })
        .collect();
    let groups: Vec<Group> =
        objectives.iter().map(|(name, slo)| render(name, slo, Resolution::DEFAULT).expect("rules")).collect();
    let labels =
        |recordings: &Recordings| recordings.labels().map(|(name, value)| format!(r#""{name}":"{value}""#)).join(",");
    let series = groups.iter().map(|group| labels(group.recordings())).collect::<Vec<_>>();
    let fake = Fake { series: Arc::new(series), ..Fake::default() };
    let asked = fake.asked.clone();
    let wanted: Vec<Wanted<'_>> = objectives
        .iter()
        .zip(&groups)
        .map(|((_, slo), group)| Wanted { recordings: group.recordings(), window: &slo.window })
        .collect();
    let round = runtime().block_on(async {
        let routes =
            Router::new().fallback(async |State(fake): State<Fake>, form: String| fake.answer(&form)).with_state(fake);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let limits = Limits { time: Millis(60_000), ..Limits::default() };
        let client = Prometheus::try_new(url, Transport::Tls, Credentials::default(), limits, Arc::new(now));
        measure(&client.expect("it may be asked"), &wanted, Resolution::DEFAULT).await.expect("a round")
    });
    assert_eq!(round.recorded.len(), MANY);
    for measured in &round.recorded {
        let sample = measured.sample.clone().expect("well").expect("recorded");
        assert_eq!((sample.bad, sample.total, sample.points), (8640.0, 8640.0, 8640.0));
        assert!(measured.recent.is_some() && measured.ratios.contains_key(&Seconds(3600)));
    }
    let asked = asked.lock().expect("nobody panicked");
    let largest = asked.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
    let queries: Vec<&str> = asked.iter().map(|(query, _)| query.as_str()).collect();
    assert_eq!(
        queries.len(),
        11,
        "the clock, the newest, two of late, shares, three windows, three of the calendar: {queries:?}"
    );
    assert!(largest < 2 << 20, "{largest} bytes");
}
