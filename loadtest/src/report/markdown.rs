//! The report for a pull request: verdict and thresholds first, the table, then what it ran on.

use std::fmt::Write as _;

use crate::report::model::Report;
use crate::report::{rows, show};

/// GitHub's Markdown.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let (word, why) = rows::verdict(report);
    let measured = show::time(report.measured_s * 1e9);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "### Load test: {}\n", show::markdown(&report.name));
    let _ = writeln!(out, "**{word}** · {measured} measured · started {}\n", report.started);
    for reason in why {
        let _ = writeln!(out, "- {}", show::markdown(&reason));
    }
    if !report.thresholds.is_empty() {
        out.push_str("\n| threshold | figure | |\n|---|--:|---|\n");
        for (index, threshold) in report.thresholds.iter().enumerate() {
            let word = if threshold.held { "✓ held" } else { "✗ **BROKEN**" };
            let value = rows::threshold_value(report, index);
            let _ = writeln!(out, "| {} | {value} | {word} |", code(&threshold.text));
        }
        out.push('\n');
    }
    let columns = report.columns();
    let names: Vec<String> = columns.iter().map(|group| show::markdown(&group.name)).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()));
    let clients: Vec<String> = columns.iter().map(|group| show::count(group.clients as f64)).collect();
    let _ = writeln!(out, "| clients connected, most | {} |", clients.join(" | "));
    for row in rows::rows(report) {
        let _ = writeln!(out, "| {} | {} |", show::markdown(row.title.trim()), row.cells.join(" | "));
    }
    let _ = writeln!(out, "\n<details><summary>How it was measured</summary>\n");
    let _ = writeln!(out, "- command: {}", code(&report.command));
    let _ = writeln!(out, "- tool: {}", rows::tool_line(report));
    for line in rows::clock_lines(report) {
        let _ = writeln!(out, "- clock: {}", show::markdown(&line));
    }
    for generator in &report.generators {
        let trouble = generator.trouble.as_ref().map_or(String::new(), |trouble| format!(": {trouble}"));
        let line = format!("{} ({}, {} threads){trouble}", generator.name, generator.machine, generator.threads);
        let _ = writeln!(out, "- from: {}", show::markdown(&line));
    }
    let _ = writeln!(out, "- swarmcast-load {}\n\n</details>", report.tool_version);
    out
}

/// A span of code, fenced by more backticks than it holds in a row. A bar is escaped for tables.
fn code(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let text = text.replace(['\n', '\r'], " ").replace('|', "\\|");
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}
