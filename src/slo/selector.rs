//! Selectors of series: the name of one metric and label matchers, and nothing else.
//!
//! Must not: let a text of a user into a query. What is rendered is written anew from what was understood.

use std::collections::BTreeSet;
use std::fmt;

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::{Expr, VectorSelector, parse};

use super::error::{Problem, SloError};
use super::pattern::portable;

/// Longest text of a selector, in bytes.
const LONGEST: usize = 1024;
/// The name of a metric as a label; it stands before the braces, once.
const METRIC_NAME: &str = "__name__";

/// The series of one metric that all matchers fit, in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    metric: String,
    matchers: BTreeSet<Matcher>,
}

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Matcher {
    label: String,
    operator: Operator,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    Is,
    IsNot,
    Fits,
    FitsNot,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// [`SloError`] at `path` when it is not PromQL, or is more than a selector: a function, a range, an offset, an `@`, a
    /// subquery, a sum, or a metric that is chosen by a pattern.
    pub fn read(path: &str, text: &str) -> Result<Self, SloError> {
        let wrong = |wrong: String| SloError::new(path, Problem::Selector { found: text.to_owned(), wrong });
        if text.len() > LONGEST {
            let range = "a selector of at most 1024 bytes";
            return Err(SloError::new(path, Problem::Range { found: format!("{} bytes", text.len()), range }));
        }
        // The parser's own words are about its grammar; what to write instead is what helps.
        let expression = parse(text)
            .map_err(|_| wrong("is not a selector; write one like `requests_total{job=\"shop\"}`".into()))?;
        let Expr::VectorSelector(VectorSelector { name, matchers, offset, at }) = expression else {
            let kind = kind(&expression);
            return Err(wrong(format!("is {kind}; write the selector alone: Miax counts what it selects itself")));
        };
        if offset.is_some() || at.is_some() {
            return Err(wrong("moves in time; leave `offset` and `@` away".into()));
        }
        let Matchers { matchers, or_matchers } = matchers;
        if !or_matchers.is_empty() {
            return Err(wrong("joins matchers with `or`; Prometheus does not know that".into()));
        }
        let metric = name.ok_or_else(|| wrong("names no metric; write its name before the braces".into()))?;
        if !is_metric_name(&metric) {
            return Err(wrong("names a metric with other than letters, digits, `_` and `:`".into()));
        }
        let read = matchers.into_iter().map(|m| Matcher::read(m.op, m.name, m.value).map_err(&wrong));
        Ok(Self { metric, matchers: read.collect::<Result<_, _>>()? })
    }

    /// The name of its metric.
    #[must_use]
    pub fn metric(&self) -> &str {
        &self.metric
    }

    /// Whether it says something about the label.
    pub(super) fn speaks_of(&self, label: &str) -> bool {
        self.matchers.iter().any(|m| m.label == label)
    }

    /// The same series of the metric whose name goes on with `suffix`.
    pub(super) fn of_suffix(&self, suffix: &str) -> Self {
        Self { metric: format!("{}{suffix}", self.metric), matchers: self.matchers.clone() }
    }

    /// Those of its series whose label is one of some values.
    pub(super) fn with_one_of(mut self, label: &str, values: &[String]) -> Self {
        let (operator, value) = match values {
            [one] => (Operator::Is, one.clone()),
            many => (Operator::Fits, many.iter().map(|v| literal(v)).collect::<Vec<_>>().join("|")),
        };
        self.matchers.insert(Matcher { label: label.to_owned(), operator, value });
        self
    }
}

impl fmt::Display for Selector {
    /// PromQL in one spelling: matchers in order, each once, values with everything escaped that ends a text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matchers: Vec<String> = self.matchers.iter().map(Matcher::to_string).collect();
        match matchers.is_empty() {
            true => f.write_str(&self.metric),
            false => write!(f, "{}{{{}}}", self.metric, matchers.join(",")),
        }
    }
}

impl Matcher {
    fn read(operator: MatchOp, label: String, value: String) -> Result<Self, String> {
        if label == METRIC_NAME {
            return Err("names its metric among the matchers; write the name before the braces".into());
        }
        if !is_label_name(&label) {
            return Err(format!("matches the label `{label}`; a label has letters, digits and `_` only"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("matches `{label}` with a control character; leave it away"));
        }
        let operator = match operator {
            MatchOp::Equal => Operator::Is,
            MatchOp::NotEqual => Operator::IsNot,
            MatchOp::Re(_) => Operator::Fits,
            MatchOp::NotRe(_) => Operator::FitsNot,
        };
        if matches!(operator, Operator::Fits | Operator::FitsNot) {
            portable(&value).map_err(|why| format!("matches `{label}` with a pattern that {why}"))?;
        }
        Ok(Self { label, operator, value })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.operator {
            Operator::Is => "=",
            Operator::IsNot => "!=",
            Operator::Fits => "=~",
            Operator::FitsNot => "!~",
        };
        write!(f, "{}{operator}{}", self.label, quoted(&self.value))
    }
}

/// A text of PromQL. Control characters never come here.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A pattern that only `text` fits. It holds digits, letters, `.`, `+` and `-` only.
fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '.' | '+') {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

fn is_metric_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
}

