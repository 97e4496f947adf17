//! What a command prints: tables for people, JSON for programs, colour only on a terminal that wants it.
//!
//! Answers go to stdout, everything else to stderr. A reader that goes away (`| head`) is no error.

use crate::time;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::{
    fmt::Display,
    fs,
    io::{self, IsTerminal, Write},
    os::unix::fs::{FileTypeExt, MetadataExt},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON value.
    Json,
}

/// Could something of the answer not be written, though somebody reads it?
static IS_CUT: AtomicBool = AtomicBool::new(false);
/// Has the reader gone before the answer was whole?
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Notes that an answer is not whole, as on a full disk.
fn written(result: io::Result<()>) {
    let Err(error) = result else { return };
    match error.kind() {
        io::ErrorKind::BrokenPipe => IS_UNREAD.store(true, Ordering::Relaxed),
        _ => IS_CUT.store(true, Ordering::Relaxed),
    }
}

/// Says that what was just printed is never told again. A reader that has gone is an error here: nobody has the secret then. Where it went to
/// `/dev/null`, as what a closed standard output is made to be before `main`, that is said, and how another one is had.
pub(crate) fn shown_once(what: &str, again: impl Display) {
    written(io::stdout().lock().flush());
    if IS_UNREAD.load(Ordering::Relaxed) {
        IS_CUT.store(true, Ordering::Relaxed);
    }
    if is_cut() {
        note(format_args!("The {what} was to be shown this once. Another one: {again}"));
    } else if is_null() {
        warn(format_args!(
            "the {what} is shown this once, and standard output is closed or /dev/null: nobody has it. Another one: {again}"
        ));
    } else {
        note(format_args!("The {what} is shown this once."));
    }
}

/// Does standard output keep nothing?
fn is_null() -> bool {
    let Ok(null) = fs::metadata("/dev/null") else { return false };
    fs::metadata("/dev/stdout").is_ok_and(|out| out.rdev() == null.rdev() && out.file_type().is_char_device())
}

/// Is what was printed not all of it?
pub(crate) fn is_cut() -> bool {
    written(io::stdout().lock().flush());
    IS_CUT.load(Ordering::Relaxed)
}

/// Prints a line of an answer.
pub(crate) fn line(text: impl Display) {
    written(writeln!(io::stdout().lock(), "{text}"));
}

/// Prints a secret's value as it is: with a line break after it for a terminal, byte for byte for a program.
pub(crate) fn value(text: &str) {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()));
    if io::stdout().is_terminal() {
        written(out.write_all(b"\n"));
    }
    written(out.flush());
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Says something besides the answer.
pub(crate) fn note(text: impl Display) {
    let _reader_gone = writeln!(io::stderr().lock(), "{text}");
}

/// Says something that somebody may have to act upon.
pub(crate) fn warn(text: impl Display) {
    note(format_args!("{} {text}", paint_if(io::stderr().is_terminal(), Colour::Warn, "warning:")));
}

/// Progress of long work: one line of a terminal, renewed in place; nothing at all where nobody looks.
pub(crate) struct Progress {
    what: &'static str,
    total: usize,
    is_shown: bool,
}

impl Progress {
    /// Of so many steps.
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, is_shown: io::stderr().is_terminal() && total > 1 }
    }

    /// So many are done.
    pub(crate) fn step(&self, done: usize) {
        if self.is_shown {
            let mut out = io::stderr().lock();
            let _reader_gone = write!(out, "\r{} {done}/{}\x1b[K", self.what, self.total);
            let _reader_gone = out.flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _reader_gone = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) {
    if let Ok(text) = serde_json::to_string_pretty(value) {
        line(text);
    }
}

/// Prints rows under headings; nothing at all says so.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>, nothing: &str) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    if table.row_count() == 0 {
        return note(nothing);
    }
    for row in table.lines() {
        line(row.trim_end().strip_prefix(' ').unwrap_or(&row).trim_end());
    }
}

/// Prints names and values below each other.
pub(crate) fn facts(facts: &[(&str, String)]) {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in facts {
        line(format_args!("{}  {value}", paint(Colour::Dim, format_args!("{name:width$}"))));
    }
}

/// A colour by its meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    /// It is as it should be.
    Good,
    /// Somebody may have to act.
    Warn,
    /// It is not as it should be.
    Bad,
    /// What matters.
    Strong,
    /// What matters less.
    Dim,
}

/// Text in a colour, if stdout shows colours (<https://no-color.org>).
pub(crate) fn paint(colour: Colour, text: impl Display) -> String {
    paint_if(io::stdout().is_terminal(), colour, text)
}

/// Text in a colour, if wherever it goes is a terminal and the user wants colours.
pub(crate) fn paint_if(is_terminal: bool, colour: Colour, text: impl Display) -> String {
    if !is_terminal || !wants_colours() {
        return text.to_string();
    }
    let code = match colour {
        Colour::Good => "32",
        Colour::Warn => "33",
        Colour::Bad => "31",
        Colour::Strong => "1",
        Colour::Dim => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

fn wants_colours() -> bool {
    static WANTS: OnceLock<bool> = OnceLock::new();
    *WANTS.get_or_init(|| {
        let is_dumb = crate::variable("TERM").is_some_and(|term| term == "dumb");
        crate::variable("NO_COLOR").is_none() && !is_dumb
    })
}

/// A time as people read it, UTC.
pub(crate) fn time(seconds: i64) -> String {
    time::civil(seconds)
        .map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_795_530_813, "2026-11-24 14:33:33Z"),
            (-1, "1969-12-31 23:59:59Z"),
            (253_402_300_799, "9999-12-31 23:59:59Z"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }
}
