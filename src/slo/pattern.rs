//! Which patterns of label values Prometheus takes for sure. Its patterns are RE2, ours are read by another program: what the two
//! could read differently is refused. One pattern that Prometheus does not take would make it refuse a whole file of rules.

/// How often all repetitions together may repeat: RE2 refuses more.
const MOST_REPEATS: u32 = 1000;

/// Whether a pattern is read alike by RE2 and by everybody else.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub(super) fn portable(pattern: &str) -> Result<(), String> {
    let mut rest = pattern.chars().peekable();
    let mut after = After::Start;
    let mut repeats: u32 = 1;
    let mut open: u32 = 0;
    while let Some(c) = rest.next() {
        after = match c {
            '\\' => match rest.next() {
                Some(e) if e.is_ascii_punctuation() || "dDsSwWbB".contains(e) => After::Atom,
                _ => return Err("escapes something that not everybody knows; escape punctuation only".into()),
            },
            '(' => {
                if rest.peek() == Some(&'?') {
                    rest.next();
                    if rest.next() != Some(':') {
                        return Err("has flags or names; write `(` or `(?:`".into());
                    }
                }
                open += 1;
                After::Start
            }
            ')' => {
                open = open.checked_sub(1).ok_or("closes a parenthesis that is not open")?;
                After::Atom
            }
            '[' => {
                class(&mut rest)?;
                After::Atom
            }
            ']' | '}' => return Err(format!("has `{c}` alone; escape it")),
            '*' | '+' | '?' => match (after, c) {
                (After::Atom, _) => After::Repeat,
                (After::Repeat, '?') => After::Lazy,
                (After::Start | After::Repeat | After::Lazy, _) => {
                    return Err(format!("repeats nothing with `{c}`; escape it or leave it away"));
                }
            },
            '{' => {
                let times = count(&mut rest)?;
                repeats =
                    repeats.checked_mul(times.max(1)).filter(|r| *r <= MOST_REPEATS).ok_or("repeats too often")?;
                match after {
                    After::Atom => After::Repeat,
                    After::Start | After::Repeat | After::Lazy => {
                        return Err("repeats nothing with `{`; escape it".into());
                    }
                }
            }
            '|' | '^' | '$' => After::Start,
            _ => After::Atom,
        };
    }
    if open > 0 {
        return Err("leaves a parenthesis open".into());
    }
    Ok(())
}

/// What stands before the next character.
#[derive(Clone, Copy)]
enum After {
    Start,
    Atom,
    Repeat,
    Lazy,
}

/// Reads a class up to its end. Sets of sets are of one dialect only.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(), String> {
    if rest.peek() == Some(&'^') {
        rest.next();
    }
    let mut before = None;
    let mut empty = true;
    while let Some(c) = rest.next() {
        match c {
            ']' if empty => return Err("has an empty class".into()),
            ']' => return Ok(()),
            '[' => return Err("has a class inside of a class; escape the `[`".into()),
            '&' | '~' | '-' if before == Some(c) => return Err(format!("has `{c}{c}` in a class; escape them")),
            '\\' => match rest.next() {
                Some(e) if e.is_ascii_punctuation() || "dDsSwW".contains(e) => before = None,
                _ => return Err("escapes something that not everybody knows; escape punctuation only".into()),
            },
            other => before = Some(other),
        }
        empty = false;
    }
    Err("leaves a class open".into())
}

/// Reads `n}`, `n,}` or `n,m}`; the largest number of it.
fn count(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<u32, String> {
    let text: String = rest.by_ref().take_while(|c| *c != '}').collect();
    let wrong = || format!("has `{{{text}`; a repetition is `{{2}}`, `{{2,}}` or `{{2,5}}`, anything else is escaped");
    let number = |t: &str| match t.len() {
        1..=4 if t.bytes().all(|c| c.is_ascii_digit()) => t.parse::<u32>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    match text.split_once(',') {
        None => number(&text),
        Some((least, "")) => number(least),
        Some((least, most)) => match (number(least)?, number(most)?) {
            (least, most) if least <= most => Ok(most),
            _ => Err(wrong()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_read_alike_by_everybody_or_refused() {
        for good in [
            "5..",
            "a|b",
            "",
            ".*",
            "(a|b)+?",
            "[a-z_]{2,5}",
            "/api/.*",
            r"a\.b",
            r"\d+",
            "(?:x)?",
            "[^5]",
            "é+",
            r"\{x\}",
            "a??",
            "^a$",
        ] {
            assert_eq!(portable(good), Ok(()), "{good}");
        }
        for wrong in [
            "a**",
            "a*+",
            "*",
            "a|*",
            "(?i)a",
            "(?P<n>a)",
            "(?=a)",
            "(a",
            "a)",
            "[a",
            "[]",
            "[[:alpha:]]",
            "[a&&b]",
            "[a--b]",
            r"\p{L}",
            r"\x41",
            r"\u0041",
            r"\Q",
            "a{1001}",
            "(a{100}){100}",
            "{2}",
            "a{b}",
            "a{2,1}",
            "a{",
            "}",
            "]",
            r"\",
            "a{,2}",
        ] {
            assert!(portable(wrong).is_err(), "{wrong}");
        }
    }
}
