//! A Prometheus that has recorded events of many objectives and runs their rules well. What it answers has the form of what the real
//! one answers; a question that it does not know is a mistake of whoever asks, and is kept.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use miax::slo::rules::{BAD, BAD_WINDOW, Group, POINTS_WINDOW, Recordings, TOTAL, TOTAL_WINDOW};
use miax::units::Seconds;
use serde_json::{Value, json};

/// Points of a window of 30 days at the usual resolution.
const POINTS: u64 = 8640;
/// Events of a window.
const EVENTS: u64 = 1_000_000;

/// The fake; its copies are one.
#[derive(Clone)]
pub struct Fake(Arc<Inner>);

struct Inner {
    known: Vec<Known>,
    clock: fn() -> u64,
    spent: Mutex<BTreeSet<usize>>,
    asked: Mutex<Vec<(String, usize)>>,
    strange: Mutex<Vec<String>>,
}

/// What is known of one objective.
struct Known {
    /// `"miax_slo":"shop/a","miax_indicator":"..."`
    labels: String,
    slo: String,
    ratios: BTreeSet<Seconds>,
    rolling: bool,
    /// Its group as the rules API shows it, up to the time of its last evaluation.
    rules: String,
}

impl Known {
    fn of(group: &Group, interval: Seconds) -> Self {
        let labels = group.recordings().labels().map(|(name, value)| format!("{}:{}", json!(name), json!(value)));
        let names: Vec<&str> = group.queries().iter().map(|(name, _)| *name).collect();
        Self {
            labels: labels.join(","),
            slo: group.recordings().slo().to_string(),
            ratios: group.ratios().collect(),
            rolling: names.contains(&BAD_WINDOW),
            rules: rules_of(group, interval),
        }
    }
}

/// A group of rules that is loaded and well, but for its last brace and its last evaluation.
fn rules_of(group: &Group, interval: Seconds) -> String {
    let value = group.to_value();
    let empty = json!({});
    let rules = value["rules"].as_array().expect("rules").iter().zip(group.queries()).map(|(rule, (name, query))| {
        let labels = rule.get("labels").unwrap_or(&empty);
        let mut shown = json!({
            "name": name, "query": query, "labels": labels, "health": "ok", "evaluationTime": 0.000_21,
            "lastEvaluation": "2026-11-28T07:00:00.000000001Z", "type": "recording",
        });
        if rule.get("alert").is_some() {
            shown["type"] = json!("alerting");
            shown["state"] = json!("inactive");
            shown["alerts"] = Value::Null;
            shown["duration"] = json!(0);
            shown["keepFiringFor"] = json!(0);
            shown["annotations"] = rule["annotations"].clone();
        }
        shown
    });
    let rules: Vec<Value> = rules.collect();
    format!(
        r#"{{"name":{},"file":"/etc/prometheus/rules/miax.yml","rules":{},"interval":{},"limit":0,"evaluationTime":0.0042"#,
        value["name"],
        json!(rules),
        interval.0
    )
}