fn is_label_name(text: &str) -> bool {
    is_metric_name(text) && !text.contains(':')
}

fn kind(expression: &Expr) -> &'static str {
    match expression {
        Expr::Aggregate(_) => "an aggregation",
        Expr::Unary(_) | Expr::Binary(_) => "a calculation",
        Expr::Paren(_) => "in parentheses",
        Expr::Subquery(_) => "a subquery",
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => "a constant",
        Expr::VectorSelector(_) => "a selector",
        Expr::MatrixSelector(_) => "a range",
        Expr::Call(_) => "a function",
        Expr::Extension(_) => "not PromQL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found =
            Selector::read("spec.indicator.ratio.total", text).map(|s| s.to_string()).map_err(|e| e.to_string());
        match expected {
            Ok(want) => assert_eq!(found.as_deref(), Ok(want), "{text}"),
            Err(part) => assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{text}: {found:?}"),
        }
    }

    #[test]
    fn a_selector_has_one_spelling() {
        check("up", Ok("up"));
        check("up{}", Ok("up"));
        check(
            " http_requests_total { job = 'shop' , code=~\"5..\", } ",
            Ok(r#"http_requests_total{code=~"5..",job="shop"}"#),
        );
        check(r#"a{x="1",x="1"}"#, Ok(r#"a{x="1"}"#));
        check(r#"a{x!="1",b!~"c|d"}"#, Ok(r#"a{b!~"c|d",x!="1"}"#));
        check("job:requests:sum", Ok("job:requests:sum"));
        check(r#"a{x="ünïcode ✓"}"#, Ok(r#"a{x="ünïcode ✓"}"#));
        check(r#"a{x='back\\slash'}"#, Ok(r#"a{x="back\\slash"}"#));
        check("a # a comment", Ok("a"));
    }

    #[test]
    fn what_is_more_than_a_selector_is_refused() {
        check("rate(a[5m])", Err("is a function"));
        check("sum(a)", Err("is an aggregation"));
        check("a[5m]", Err("is a range"));
        check("a[1h:5m]", Err("is a subquery"));
        check("a offset 5m", Err("moves in time"));
        check("a @ 1609746000", Err("moves in time"));
        check("a @ end()", Err("moves in time"));
        check("a + b", Err("is a calculation"));
        check("-a", Err("is a calculation"));
        check("(a)", Err("in parentheses"));
        check("1", Err("is a constant"));
        check("\"a\"", Err("is a constant"));
        check("a or b", Err("is a calculation"));
        check(r#"{job="shop"}"#, Err("names no metric"));
        check(r#"{__name__="a"}"#, Err("names no metric"));
        check(r#"{__name__=~"a.*"}"#, Err("names no metric"));
        check(r#"a{__name__!="b"}"#, Err("is not a selector"));
        check(r#"a{x="1" or y="2"}"#, Err("with `or`"));
        check(r#"{"ünï.code"}"#, Err(""));
        check(r#"a{"dotted.label"="x"}"#, Err("a label has letters"));
        check("", Err("is not a selector"));
        check("a b", Err("is not a selector"));
        check(&format!("a{{x=\"{}\"}}", "y".repeat(LONGEST)), Err("at most 1024 bytes"));
    }

    #[test]
    fn nothing_that_is_put_into_a_name_or_value_leaves_it() {
        check(r#"a"} or vector(1) or b{x="y"#, Err("is not a selector"));
        check(r#"a{x="\"} or vector(1) #"}"#, Ok(r#"a{x="\"} or vector(1) #"}"#));
        check(r#"a{x="\\\"} #"}"#, Ok(r#"a{x="\\\"} #"}"#));
        check("a{x=\"line\nbreak\"}", Err(""));
        check(r#"a{x="line\nbreak"}"#, Err("control character"));
        check(r#"a{x="\x00"}"#, Err("control character"));
        check("a{x=\"\u{202e}\"}", Ok("a{x=\"\u{202e}\"}"));
        check(r#"a{x=~"a**"}"#, Err("matches `x` with a pattern"));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_so_that_it_reads_back(text in "[a-c]\\{[a-c](=|!=|=~)\"[ -~é✓]{0,12}\"\\}") {
            if let Ok(selector) = Selector::read("x", &text) {
                let again = Selector::read("x", &selector.to_string());
                prop_assert_eq!(again, Ok(selector));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = Selector::read("x", &text);
        }

        #[test]
        fn no_query_makes_it_panic(text in "[a-z_:{}()\\[\\]\"'`\\\\=!~,.@0-9 +*/^-]{0,60}") {
            let _ = Selector::read("x", &text);
        }
    }
}
