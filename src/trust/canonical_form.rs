//! Whether bytes are canonical JSON, told in one pass that builds and writes nothing. Verifying a ledger asks this of every
//! entry; writing each entry anew to compare it takes longer than everything else about it.

use std::cmp::Ordering;

use super::canonical::{MAX_DEPTH, MAX_INTEGER};

/// Whether `bytes` are what RFC 8785 makes of the value that they mean, with integers of at most 53 bits and no deeper than
/// [`MAX_DEPTH`].
#[must_use]
pub fn is_canonical(bytes: &[u8]) -> bool {
    let mut scanner = Scanner { rest: bytes };
    std::str::from_utf8(bytes).is_ok() && scanner.value(0).is_some() && scanner.rest.is_empty()
}

/// What is left to look at. Every step is `None` at the first byte that is not canonical.
struct Scanner<'a> {
    rest: &'a [u8],
}

/// A text between its quotes, as it is spelled.
#[derive(Clone, Copy)]
struct Text<'a> {
    spelled: &'a [u8],
    escapes: bool,
}

impl<'a> Scanner<'a> {
    fn take(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.rest.first()? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.text().map(drop),
            b'n' => self.take(b"null"),
            b't' => self.take(b"true"),
            b'f' => self.take(b"false"),
            _ => self.integer(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.take(b"{")?;
        if self.take(b"}").is_some() {
            return Some(());
        }
        let mut before: Option<Text<'_>> = None;
        loop {
            let key = self.text()?;
            if before.is_some_and(|before| before.order(key) != Ordering::Less) {
                return None;
            }
            before = Some(key);
            self.take(b":")?;
            self.value(depth)?;
            if self.take(b",").is_none() {
                return self.take(b"}");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.take(b"[")?;
        if self.take(b"]").is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.take(b",").is_none() {
                return self.take(b"]");
            }
        }
    }

    fn text(&mut self) -> Option<Text<'a>> {
        self.take(b"\"")?;
        let whole = self.rest;
        let mut escapes = false;
        loop {
            let plain = self.rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))?;
            let (_, rest) = self.rest.split_at_checked(plain)?;
            self.rest = rest;
            match rest.first()? {
                b'"' => {
                    let spelled = whole.get(..whole.len() - rest.len())?;
                    self.take(b"\"")?;
                    return Some(Text { spelled, escapes });
                }
                b'\\' => {
                    escapes = true;
                    self.rest = unescape(rest)?.1;
                }
                _ => return None,
            }
        }
    }

    fn integer(&mut self) -> Option<()> {
        let negative = self.take(b"-").is_some();
        let length = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(length)?;
        let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let zero = value == 0;
        // `-0` is 0 and has its spelling; a digit 0 begins no other number.
        if value > MAX_INTEGER || (zero && (negative || length > 1)) || (!zero && digits.starts_with(b"0")) {
            return None;
        }
        self.rest = rest;
        Some(())
    }
}

/// The unit that a canonical escape at the beginning of `text` stands for, and what follows it.
fn unescape(text: &[u8]) -> Option<(u16, &[u8])> {
    let (escape, rest) = text.split_first_chunk::<2>()?;
    let unit = match escape {
        b"\\\"" => b'"',
        b"\\\\" => b'\\',
        b"\\b" => 0x08,
        b"\\t" => b'\t',
        b"\\n" => b'\n',
        b"\\f" => 0x0c,
        b"\\r" => b'\r',
        b"\\u" => {
            let (digits, rest) = rest.split_first_chunk::<4>()?;
            let unit = match digits {
                [b'0', b'0', high @ (b'0' | b'1'), low @ (b'0'..=b'9' | b'a'..=b'f')] => {
                    let low = if low.is_ascii_digit() { low - b'0' } else { low - b'a' + 10 };
                    (high - b'0') * 16 + low
                }
                _ => return None,
            };
            // These have a shorter escape.
            let shorter = matches!(unit, 0x08 | b'\t' | b'\n' | 0x0c | b'\r');
            return (!shorter).then_some((u16::from(unit), rest));
        }
        _ => return None,
    };
    Some((u16::from(unit), rest))
}

