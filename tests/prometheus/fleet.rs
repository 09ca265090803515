//! Thousands of objectives: the number of questions does not grow with them, no answer is large, and a fake answers them in the form of
//! a real Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use miax::controllers::prometheus::{Credentials, Limits, Prometheus, Transport};
use miax::controllers::slo::{Known, Recorded, RulesState, Wanted, loaded, measure};
use miax::slo::rules::{BAD, BAD_WINDOW, Group, POINTS_WINDOW, Recordings, TOTAL, TOTAL_WINDOW, newest_query, render};
use miax::slo::{Resolution, Slo, SloName};
use miax::units::{Millis, Seconds};
use miax_cluster::{Exporter, Prometheus as Real};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::slo::{Asking, file, groups, objective, ratio, resolution};
use crate::support::{now, runtime};

const MANY: usize = 5000;

/// Objectives of all kinds of windows.
fn objectives(many: usize) -> Vec<(SloName, Slo)> {
    let gauge = json!({"gauge": {"up": "ready"}});
    let window = |n: usize| match n % 50 {
        0 => json!({"calendar": {"period": "Month", "timeZone": "UTC"}}),
        _ => json!({"rolling": "30d"}),
    };
    (0..many).map(|n| objective(&format!("objective-of-a-service-{n}"), &gauge, &window(n), &json!({}))).collect()
}

#[test]
fn the_number_of_questions_does_not_grow_with_the_objectives() {
    let objectives = objectives(MANY);
    let groups: Vec<Group> =
        objectives.iter().map(|(name, slo)| render(name, slo, Resolution::DEFAULT).expect("rules")).collect();
    let fake = Fake::new(&groups, Resolution::DEFAULT.length(), || now().0);
    let wanted: Vec<Wanted<'_>> =
        objectives.iter().zip(&groups).map(|((_, slo), group)| Wanted { group, window: &slo.window }).collect();
    let (recorded, states) = runtime().block_on(async {
        let url = fake.serve().await.parse().expect("an address");
        let limits = Limits { time: Millis(60_000), ..Limits::default() };
        let client = Prometheus::try_new(url, Transport::Tls, Credentials::default(), limits, Arc::new(now));
        let client = client.expect("it may be asked");
        let round = measure(&client, &wanted, Resolution::DEFAULT).await.expect("a round");
        let states = loaded(&client, &groups, Resolution::DEFAULT, round.at, &mut Known::default()).await;
        (round.recorded, states)
    });
    assert_eq!((recorded.len(), states.len(), fake.strange()), (MANY, MANY, Vec::new()));
    assert!(states.iter().all(|state| *state == RulesState::Loaded));
    for Recorded { sample, recent, ratios } in &recorded {
        let sample = sample.clone().expect("well").expect("recorded");
        assert_eq!((sample.bad, sample.total, sample.points), (7.0, 1e6, 8640.0));
        assert!(recent.is_some() && ratios.contains_key(&Seconds(3600)));
    }
    let asked = fake.asked();
    let largest = asked.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
    let queries: Vec<&str> = asked.iter().filter_map(|(asked, _)| asked.strip_prefix("/api/v1/query ")).collect();
    let shares = 4;
    assert_eq!(
        queries.len(),
        10 + shares,
        "the clock, the newest, two of late, the shares, three windows, three of the calendar: {queries:?}"
    );
    assert!(largest < 2 << 20, "{largest} bytes");
}

/// The form of a value: which fields it has, and of what they are. A list is of the forms of its elements.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Leaf(&'static str),
    List(BTreeSet<Form>),
    Object(BTreeMap<String, Form>),
}

impl Form {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Leaf("null"),
            Value::Bool(_) => Self::Leaf("bool"),
            Value::Number(_) => Self::Leaf("number"),
            Value::String(_) => Self::Leaf("text"),
            Value::Array(all) => Self::List(all.iter().map(Self::of).collect()),
            Value::Object(map) => {
                Self::Object(map.iter().map(|(name, value)| (name.clone(), Self::of(value))).collect())
            }
        }
    }
}

/// What a server answers, by a request that leaves no room for an encoding.
fn get(url: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://").trim_end_matches('/')).expect("connects");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).expect("a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
}

#[test]
fn the_fake_answers_in_the_form_of_a_real_prometheus() {
    let exporter = Exporter::start().expect("an exporter");
    let objectives = ["one", "two"].map(|name| objective(name, &ratio(), &json!({"rolling": "30d"}), &json!({})));
    let groups = groups(&objectives);
    let real = Real::builder().target(exporter.address()).rules("slo", &file(&groups)).start().expect("ready");
    let mut asking = Asking::new(&real);
    asking.become_all(&groups, |state| *state == RulesState::Loaded);
    let share = Recordings::ratio_name(Seconds(3600));
    asking.become_recorded(&objectives, &exporter);

    let fake = Fake::new(&groups, resolution().length(), || now().0);
    let (sender, receiver) = std::sync::mpsc::channel();
    let served = fake.clone();
    std::thread::spawn(move || {
        runtime().block_on(async {
            sender.send(served.serve().await).expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    let url = receiver.recv().expect("it serves");
    let windows = [BAD_WINDOW, TOTAL_WINDOW, POINTS_WINDOW].map(|name| format!("{name}[610s]"));
    let sums = [BAD, TOTAL].map(|name| format!("sum_over_time({name}[1h])"));
    let queries =
        [vec!["time()".to_owned(), newest_query(resolution()), share], windows.to_vec(), sums.to_vec()].concat();
    // What was just recorded is not later.
    let time = now().0 / 1000 + 1;
    let mut paths: Vec<String> = queries.iter().map(|q| format!("/api/v1/query?query={q}&time={time}")).collect();
    paths.push("/api/v1/rules?match[]={miax_slo!=%22%22}&exclude_alerts=true&group_limit=200".to_owned());
    paths.push("/api/v1/rules?match[]={miax_slo!=%22%22}&exclude_alerts=true&group_limit=1".to_owned());
    for path in paths {
        let (theirs, ours) = (get(real.url(), &path), get(&url, &path));
        assert_eq!(Form::of(&ours), Form::of(&theirs), "{path}\n{ours:#}\n{theirs:#}");
    }
    assert_eq!(fake.strange(), Vec::<String>::new());
}
