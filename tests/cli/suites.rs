//! Suites of cases: what is as expected, what is not, what cannot be told, and how CI systems read it.

use miax::trust::to_yaml;
use serde_json::{Value, json};

use crate::desk::{Desk, Run};
use crate::replay::Book;

/// A charter, a command that everybody approved, and one that nobody of TCC did.
fn desk() -> Desk {
    let desk = Desk::with_charter();
    desk.draft();
    desk.write("unsigned.yaml", &desk.text("cmd.yaml"));
    desk.approve_all();
    let lines: Vec<String> = desk.text("cmd.yaml").lines().map(str::to_owned).collect();
    let mut object = miax::trust::parse_yaml_strict(&lines.join("\n")).expect("yaml").pop().expect("a document");
    object["spec"]["signatures"].as_array_mut().expect("signatures").retain(|s| s["seat"] != "TCC");
    desk.write("partly.yaml", &to_yaml(&object));
    desk
}

fn case(name: &str, file: &str, expect: Value) -> Value {
    json!({"name": name, "file": file, "expect": expect})
}

/// A suite in `policies/`, beside which nothing else is.
fn suite(desk: &Desk, basis: Value, cases: &[Value]) {
    let mut suite = basis;
    suite["cases"] = cases.into();
    std::fs::create_dir_all(desk.path("policies")).expect("directory");
    desk.write("policies/a.suite.yaml", &to_yaml(&suite));
}

fn test(desk: &Desk, cases: &[Value]) -> Run {
    suite(desk, json!({"charter": "../charter.yaml"}), cases);
    desk.miax(&["test", "policies/a.suite.yaml"])
}

#[test]
fn a_suite_says_of_each_case_whether_it_is_as_expected() {
    let desk = desk();
    let good = case("all agree", "../cmd.yaml", json!({"allowed": true}));
    let partly =
        case("nobody of TCC", "../partly.yaml", json!({"allowed": false, "reason": "SeatsMissing", "message": "TCC"}));
    let mut missing = case("no target", "../cmd.yaml", json!({"allowed": false, "reason": "TargetMissing"}));
    missing["target"] = json!("missing");
    let mut expired = case("a year later", "../cmd.yaml", json!({"allowed": false, "reason": "Expired"}));
    expired["at"] = json!("2099-01-01T00:00:00Z");
    let cases = [good, partly, missing, expired];
    test(&desk, &cases).expect_code(0).expect_out("ok    all agree: allow QuorumComplete").expect_out("4 ok, 0 failed");

    let wrong = |expect: Value, part: &str| {
        let cases = [case("wrong", "../partly.yaml", expect)];
        test(&desk, &cases).expect_code(1).expect_out(part).expect_out("0 ok, 1 failed");
    };
    wrong(json!({"allowed": true}), "FAIL  wrong: expected allow, got deny SeatsMissing");
    wrong(json!({"allowed": false, "reason": "Unsigned"}), "expected deny Unsigned, got deny SeatsMissing");
    let words = json!({"allowed": false, "reason": "SeatsMissing", "message": "CEK"});
    wrong(words, "expected deny SeatsMissing saying `CEK`, got deny SeatsMissing saying `SeatsMissing: needs TCC");
    let allowed = [case("wrong", "../cmd.yaml", json!({"allowed": false, "reason": "SeatsMissing"}))];
    test(&desk, &allowed).expect_code(1).expect_out("expected deny SeatsMissing, got allow QuorumComplete");
}

#[test]
fn the_sample_suite_holds() {
    let desk = desk();
    for (from, to) in
        [("charter.yaml", "constitution-v1.yaml"), ("cmd.yaml", "approved.yaml"), ("partly.yaml", "without-tcc.yaml")]
    {
        desk.write(to, &desk.text(from));
    }
    desk.write("runtime.suite.yaml", include_str!("../../config/samples/runtime.suite.yaml"));
    desk.miax(&["test", "runtime.suite.yaml"]).expect_code(0).expect_out("5 ok, 0 failed");
}

