//! What a query of somebody else counts: the counters inside of `sum(rate(counters[window]))`.

use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, ParenExpr, VectorSelector, parse, token,
};

use super::error::{Problem, SloError};
use super::selector::Selector;

/// What a query counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The events of these counters.
    All(Selector),
    /// The events of the first that are not of the second.
    Without(Selector, Selector),
}

/// Reads what a query counts: counters alone, a sum of their rate or increase without groups, or the difference of two such sums.
///
/// # Errors
/// [`SloError`] at `path` when it is anything else: nobody could say what it counts exactly.
pub fn counted(path: &str, query: &str) -> Result<Counted, SloError> {
    let wrong = |wrong: &str| {
        SloError::new(path, Problem::Selector { found: query.trim().to_owned(), wrong: wrong.to_owned() })
    };
    let expression = parse(query).map_err(|_| wrong("is not PromQL"))?;
    let odd = || {
        wrong(
            "is more than `sum(rate(counters[window]))` or the difference of two of those; write its counters yourself",
        )
    };
    match inside(&expression) {
        Expr::Binary(BinaryExpr { op, lhs, rhs, modifier: None }) if op.id() == token::T_SUB => {
            let (all, part) = (counters(lhs).ok_or_else(odd)?, counters(rhs).ok_or_else(odd)?);
            Ok(Counted::Without(read(path, all)?, read(path, part)?))
        }
        other => Ok(Counted::All(read(path, counters(other).ok_or_else(odd)?)?)),
    }
}

fn read(path: &str, selector: &VectorSelector) -> Result<Selector, SloError> {
    Selector::read(path, &selector.to_string())
}

/// The expression without the parentheses around it.
fn inside(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(ParenExpr { expr }) => inside(expr),
        other => other,
    }
}

/// The counters whose rate is summed.
fn counters(expression: &Expr) -> Option<&VectorSelector> {
    match inside(expression) {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::Aggregate(AggregateExpr { op, expr, param: None, modifier: None }) if op.id() == token::T_SUM => {
            counters(expr)
        }
        Expr::Call(Call { func, args }) if matches!(func.name, "rate" | "increase") => match args.args.as_slice() {
            [one] => match inside(one) {
                Expr::MatrixSelector(MatrixSelector { vs, range: _ }) => Some(vs),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<&str, &str>) {
        let words = |counted| match counted {
            Counted::All(all) => all.to_string(),
            Counted::Without(all, part) => format!("{all} without {part}"),
        };
        let found = counted("x", query).map(words).map_err(|e| e.to_string());
        match expected {
            Ok(want) => assert_eq!(found.as_deref(), Ok(want), "{query}"),
            Err(part) => assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{query}: {found:?}"),
        }
    }

    #[test]
    fn the_counters_of_a_sum_of_rates_are_found() {
        check("a{x='1'}", Ok(r#"a{x="1"}"#));
        check("sum(rate(a{x='1'}[5m]))", Ok(r#"a{x="1"}"#));
        check(" (sum((increase(a[1h])))) ", Ok("a"));
        check(
            "(sum(rate(h_count[5m])) - sum(rate(h_bucket{le='0.3'}[5m])))",
            Ok(r#"h_count without h_bucket{le="0.3"}"#),
        );
        for odd in [
            "sum by (x) (rate(a[5m]))",
            "avg(rate(a[5m]))",
            "sum(rate(a[5m])) * 2",
            "sum(irate(a[5m]))",
            "sum(rate(a[5m] offset 1h))",
            "rate(a[5m]) - on (x) rate(b[5m])",
            "1",
            "sum(rate(a[5m])) or vector(0)",
        ] {
            assert!(counted("x", odd).is_err(), "{odd}");
        }
        check("sum(rate(", Err("is not PromQL"));
    }
}