impl Text<'_> {
    /// The order of keys: by UTF-16 units (RFC 8785, section 3.2.3).
    fn order(self, other: Self) -> Ordering {
        let plain = |text: Self| !text.escapes && text.spelled.is_ascii();
        match plain(self) && plain(other) {
            true => self.spelled.cmp(other.spelled),
            false => self.units().cmp(&other.units()),
        }
    }

    fn units(self) -> Vec<u16> {
        let mut units = Vec::new();
        let mut rest = self.spelled;
        while !rest.is_empty() {
            if let Some((unit, after)) = unescape(rest) {
                units.push(unit);
                rest = after;
                continue;
            }
            // Up to the next escape; the whole is UTF-8, and an escape begins no character's middle.
            let plain = rest.iter().position(|b| *b == b'\\').unwrap_or(rest.len());
            let (text, after) = rest.split_at(plain);
            units.extend(String::from_utf8_lossy(text).encode_utf16());
            rest = after;
        }
        units
    }
}

#[cfg(test)]
mod tests {
    use super::super::canonical::canonical_json_slowly;
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What the scanner must agree with: read it, write it, compare.
    fn is_what_would_be_written(bytes: &[u8]) -> bool {
        let value: Option<Value> = serde_json::from_slice(bytes).ok();
        value.and_then(|v| canonical_json_slowly(&v).ok()).is_some_and(|written| written.as_slice() == bytes)
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(is_canonical(text.as_bytes()), expected, "{text}");
        assert_eq!(is_what_would_be_written(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn there_is_one_spelling() {
        for text in [
            "{}",
            "[]",
            "null",
            "true",
            "false",
            "0",
            "-1",
            "9007199254740991",
            r#""""#,
            r#""é €  ""#,
            r#""\b\t\n\f\r\"\\ \u0000\u001f/""#,
            r#"{"":1,"a":[{},[1,2]],"b":{"a":null}}"#,
            "{\"\\r\":2,\"1\":4,\"€\":1,\"😀\":5,\"\u{fb33}\":7}",
        ] {
            check(text, true);
        }
        for text in [
            "",
            " {}",
            "{} ",
            "{}{}",
            "[1,]",
            "[1 ]",
            "{\"a\":1,}",
            "{\"a\" :1}",
            "nul",
            "True",
            "-0",
            "-",
            "+1",
            "01",
            "00",
            "1.0",
            "1e2",
            "9007199254740992",
            "-9007199254740992",
            "99999999999999999999",
            "\"\u{1}\"",
            "\"",
            r#""\/""#,
            r#""\u0041""#,
            r#""\u000a""#,
            r#""\u001F""#,
            r#""\u00e9""#,
            r#""\ud83d\ude00""#,
            r#""\u00""#,
            r#""\x""#,
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":1}"#,
            "{\"\u{fb33}\":7,\"😀\":5}",
            r#"{"1":4,"\r":2}"#,
            r"{a:1}",
        ] {
            check(text, false);
        }
        assert!(!is_canonical(b"\"\xff\""));
        assert!(!is_canonical(b"\"\xed\xa0\x80\""));
    }

    #[test]
    fn the_deepest_document_is_no_deeper_than_elsewhere() {
        for depth in [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, MAX_DEPTH + 2, 10_000] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(is_canonical(text.as_bytes()), is_what_would_be_written(text.as_bytes()), "{depth}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_writer_on_texts_and_keys(texts in proptest::collection::vec("[\\x00-\\x20a\"\\\\é€\u{e000}\u{10400}]{0,4}", 0..5)) {
            let object: Value = texts.iter().map(|t| (t.clone(), Value::from(t.as_str()))).collect::<serde_json::Map<_, _>>().into();
            let canonical = canonical_json_slowly(&object).expect("canonical").into_vec();
            prop_assert!(is_canonical(&canonical));
            let plain = serde_json::to_vec(&object).expect("json");
            prop_assert_eq!(is_canonical(&plain), is_what_would_be_written(&plain));
        }

        #[test]
        fn it_agrees_with_the_writer_after_any_change(at in any::<prop::sample::Index>(), byte in any::<u8>(), insert in any::<bool>()) {
            let mut bytes = r#"{"a":[1,-20,"x\n\u0001é"],"b":{"€":null,"😀":true}}"#.as_bytes().to_vec();
            let place = at.index(bytes.len());
            if insert { bytes.insert(place, byte) } else { bytes[place] = byte }
            prop_assert_eq!(is_canonical(&bytes), is_what_would_be_written(&bytes), "{}", String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn it_agrees_with_the_writer_on_json_like_bytes(text in r#"[\[\]{}:,"\\0-9a\-ntu \.]{0,12}"#) {
            prop_assert_eq!(is_canonical(text.as_bytes()), is_what_would_be_written(text.as_bytes()), "{}", text);
        }
    }
}
