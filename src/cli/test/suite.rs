//! Suites: what is judged, when, and what is expected of it. Read strictly: a word that is not understood is no test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::api::reason::{Reason, ReasonClass};
use crate::trust::parse_yaml_strict;
use crate::units::UnixSeconds;

use super::super::files::read_text;
use super::super::output::Failure;
use super::super::simulate::Assumed;

/// A suite.
#[derive(Debug)]
pub(super) struct Suite {
    /// The file, as the user named it.
    pub(super) place: String,
    /// What is in force.
    pub(super) basis: Basis,
    /// When; now, if the suite does not say.
    pub(super) at: Option<UnixSeconds>,
    /// What is judged; not empty.
    pub(super) cases: Vec<Case>,
}

/// What a suite is judged by.
#[derive(Debug)]
pub(super) enum Basis {
    /// A charter, taken as in force; nothing has happened yet.
    Charter(PathBuf),
    /// A dump of a ledger, with the key of its log.
    Ledger(PathBuf, Option<String>),
}

/// A document and what is expected of it.
#[derive(Debug)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// The document.
    pub(super) file: PathBuf,
    /// When, if not at the suite's time.
    pub(super) at: Option<UnixSeconds>,
    /// What the target is taken to be.
    pub(super) assumed: Assumed,
    /// The answer.
    pub(super) expected: Expected,
}

