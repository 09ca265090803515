//! JUnit XML, as CI systems read it.

use super::{CaseRun, Outcome, SuiteRun, Tally};

/// The report of all suites.
pub(super) fn report(runs: &[SuiteRun]) -> String {
    let tally = Tally::of(runs.iter().flat_map(|r| &r.cases));
    let mut lines = vec![
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned(),
        format!("<testsuites name=\"miax test\" {}>", counts(&tally)),
    ];
    for SuiteRun { place, cases } in runs {
        lines.push(format!("  <testsuite name=\"{}\" {}>", escape(place), counts(&Tally::of(cases))));
        lines.extend(cases.iter().map(|case| test_case(place, case)));
        lines.push("  </testsuite>".to_owned());
    }
    lines.push("</testsuites>\n".to_owned());
    lines.join("\n")
}

fn counts(tally: &Tally) -> String {
    let Tally { ok, failed, unclear } = tally;
    format!("tests=\"{}\" failures=\"{failed}\" errors=\"{unclear}\"", ok + failed + unclear)
}

fn test_case(place: &str, case: &CaseRun) -> String {
    let CaseRun { name, file: _, expected: _, outcome } = case;
    let head = format!("    <testcase classname=\"{}\" name=\"{}\"", escape(place), escape(name));
    let (element, what, details) = match outcome {
        Outcome::Ok(_) => return format!("{head}/>"),
        Outcome::Failed { what, got } => ("failure", what, got.message.as_str()),
        Outcome::Unclear(what) => ("error", what, ""),
    };
    format!("{head}>\n      <{element} message=\"{}\">{}</{element}>\n    </testcase>", escape(what), escape(details))
}

/// The text for an attribute or an element. What XML cannot hold at all is spelled out.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // As they stand, a reader would make spaces of them in an attribute.
            '\n' | '\r' | '\t' => out.push_str(&format!("&#{};", u32::from(c))),
            '\u{fffe}' | '\u{ffff}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_spelled_out() {
        assert_eq!(escape("a<b>&\"c\"'"), "a&lt;b&gt;&amp;&quot;c&quot;&apos;");
        assert_eq!(escape("a\nb"), "a&#10;b");
        assert_eq!(escape("\u{1b}[31m\u{0}\u{ffff}"), "\\u{1b}[31m\\u{0}\\u{ffff}");
        assert_eq!(escape("]]>é"), "]]&gt;é");
    }
}
