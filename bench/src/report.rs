//! The report: rows of figures with their ratio to a raw limit and what was expected of it, as Markdown.

use crate::load::Cost;
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

impl Row {
    pub(crate) fn limit(what: &str, figure: f64, unit: &str, at_most: f64) -> Self {
        Self {
            what: what.into(),
            figure: format!("{figure:.1} {unit}"),
            against: String::new(),
            ratio: None,
            expected: format!("under {at_most:.0} {unit}"),
            is_met: Some(figure < at_most),
        }
    }

    pub(crate) fn figure(what: &str, figure: String) -> Self {
        Self {
            what: what.into(),
            figure,
            against: String::new(),
            ratio: None,
            expected: String::new(),
            is_met: None,
        }
    }

    /// What something costs once there is much, against what it cost before: at most 1.3 of it is expected.
    pub(crate) fn grown(what: &str, us: f64, at: &str, before: f64) -> Self {
        let ratio = us / before;
        Self {
            what: what.into(),
            figure: format!("{us:.0} us"),
            against: format!("{at}: {before:.0} us"),
            ratio: Some(ratio),
            expected: "at most 1.3".into(),
            is_met: Some(ratio <= 1.3),
        }
    }

    /// The same done by two servers, in rounds: processor time a request, rate, and p99. The ratio is that of the processor times.
    pub(crate) fn compare(
        what: &str,
        ours: &[Cost],
        against: &str,
        theirs: &[Cost],
        at_most: Option<f64>,
    ) -> Self {
        let middle = |costs: &[Cost], pick: fn(&Cost) -> f64| median(costs.iter().map(pick).collect());
        let (cpu, bare_cpu) = (middle(ours, |cost| cost.cpu_us), middle(theirs, |cost| cost.cpu_us));
        let (rate, bare_rate) = (middle(ours, |cost| cost.rate), middle(theirs, |cost| cost.rate));
        let (p99, bare_p99) = (middle(ours, |cost| cost.p99_us), middle(theirs, |cost| cost.p99_us));
        // Pair by pair where there are pairs: a machine whose speed drifts changes both sides of a pair alike.
        let ratio =
            median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us).collect());
        Self {
            what: what.into(),
            figure: format!("{cpu:.1} us CPU, {rate:.0}/s, p99 {p99:.0} us"),
            against: format!("{against}: {bare_cpu:.1} us CPU, {bare_rate:.0}/s, p99 {bare_p99:.0} us"),
            ratio: Some(ratio),
            expected: at_most.map_or(String::new(), |at_most| format!("at most {at_most}")),
            is_met: at_most.map(|at_most| ratio <= at_most),
        }
    }
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