/// The answer that a case expects.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) allowed: bool,
    /// The first reason; a refusal always names it.
    pub(super) reason: Option<Reason>,
    /// What the words must contain.
    pub(super) message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSuite {
    #[serde(default)]
    charter: Option<PathBuf>,
    #[serde(default)]
    ledger: Option<PathBuf>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    at: Option<String>,
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCase {
    name: String,
    file: PathBuf,
    #[serde(default)]
    at: Option<String>,
    #[serde(default)]
    target: Option<Value>,
    expect: RawExpected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawExpected {
    allowed: bool,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// Reads a suite. The files that it names are looked for beside it.
pub(super) fn read_suite(path: &Path) -> Result<Suite, Failure> {
    let text = read_text(path)?;
    let place = path.display().to_string();
    let base = path.parent().unwrap_or(Path::new(""));
    parse_suite(&text, &place, base).map_err(|what| {
        Failure::new(format!("{place}: {what}"))
            .with_next("miax test --help and docs/testing.md show what a suite holds")
    })
}

fn parse_suite(text: &str, place: &str, base: &Path) -> Result<Suite, String> {
    // The strict reader finds duplicate keys; the typed one names the path of what it does not know.
    let documents = parse_yaml_strict(text).map_err(|e| e.to_string())?;
    if documents.len() != 1 {
        return Err(format!("{} documents; a suite is one", documents.len()));
    }
    let raw: RawSuite = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    let RawSuite { charter, ledger, key, at, cases } = raw;
    let basis = match (charter, ledger, key) {
        (Some(charter), None, None) => Basis::Charter(base.join(charter)),
        (None, Some(ledger), key) => Basis::Ledger(base.join(ledger), key),
        (Some(_), None, Some(_)) => return Err("key is the key of a ledger; a charter has none".to_owned()),
        (Some(_), Some(_), _) | (None, None, _) => {
            return Err("name either a charter or a ledger; by one of them the cases are judged".to_owned());
        }
    };
    if cases.is_empty() {
        return Err("cases is empty; a suite without a case shows nothing".to_owned());
    }
    let cases: Vec<Case> =
        cases.into_iter().enumerate().map(|(i, c)| read_case(i, c, base)).collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = cases.iter().find(|case| !names.insert(case.name.as_str())) {
        return Err(format!("two cases are called `{}`", twice.name));
    }
    Ok(Suite { place: place.to_owned(), basis, at: read_time("at", at)?, cases })
}

fn read_case(index: usize, raw: RawCase, base: &Path) -> Result<Case, String> {
    let RawCase { name, file, at, target, expect } = raw;
    let place = |field: &str| format!("cases[{index}].{field}");
    if name.trim().is_empty() {
        return Err(format!("{} is empty; say what the case shows", place("name")));
    }
    Ok(Case {
        name,
        file: base.join(file),
        at: read_time(&place("at"), at)?,
        assumed: target.map_or(Ok(Assumed::AsWanted), |target| read_target(&place("target"), &target))?,
        expected: read_expected(&place("expect"), expect)?,
    })
}

fn read_time(place: &str, text: Option<String>) -> Result<Option<UnixSeconds>, String> {
    text.map(|t| t.parse().map_err(|e| format!("{place}: {e}"))).transpose()
}

fn read_target(place: &str, raw: &Value) -> Result<Assumed, String> {
    let generation = raw.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("generation")?.as_i64());
    match (raw.as_str(), generation) {
        (Some("missing"), _) => Ok(Assumed::Missing),
        (None, Some(generation)) => Ok(Assumed::Generation(generation)),
        _ => Err(format!("{place} is {raw}; write `missing`, or `{{generation: 41}}`")),
    }
}

fn read_expected(place: &str, raw: RawExpected) -> Result<Expected, String> {
    let RawExpected { allowed, reason, message } = raw;
    let known = |word: &String| Reason::ALL.iter().copied().find(|r| r.as_str() == word);
    let reason = match &reason {
        None => None,
        Some(word) => Some(
            known(word)
                .ok_or_else(|| format!("{place}.reason: `{word}` is not a reason; `miax explain` lists all of them"))?,
        ),
    };
    match reason.map(|r| (r, r.class() == ReasonClass::Allowed)) {
        // Else a document that is refused for a slip of the pen would pass for one that lacks a seat.
        None if !allowed => Err(format!("{place}.reason is missing; a refusal is expected for a reason")),
        Some((reason, allows)) if allows != allowed => {
            Err(format!("{place}: nothing is {} for the reason {reason}", if allowed { "allowed" } else { "refused" }))
        }
        Some(_) | None => Ok(Expected { allowed, reason, message }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = "{name: a, file: a.yaml, expect: {allowed: true}}";

    fn parse(text: &str) -> Result<Suite, String> {
        parse_suite(text, "suite.yaml", Path::new("policies"))
    }

    #[test]
    fn files_are_looked_for_beside_the_suite() {
        let suite = parse(&format!("charter: c.yaml\nat: 2026-11-24T10:00:00Z\ncases: [{CASE}]")).expect("a suite");
        let Suite { place, basis, at, cases } = &suite;
        assert_eq!(
            (place.as_str(), at.map(|t| t.to_string())),
            ("suite.yaml", Some("2026-11-24T10:00:00Z".to_owned()))
        );
        assert!(matches!(basis, Basis::Charter(path) if path == Path::new("policies/c.yaml")));
        assert_eq!(cases[0].file, Path::new("policies/a.yaml"));
        assert_eq!(cases[0].assumed, Assumed::AsWanted);
    }

    #[test]
    fn the_target_is_missing_or_has_a_generation() {
        let target = |raw: &str| {
            let case = format!("{{name: a, file: a.yaml, target: {raw}, expect: {{allowed: true}}}}");
            parse(&format!("ledger: l.tar\ncases: [{case}]")).map(|suite| suite.cases[0].assumed)
        };
        assert_eq!(target("missing"), Ok(Assumed::Missing));
        assert_eq!(target("{generation: 41}"), Ok(Assumed::Generation(41)));
        for wrong in ["gone", "41", "{}", "{generation: 41, uid: x}", "{generation: x}", "[]"] {
            assert!(target(wrong).is_err_and(|e| e.contains("cases[0].target")), "{wrong}");
        }
    }

    #[test]
    fn a_suite_that_is_not_understood_is_no_test() {
        let check = |name: &str, text: &str, part: &str| {
            let error = parse(text).expect_err(name);
            assert!(error.contains(part), "{name}: {error}");
        };
        let suite = |cases: &str| format!("charter: c.yaml\ncases: {cases}");
        let expect = |raw: &str| suite(&format!("[{{name: a, file: a.yaml, expect: {raw}}}]"));
        check("nothing", "", "0 documents");
        check("two documents", &format!("{}\n---\na: 1", suite("[]")), "2 documents");
        check("a key twice", &format!("{}\ncharter: d.yaml", suite("[]")), "stands twice");
        check("a key twice in a case", &expect("{allowed: true, allowed: false}"), "stands twice");
        check("no cases", "charter: c.yaml", "missing field `cases`");
        check("an empty list", &suite("[]"), "cases is empty");
        check("nothing to judge by", &format!("cases: [{CASE}]"), "either a charter or a ledger");
        check("two things to judge by", &format!("ledger: l\n{}", suite(&format!("[{CASE}]"))), "either a charter");
        check("a key of a charter", &format!("key: k\n{}", suite(&format!("[{CASE}]"))), "a charter has none");
        check("an unknown field", &format!("{}\nskip: true", suite(&format!("[{CASE}]"))), "unknown field `skip`");
        check("an unknown field below", &expect("{allow: true}"), "cases[0].expect: unknown field `allow`");
        check("a verdict that is none", &expect("{allowed: maybe}"), "cases[0].expect.allowed");
        check("an unknown reason", &expect("{allowed: false, reason: Meh}"), "cases[0].expect.reason: `Meh`");
        check("a refusal without a reason", &expect("{allowed: false}"), "cases[0].expect.reason is missing");
        check("an allowed refusal", &expect("{allowed: true, reason: Unsigned}"), "nothing is allowed for");
        check("a refused allow", &expect("{allowed: false, reason: QuorumComplete}"), "nothing is refused for");
        check("a time that is none", &format!("at: soon\n{}", suite(&format!("[{CASE}]"))), "at: `soon` is not a time");
        check("a name twice", &suite(&format!("[{CASE}, {CASE}]")), "two cases are called `a`");
        check("no name", &suite("[{name: ' ', file: a, expect: {allowed: true}}]"), "cases[0].name is empty");
    }
}
