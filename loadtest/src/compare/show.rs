//! A comparison for a terminal and for a pull request.

use std::fmt::Write as _;

use super::{Comparison, FigureComparison, Verdict};
use crate::figures::Unit;
use crate::report::show;

/// The heads of the columns.
const HEADS: [&str; 6] = ["figure", "A", "B", "B / A", "interval", "verdict"];

impl FigureComparison {
    /// The verdict in words that fit what is measured.
    #[must_use]
    pub fn words(&self) -> &'static str {
        let time = matches!(self.unit, Unit::Time | Unit::Rate | Unit::ByteRate);
        match self.verdict {
            Verdict::Better if time => "faster",
            Verdict::Worse if time => "slower",
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Same => "no difference beyond noise",
            Verdict::TooFew => "too few slices to tell",
        }
    }

    fn cells(&self) -> [String; 6] {
        let interval = match (self.ratio_interval, self.difference_interval) {
            (Some(ratio), _) => format!("{:.3} to {:.3}", ratio.low, ratio.high),
            (None, Some(by)) => format!("{} to {}", signed(by.low, self.unit), signed(by.high, self.unit)),
            (None, None) => show::UNKNOWN.to_owned(),
        };
        [
            self.figure.clone(),
            show::figure(Some(self.a), self.unit),
            show::figure(Some(self.b), self.unit),
            self.ratio.map_or(show::UNKNOWN.to_owned(), |ratio| format!("{ratio:.3}")),
            interval,
            self.words().to_owned(),
        ]
    }
}

fn signed(value: f64, unit: Unit) -> String {
    let sign = if value < 0.0 { "-" } else { "+" };
    format!("{sign}{}", show::figure(Some(value.abs()), unit))
}

/// What intervals mean, and how many of them to mistrust.
fn note(of: &Comparison) -> String {
    let percent = show::share(of.confidence);
    let count: usize = of.groups.iter().map(|group| group.figures.len()).sum();
    let chance = (1.0 - of.confidence) * count as f64;
    format!(
        "Intervals hold {percent} of the time, one figure at a time: of {count} figures that do not differ at all, \
         about {chance:.1} would seem to."
    )
}

/// For a terminal.
#[must_use]
pub fn text(of: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    for (letter, side) in [("A", &of.a), ("B", &of.b)] {
        let _ = writeln!(out, "{letter}  {}, {}, {} measured slices", side.name, side.started, side.slices);
    }
    for warning in &of.warnings {
        let _ = writeln!(out, "!  {warning}");
    }
    for group in &of.groups {
        let _ = writeln!(out, "\n{}", group.name);
        let mut lines = vec![HEADS.map(str::to_owned)];
        lines.extend(group.figures.iter().map(FigureComparison::cells));
        let wide =
            |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..HEADS.len()).map(|column| wide(column).unwrap_or(0)).collect();
        for line in &lines {
            let padded = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let pad = " ".repeat(width - cell.chars().count());
                if (1..5).contains(&column) { pad + cell } else { cell.clone() + &pad }
            });
            let _ = writeln!(out, "  {}", padded.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
    let _ = writeln!(out, "\n{}", note(of));
    out
}

/// For a pull request.
#[must_use]
pub fn markdown(of: &Comparison) -> String {
    let mut out = String::from("### Load test: B against A\n\n");
    for (letter, side) in [("A", &of.a), ("B", &of.b)] {
        let name = show::markdown(&side.name);
        let _ = writeln!(out, "- {letter}: {name}, {}, {} measured slices", side.started, side.slices);
    }
    for warning in &of.warnings {
        let _ = writeln!(out, "- **{}**", show::markdown(warning));
    }
    for group in &of.groups {
        let _ = writeln!(
            out,
            "\n**{}**\n\n| {} |\n|---|--:|--:|--:|--:|---|",
            show::markdown(&group.name),
            HEADS.join(" | ")
        );
        for figure in &group.figures {
            let mut cells = figure.cells();
            if let (Verdict::Better | Verdict::Worse, Some(last)) = (figure.verdict, cells.last_mut()) {
                *last = format!("**{last}**");
            }
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    let _ = writeln!(out, "\n{}", note(of));
    out
}