impl Fake {
    /// A Prometheus that knows these; `clock` gives milliseconds since 1970, `interval` is how often rules are evaluated.
    pub fn new(groups: &[Group], interval: Seconds, clock: fn() -> u64) -> Self {
        let known = groups.iter().map(|group| Known::of(group, interval)).collect();
        let (spent, asked, strange) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { known, clock, spent, asked, strange }))
    }

    /// Answers on a port of this host for as long as the runtime lives; gives the address.
    pub async fn serve(&self) -> String {
        let routes = Router::new().fallback(answer).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url
    }

    /// From now on the budget of this one is spent.
    pub fn spend(&self, number: usize) {
        self.0.spent.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    }

    /// What was asked, with the bytes of each answer.
    pub fn asked(&self) -> Vec<(String, usize)> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Questions that nobody should have asked.
    pub fn strange(&self) -> Vec<String> {
        self.0.strange.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now(&self) -> String {
        let now = (self.0.clock)();
        format!("{}.{:03}", now / 1000, now % 1000)
    }

    fn query(&self, query: &str, time: &str) -> Option<String> {
        let name = query.trim_start_matches("sum_over_time(").trim_start_matches("count_over_time(");
        let name = name.split(['[', '{', ')']).next().unwrap_or_default();
        let ratio = Recordings::ratio_over(name);
        // A calendar's page asks for its own objectives by name.
        let chosen = |known: &Known| !query.contains("miax_slo=~") || query.contains(&known.slo.replace('.', "\\\\."));
        let has = |known: &Known| match ratio {
            Some(over) => known.ratios.contains(&over),
            None => known.rolling || !name.ends_with(":window"),
        };
        let value = |number: usize| {
            let bad = if self.0.spent.lock().unwrap_or_else(PoisonError::into_inner).contains(&number) {
                EVENTS / 2
            } else {
                7
            };
            match (name, query.starts_with("count_over_time("), ratio) {
                (BAD, true, _) | (POINTS_WINDOW, _, _) => POINTS.to_string(),
                (BAD | BAD_WINDOW, false, _) => bad.to_string(),
                (TOTAL | TOTAL_WINDOW, _, _) => EVENTS.to_string(),
                _ => format!("{:?}", f64::from(u32::try_from(bad).expect("small")) / 1e6),
            }
        };
        if ratio.is_none() && ![BAD, TOTAL, BAD_WINDOW, TOTAL_WINDOW, POINTS_WINDOW].contains(&name) {
            return None;
        }
        let function = query.contains('(');
        let matrix = !function && query.ends_with(']');
        let mut text = format!(r#"{{"resultType":"{}","result":["#, if matrix { "matrix" } else { "vector" });
        let mut comma = "";
        for (number, known) in self.0.known.iter().enumerate().filter(|(_, known)| chosen(known) && has(known)) {
            let named = if function { String::new() } else { format!(r#""__name__":"{name}","#) };
            let (labels, value) = (&known.labels, value(number));
            let values = if matrix {
                format!(r#""values":[[{time},"{value}"],[{time},"{value}"]]"#)
            } else {
                format!(r#""value":[{time},"{value}"]"#)
            };
            let _ = write!(text, r#"{comma}{{"metric":{{{named}{labels}}},{values}}}"#);
            comma = ",";
        }
        Some(text + "]}")
    }

    /// A page of rules.
    fn rules(&self, form: &str) -> String {
        let from: usize = field(form, "group_next_token").parse().unwrap_or(0);
        let now = (self.0.clock)() / 1000;
        let at = miax::units::UnixSeconds::new(i64::try_from(now).expect("a time"));
        let limit = field(form, "group_limit").parse().unwrap_or(usize::MAX);
        let page = self.0.known.iter().skip(from).take(limit);
        let groups: Vec<String> = page.map(|k| format!(r#"{},"lastEvaluation":"{at}"}}"#, k.rules)).collect();
        let next = from + groups.len();
        let token = if next < self.0.known.len() { format!(r#","groupNextToken":"{next}""#) } else { String::new() };
        format!(r#"{{"groups":[{}]{token}}}"#, groups.join(","))
    }

    fn data(&self, path: &str, form: &str) -> Option<String> {
        match path {
            "/api/v1/query" => match field(form, "query").as_str() {
                "time()" => Some(format!(r#"{{"resultType":"scalar","result":[{0},"{0}"]}}"#, self.now())),
                query => self.query(query, &field(form, "time")),
            },
            "/api/v1/rules" => Some(self.rules(form)),
            "/api/v1/status/buildinfo" => Some(r#"{"version":"3.0.0"}"#.to_owned()),
            "/api/v1/status/runtimeinfo" => Some(r#"{"storageRetention":"400d"}"#.to_owned()),
            _ => None,
        }
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let form = format!("{}&{}", parts.uri.query().unwrap_or_default(), String::from_utf8_lossy(&body));
    let asked = format!("{} {}", parts.uri.path(), field(&form, "query"));
    let Some(data) = fake.data(parts.uri.path(), &form) else {
        fake.0.strange.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        return axum::http::StatusCode::NOT_FOUND.into_response();
    };
    let text = format!(r#"{{"status":"success","data":{data}}}"#);
    fake.0.asked.lock().unwrap_or_else(PoisonError::into_inner).push((asked, text.len()));
    ([("content-type", "application/json")], text).into_response()
}

/// A field of a form, its escapes undone.
fn field(form: &str, name: &str) -> String {
    let value = form.split('&').find_map(|f| f.strip_prefix(name)?.strip_prefix('='));
    let mut bytes = Vec::new();
    let mut rest = value.unwrap_or_default().as_bytes();
    while let [first, more @ ..] = rest {
        match (first, more) {
            (b'%', [a, b, tail @ ..]) => {
                let digits = [*a, *b];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).expect("text"), 16).expect("hex"));
                rest = tail;
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = more;
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).expect("text")
}
