//! The report as a table: a line for each row and phase, a column for each target.
//!
//! A cell is the median and, in brackets, the median ratio to the bare directory. For our targets a `+` says that the
//! goal is reached and a `!` that it is missed.

use std::fmt::Write;

use super::{Cell, Line, Report, Suite};

/// For a terminal.
pub fn text(report: &Report) -> String {
    let mut out = heading(report);
    for suite in &report.suites {
        let table = cells(report, suite);
        let columns = table.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            table
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        line(&mut out, &format!("\n{}\n", title(suite)));
        for row in &table {
            let padded = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 | 1 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
            line(&mut out, padded.collect::<Vec<_>>().join("  ").trim_end());
        }
        line(&mut out, "");
        verdicts(&mut out, report, suite, "");
    }
    footing(&mut out, report, "");
    out
}

/// For a README.
pub fn markdown(report: &Report) -> String {
    let mut out = heading(report);
    for suite in &report.suites {
        line(&mut out, &format!("\n**{}**\n", title(suite)));
        for (number, row) in cells(report, suite).iter().enumerate() {
            line(&mut out, &format!("| {} |", row.join(" | ")));
            if number == 0 {
                let rules = row
                    .iter()
                    .enumerate()
                    .map(|(column, _)| if column < 2 { "---" } else { "---:" });
                line(
                    &mut out,
                    &format!("|{}|", rules.collect::<Vec<_>>().join("|")),
                );
            }
        }
        line(&mut out, "");
        verdicts(&mut out, report, suite, "* ");
    }
    footing(&mut out, report, "* ");
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn heading(report: &Report) -> String {
    let machine = &report.machine;
    let mut out = format!("{} CPUs, kernel {}", machine.cpus, machine.kernel);
    if let Some(memory) = machine.memory_mib {
        // Writing to a String cannot fail.
        let _ok = write!(out, ", {} GiB", (memory + 512) / 1024);
    }
    let rounds = if report.rounds == 1 {
        "1 round".to_owned()
    } else {
        format!("{} rounds", report.rounds)
    };
    format!("{out}; medians of {rounds}, ratio to the bare directory in brackets\n")
}

/// What a suite is called.
pub fn title(suite: &Suite) -> &'static str {
    if suite.pinned {
        "caller and daemon on one CPU"
    } else {
        "caller and daemon on any CPU"
    }
}

fn cells(report: &Report, suite: &Suite) -> Vec<Vec<String>> {
    let mut head: Vec<String> = ["row", "phase", "unit", "goal"].map(str::to_owned).into();
    head.extend(report.targets.iter().map(|target| target.name.to_owned()));
    let mut table = vec![head];
    for line in &suite.lines {
        let goal = line
            .goal
            .map_or(String::new(), |goal| goal_text(line, goal));
        let mut row = vec![
            line.row.to_owned(),
            line.phase.to_string(),
            line.unit.to_owned(),
            goal,
        ];
        for (number, (target, cell)) in report.targets.iter().zip(&line.cells).enumerate() {
            let mut text = cell_text(line, cell, number > 0);
            if target.ours {
                text.push_str(match line.reaches_goal(cell) {
                    Some(true) => " +",
                    Some(false) => " !",
                    None => "  ",
                });
            }
            row.push(text);
        }
        table.push(row);
    }
    table
}

fn goal_text(line: &Line, goal: f64) -> String {
    format!("{}{goal}", if line.higher_is_better { '≥' } else { '≤' })
}

fn cell_text(line: &Line, cell: &Cell, with_ratio: bool) -> String {
    let Some(value) = cell.value else {
        return if cell.error.is_some() { "failed" } else { "-" }.to_owned();
    };
    let decimals = match line.unit {
        _ if line.unit_is_coarse() => usize::from(value.median < 10.0),
        "s" => 3,
        _ => 1 + usize::from(value.median < 10.0),
    };
    let text = format!("{:.decimals$}", value.median);
    match cell.ratio {
        Some(ratio) if with_ratio => format!("{text} ({:.2})", ratio.median),
        _ => text,
    }
}

fn verdicts(out: &mut String, report: &Report, suite: &Suite, bullet: &str) {
    for verdict in report.verdicts(suite) {
        let list = |rows: &[String]| {
            if rows.is_empty() {
                String::new()
            } else {
                format!(" (not: {})", rows.join(", "))
            }
        };
        let (reached, goals) = verdict.goals;
        let (ahead, lines) = verdict.ahead;
        let missed = list(&verdict.missed);
        let mut text = format!(
            "{bullet}{}: {reached} of {goals} goals reached{missed}",
            verdict.target
        );
        if lines > 0 {
            let behind = list(&verdict.behind);
            let _ok = write!(
                text,
                "; ahead of fuse-overlayfs on {ahead} of {lines} lines{behind}"
            );
        }
        line(out, &text);
    }
}

fn footing(out: &mut String, report: &Report, bullet: &str) {
    for missing in &report.missing {
        line(
            out,
            &format!("{bullet}missing: {}: {}", missing.target, missing.why),
        );
    }
    for suite in &report.suites {
        for row in &suite.lines {
            for (target, cell) in report.targets.iter().zip(&row.cells) {
                if let Some(error) = &cell.error {
                    line(
                        out,
                        &format!(
                            "{bullet}failed: {} on {}: {error}",
                            row.title(),
                            target.name
                        ),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::tests::sample;

    #[test]
    fn a_table_for_the_terminal() {
        let expected = "\
2 CPUs, kernel 6.18; medians of 2 rounds, ratio to the bare directory in brackets

caller and daemon on one CPU

row   phase  unit   goal   bare  fuse-overlayfs     statelitefs
walk  warm      s   ≤1.4  0.150    0.450 (3.00)  0.190 (1.25) +
seq   warm   MB/s  ≥0.95   5000     3000 (0.60)        failed !

statelitefs: 1 of 2 goals reached (not: seq warm); ahead of fuse-overlayfs on 1 of 2 lines (not: seq warm)
missing: mergerfs: no network & no luck
failed: seq warm on statelitefs: exit status: 1
";
        assert_eq!(super::text(&sample()), expected);
    }

    #[test]
    fn a_table_for_a_readme() {
        let text = super::markdown(&sample());
        assert!(text.contains("| row | phase | unit | goal | bare | fuse-overlayfs | statelitefs |\n|---|---|---:|"), "{text}");
        assert!(
            text.contains("| walk | warm | s | ≤1.4 | 0.150 | 0.450 (3.00) | 0.190 (1.25) + |\n"),
            "{text}"
        );
        assert!(text.contains("* missing: mergerfs"), "{text}");
    }
}
