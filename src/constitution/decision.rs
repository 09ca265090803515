//! The answer of the judge: a verdict with everything that led to it.

use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;
use crate::units::Digest;

use super::charter::Mode;
use super::event::CharterRef;

/// Yes or no. There is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// The request may be stored. Not yet a fact: another webhook may still refuse it.
    Allow,
    /// The request is refused.
    Deny,
}

/// One reason with its explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The word.
    pub reason: Reason,
    /// One sentence: what is wrong, with the value. Lower case, no full stop.
    pub message: String,
    /// The rule of the charter and its article, for example `runtime-critical (Article V)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The exact next command or step, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStep>,
}

/// What a person can do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextStep {
    /// A command line that can be run as it stands.
    Run(String),
    /// Something else, in words.
    Do(String),
}

/// One required seat and who may fill it: what `miax show` and `miax status` draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatView {
    /// `SRE`, or `TC + APXGP + CEK` for a pool.
    pub seat: String,
    /// How many different principals it needs.
    pub needed: u32,
    /// Who fills it.
    pub filled_by: Vec<String>,
    /// Who else could; nobody when it is full.
    pub open_to: Vec<String>,
}

/// What a rule says that is not enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The rule of the charter and its article.
    pub rule: String,
    /// Why it does not decide.
    pub mode: Mode,
    /// What it would refuse for; empty when it would allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// The judgement of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// Every reason; the first one gives the HTTP code. Never empty.
    pub findings: Vec<Finding>,
    /// Digest of the object, when it could be computed.
    pub digest: Option<Digest>,
    /// Names of the rules that were applied.
    pub rules: Vec<String>,
    /// The seats of those rules.
    pub seats: Vec<SeatView>,
    /// What rules say that are not enforced; never a reason for the verdict.
    pub advice: Vec<Advice>,
    /// The charter that was in force; the snapshot of R27.
    pub charter: Option<CharterRef>,
    /// Whether the ledger must hold it before it is answered. An identical re-apply is not recorded (R30).
    pub recorded: bool,
}

impl Decision {
    /// The reason that gives the HTTP code, the metric label and the condition.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.findings.first().map_or(Reason::RuleFailed, |f| f.reason)
    }

    /// Whether the request may be stored.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    /// Whether nothing is wrong with the command but that people must sign it first, or take an objection back.
    #[must_use]
    pub fn waits_for_people(&self) -> bool {
        let open =
            |f: &Finding| matches!(f.reason, Reason::SeatsMissing | Reason::FloorNotMet | Reason::ObjectionPresent);
        self.verdict == Verdict::Deny && self.findings.iter().all(open)
    }

    /// A refusal for one reason, outside of any rule.
    #[must_use]
    pub fn refusal(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Deny,
            findings: vec![Finding { reason, message: message.into(), rule: None, next: None }],
            digest: None,
            rules: Vec::new(),
            seats: Vec::new(),
            advice: Vec::new(),
            charter: None,
            recorded: true,
        }
    }

    /// The sentence that `kubectl` shows: every finding on a line, each with what to do next.
    #[must_use]
    pub fn message(&self) -> String {
        self.findings.iter().map(Finding::line).collect::<Vec<_>>().join("\n")
    }
}

impl Advice {
    /// A line that nobody takes for enforcement.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { rule, mode, findings } = self;
        let would = match findings.first() {
            Some(finding) => format!("would refuse: {}", finding.line()),
            None => "would allow".to_owned(),
        };
        format!("NOT ENFORCED ({}) {rule}: {would}", mode.as_str())
    }
}

impl Finding {
    /// The reason, the sentence, the rule and what to do next, on a line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { reason, message, rule, next } = self;
        let rule = rule.as_ref().map(|r| format!(" [{r}]")).unwrap_or_default();
        let next = match next {
            Some(NextStep::Run(command)) => format!("; run: {command}"),
            Some(NextStep::Do(step)) => format!("; {step}"),
            None => String::new(),
        };
        format!("{reason}: {message}{rule}{next}")
    }
}
