//! What every answer of the API has around it, and how questions are written. Pure.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::units::UnixMillis;

use super::error::{PrometheusError, quoted};

/// The envelope of an answer that is one: its data, not yet understood.
#[derive(Debug)]
pub(super) struct Envelope(Box<RawValue>);

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
struct Form {
    status: Status,
    data: Option<Box<RawValue>>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// Opens an answer. Remarks (`infos`) take nothing away from it; a warning means that something of it may be missing.
pub(super) fn open(code: u16, body: &[u8]) -> Result<Envelope, PrometheusError> {
    let is_well = (200..300).contains(&code);
    let form: Form = match serde_json::from_slice(body) {
        Ok(form) => form,
        Err(error) if is_well => return Err(PrometheusError::Form(quoted(&error.to_string()))),
        Err(_) => return Err(PrometheusError::Status { code }),
    };
    let Form { status, data, error_type, error, warnings } = form;
    match (status, data) {
        (Status::Error, _) => Err(PrometheusError::Api {
            kind: quoted(&error_type.unwrap_or_else(|| "error".to_owned())),
            message: quoted(&error.unwrap_or_default()),
        }),
        (Status::Success, _) if !is_well => Err(PrometheusError::Status { code }),
        (Status::Success, _) if !warnings.is_empty() => Err(PrometheusError::Warned(quoted(&warnings.join("; ")))),
        (Status::Success, Some(data)) => Ok(Envelope(data)),
        (Status::Success, None) => Err(PrometheusError::Form("there is no data in it".to_owned())),
    }
}

impl Envelope {
    /// The data, as this type.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PrometheusError> {
        serde_json::from_str(self.0.get()).map_err(|error| PrometheusError::Form(quoted(&error.to_string())))
    }
}

/// A moment as the API takes it.
pub(super) fn seconds(at: UnixMillis) -> String {
    format!("{}.{:03}", at.0 / 1000, at.0 % 1000)
}

/// A moment as the API gives it: seconds with at most three digits after the point.
pub(super) fn moment(text: &str) -> Option<UnixMillis> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if part.len() > 3 || !is_number(part) || !is_number(whole) {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part).map(UnixMillis)
}

/// Names and values as a form sends them.
pub(super) fn form<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

fn escape(value: &str, text: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_is_told_apart() {
        let check = |code: u16, body: &str, expected: &str| {
            let found = open(code, body.as_bytes()).map_or_else(|e| e.to_string(), |data| data.0.get().to_owned());
            assert!(found.contains(expected), "{code} {body}: {found}");
        };
        check(200, r#"{"status": "success", "data": {"a": 1}, "infos": ["PromQL info: x"]}"#, r#"{"a": 1}"#);
        check(200, r#"{"status":"success","data":1,"warnings":["store a is down","b"]}"#, "whole: store a is down; b");
        check(200, r#"{"status":"success"}"#, "no data");
        check(200, r#"{"status":"success","data":null}"#, "no data");
        check(200, r#"{"status":"perhaps","data":1}"#, "unknown variant `perhaps`");
        check(200, r#"{"status":"success","data":"#, "EOF");
        check(200, "", "EOF");
        check(200, "<html>Log in</html>", "expected value");
        check(200, r#"[1]"#, "is not what its API answers");
        check(200, r#"{"status":"success","status":"error","data":1}"#, "duplicate field `status`");
        check(200, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#, "execution: too many");
        check(
            400,
            r#"{"status":"error","errorType":"bad_data","error":"parse error\nat 1"}"#,
            "bad_data: parse error at 1",
        );
        check(503, r#"{"status":"success","data":1}"#, "status 503; it has too much to do");
        check(500, "oh", "status 500");
        check(302, "", "status 302; redirects are not followed");
        check(401, "", "status 401; it does not let this operator ask");
        check(404, "404 page not found", "status 404; there is no Prometheus API");
    }

    #[test]
    fn moments_are_exact_to_the_millisecond() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(moment(text), expected.map(UnixMillis), "{text}");
        check("1435781451.781", Some(1_435_781_451_781));
        check("1435781451.07", Some(1_435_781_451_070));
        check("1435781451", Some(1_435_781_451_000));
        check("0", Some(0));
        check("1.2345", None);
        check("-1", None);
        check("1e9", None);
        check("", None);
        check("99999999999999999999", None);
        for at in [0, 7, 1000, 1_435_781_451_070, 1_435_781_451_781] {
            assert_eq!(moment(&seconds(UnixMillis(at))), Some(UnixMillis(at)));
        }
    }

    #[test]
    fn no_question_ends_a_field_or_begins_another() {
        let text = form([("query", "up{a=\"b&time=0#ä\"} + 1"), ("time", "1.000")].into_iter());
        assert_eq!(text, "query=up%7Ba%3D%22b%26time%3D0%23%C3%A4%22%7D%20%2B%201&time=1.000");
    }
}
