//! The report: rows of figures with their ratio to a raw limit and what was expected of it, as Markdown.

use std::fmt::Write as _;

/// One measured thing.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Its figure with its unit.
    pub(crate) figure: String,
    /// What it is held against, with its figure.
    pub(crate) against: String,
    /// Figure over limit (or limit over figure for rates), if there is one.
    pub(crate) ratio: Option<f64>,
    /// What was expected, in words.
    pub(crate) expected: String,
    /// Does it hold?
    pub(crate) is_met: Option<bool>,
}

/// All rows of one run.
pub(crate) struct Report {
    /// The machine, one line.
    pub(crate) machine: String,
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{}\n\n| measured | figure | against | ratio | expected | met |\n|---|---|---|---|---|---|\n",
            self.machine
        );
        for row in &self.rows {
            let ratio = row.ratio.map_or(String::new(), |ratio| format!("**{ratio:.2}**"));
            let met = match row.is_met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {ratio} | {} | {met} |",
                row.what, row.figure, row.against, row.expected
            );
        }
        text
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
