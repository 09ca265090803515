//! How the CLI speaks: data on stdout, talk on stderr, colour on a terminal only.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde::Serialize;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document; its fields are stable.
    Json,
    /// One YAML document.
    Yaml,
}

/// The answer of a command, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes, done: 0.
    Yes,
    /// No, refused, wrong: 1.
    No,
    /// Could not tell: 2.
    Unclear,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::SUCCESS,
            Answer::No => Self::FAILURE,
            Answer::Unclear => Self::from(2),
        }
    }
}

/// Why a command could not do its work: what is wrong, where, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) next: Option<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), next: None }
    }

    /// Adds what the user can do.
    pub(super) fn with_next(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }
}

/// Gives what any error says a failure.
pub(super) fn failure(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Doubt,
    Quiet,
    Strong,
}

/// Paints text if stdout and stderr are a terminal and `NO_COLOR` is not set.
pub(super) fn paint(text: &str, tone: Tone) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    // What is painted goes to stdout or to stderr; a file gets no colours, whichever of them it is.
    if plain || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Doubt => "33",
        Tone::Quiet => "2",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// The text with everything spelled out that a terminal would act on or that would show another order of words than is
/// there: what people read before they sign comes from strangers. Line ends stay.
pub(super) fn plain(text: &str) -> String {
    let acts = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match acts(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
        out
    })
}

/// The same, on one line.
pub(super) fn one_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// Prints data.
pub(super) fn say(text: &str) {
    // A closed pipe (`| head`) is the reader's way to say that it has enough.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
}

/// Prints talk.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text.trim_end_matches('\n'));
}

/// Asks whoever sits at the terminal; `None` when nobody does.
pub(super) fn ask(question: &str) -> Result<Option<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    tell(question);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| failure(&e))?;
    Ok(Some(answer.trim().to_owned()))
}

/// Prints a value as JSON or YAML; text is for the caller.
pub(super) fn print(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    say(&render(format, value, text)?);
    Ok(())
}

/// The same, and fails when it could not be written: for what must not be taken as told when nobody has heard it.
pub(super) fn print_durably(
    format: Format,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = render(format, value, text)?;
    let mut out = std::io::stdout();
    let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
    written.map_err(|e| Failure::new(format!("the findings cannot be written: {e}")))
}

fn render(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<String, Failure> {
    let value = serde_json::to_value(value).map_err(|e| failure(&e))?;
    Ok(match format {
        Format::Text => text(),
        Format::Json => serde_json::to_string_pretty(&value).map_err(|e| failure(&e))?,
        Format::Yaml => crate::trust::to_yaml(&value),
    })
}

/// Columns of equal width, two spaces apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| one_line(c).chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| format!("{:<w$}", one_line(cell))).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