#[test]
fn the_page_about_testing_can_be_followed() {
    let desk = Desk::empty();
    let page = include_str!("../../docs/testing.md");
    let script = page.split("```sh\n").nth(1).and_then(|s| s.split("```").next()).expect("a script");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_miax"), desk.path("miax")).expect("link");
    desk.write("runtime.suite.yaml", include_str!("../../config/samples/runtime.suite.yaml"));
    let script = format!("set -e; PATH=$PWD:$PATH\n{script}");
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(desk.path("")).output();
    let output = output.expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("5 ok, 0 failed"), "{text}");
}

#[test]
fn what_cannot_be_judged_is_neither_ok_nor_failed() {
    let desk = desk();
    desk.write("pod.yaml", "kind: Pod\n");
    let good = || case("good", "../cmd.yaml", json!({"allowed": true}));
    let lost = || case("lost", "../lost.yaml", json!({"allowed": true}));
    let pod = || case("pod", "../pod.yaml", json!({"allowed": true}));
    test(&desk, &[good(), lost(), pod()])
        .expect_code(2)
        .expect_out("ERROR lost: policies/../lost.yaml: No such file")
        .expect_out("ERROR pod: `Pod` is not a signed kind")
        .expect_out("1 ok, 0 failed, 2 could not be judged");
    // A case that failed is a no, whatever else could not be told.
    test(&desk, &[case("bad", "../partly.yaml", json!({"allowed": true})), lost()]).expect_code(1);
    // A document that is malformed is judged: it is refused.
    desk.write("bent.yaml", &desk.text("cmd.yaml").replacen("impact: Critical", "impact: Huge", 1));
    test(&desk, &[case("bent", "../bent.yaml", json!({"allowed": false, "reason": "FieldInvalid"}))]).expect_code(0);

    let wrong = |text: &str, part: &str| {
        desk.write("b.suite.yaml", text);
        desk.miax(&["test", "b.suite.yaml", "--junit", "b.xml"]).expect_code(2).expect_err(part).expect_err("next: ");
        assert!(!desk.path("b.xml").exists(), "what was not run has no report");
    };
    wrong(
        "charter: charter.yaml\ncases: [{name: a, file: cmd.yaml}]\n",
        "b.suite.yaml: cases[0]: missing field `expect`",
    );
    wrong("charter: charter.yaml\ncharter: other.yaml\ncases: []\n", "`charter` stands twice");
    desk.miax(&["test"]).expect_code(2);
    desk.miax(&["test", "nowhere.yaml"]).expect_code(2).expect_err("nowhere.yaml");
    suite(&desk, json!({"charter": "../cmd.yaml"}), &[good()]);
    desk.miax(&["test", "policies/a.suite.yaml"])
        .expect_code(2)
        .expect_err("a.suite.yaml: ")
        .expect_err("not a charter");
}

#[test]
fn a_suite_by_a_ledger_knows_what_happened() {
    let mut book = Book::new();
    let object = book.keep("cmd.yaml");
    book.use_up(object);
    book.desk.write("cmd-used.yaml", &book.desk.text("cmd.yaml"));
    let at = book.now.to_string();
    let cases = [
        case("used", "../cmd-used.yaml", json!({"allowed": false, "reason": "CommandConsumed"})),
        case(
            "used, and without its signatures",
            "../documents/unsigned.yaml",
            json!({"allowed": false, "reason": "CommandConsumed", "message": "Unsigned"}),
        ),
    ];
    suite(&book.desk, json!({"ledger": "../dump", "key": book.key, "at": at}), &cases);
    let report = book.desk.miax(&["test", "policies/a.suite.yaml", "-o", "json"]).expect_code(0).json();
    assert_eq!((&report["ok"], &report["failed"], &report["unclear"]), (&json!(2), &json!(0), &json!(0)));
    assert_eq!(report["suites"][0]["cases"][0]["got"]["reason"], "CommandConsumed");
    // The same question to the same charter, where nothing was done yet.
    suite(&book.desk, json!({"charter": "../charter.yaml", "at": at}), &cases);
    book.desk.miax(&["test", "policies/a.suite.yaml"]).expect_code(1).expect_out("got allow QuorumComplete");
    // A ledger that was touched allows nothing and tests nothing.
    let file = format!("dump/{}.yaml", miax::ledger::block_name(0, miax::units::BlockNumber(2)));
    book.desk.write(&file, &book.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2"));
    suite(&book.desk, json!({"ledger": "../dump", "key": book.key}), &cases);
    book.desk.miax(&["test", "policies/a.suite.yaml"]).expect_code(2).expect_err("the ledger does not verify");
}

/// An element of XML, read by the rules that such reports need: nothing else is accepted.
#[derive(Debug, PartialEq)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    #[track_caller]
    fn attribute(&self, name: &str) -> &str {
        &self.attributes.iter().find(|(n, _)| n == name).expect(name).1
    }
}

fn unescape(text: &str) -> String {
    assert!(!text.contains(['<', '"', '\n']) && text.chars().all(|c| !c.is_control()), "not escaped: {text}");
    let mut parts = text.split('&');
    let mut out = parts.next().expect("a part").to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';').expect("an entity");
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            code => char::from_u32(code.strip_prefix('#').expect("a code").parse().expect("a number")).expect("a char"),
        });
        out.push_str(rest);
    }
    out
}

/// Reads one element and gives what follows it.
fn element(text: &str) -> (Element, &str) {
    let (tag, mut rest) = text.trim_start().strip_prefix('<').expect(text).split_once('>').expect("a tag");
    let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
    let (name, mut fields) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut attributes = Vec::new();
    while let Some((key, value)) = fields.split_once("=\"") {
        let (value, more) = value.split_once('"').expect("a value");
        attributes.push((key.trim().to_owned(), unescape(value)));
        fields = more;
    }
    assert_eq!(fields.trim(), "", "{tag}");
    let mut found = Element { name: name.to_owned(), attributes, children: Vec::new(), text: String::new() };
    if empty {
        return (found, rest);
    }
    let end = format!("</{name}>");
    loop {
        let (before, _) = rest.split_once('<').expect("an end");
        let inside = rest.trim_start();
        if let Some(after) = inside.strip_prefix(&end) {
            return (found, after);
        }
        if inside.starts_with('<') {
            let (child, after) = element(inside);
            found.children.push(child);
            rest = after;
        } else {
            found.text = unescape(before);
            rest = rest.strip_prefix(before).expect("a text");
        }
    }
}

#[test]
fn the_junit_report_reads_back() {
    let desk = desk();
    let name = "a <b> & \"c\" 'd' ]]> \u{1b}[31m\nline é";
    let cases = [
        case("good", "../cmd.yaml", json!({"allowed": true})),
        case(name, "../partly.yaml", json!({"allowed": false, "reason": "Unsigned", "message": "<&\">"})),
        case("lost", "../lost.yaml", json!({"allowed": true})),
    ];
    suite(&desk, json!({"charter": "../charter.yaml"}), &cases);
    desk.write("report.xml", "an older one");
    desk.miax(&["test", "policies/a.suite.yaml", "--junit", "report.xml"]).expect_code(1);
    let text = desk.text("report.xml");
    let body = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a declaration");
    let (root, rest) = element(body);
    assert_eq!(rest.trim(), "");
    let counts = |e: &Element| ["tests", "failures", "errors"].map(|name| e.attribute(name).to_owned());
    assert_eq!((root.name.as_str(), counts(&root)), ("testsuites", ["3", "1", "1"].map(str::to_owned)));
    let [suite] = root.children.as_slice() else { panic!("{root:?}") };
    assert_eq!((suite.attribute("name"), counts(suite)), ("policies/a.suite.yaml", counts(&root)));
    let [good, bad, lost] = suite.children.as_slice() else { panic!("{suite:?}") };
    assert_eq!((good.attribute("name"), good.children.len()), ("good", 0));
    // What XML cannot hold at all is spelled out; everything else comes back as it was.
    assert_eq!(bad.attribute("name"), name.replace('\u{1b}', "\\u{1b}"));
    let [failure] = bad.children.as_slice() else { panic!("{bad:?}") };
    assert_eq!(failure.name, "failure");
    assert_eq!(failure.attribute("message"), "expected deny Unsigned saying `<&\">`, got deny SeatsMissing");
    assert!(failure.text.starts_with("SeatsMissing: needs TCC"), "{}", failure.text);
    let [error] = lost.children.as_slice() else { panic!("{lost:?}") };
    assert_eq!((error.name.as_str(), error.text.as_str()), ("error", ""));
    assert!(error.attribute("message").contains("lost.yaml"));
}
