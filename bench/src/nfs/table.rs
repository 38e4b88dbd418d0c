//! The report as tables: for the terminal, and as Markdown.

use super::goals;
use super::result::{NfsReport, Phase, Run};

/// Operations with a column of their own; the rest is summed.
const COLUMNS: usize = 6;

/// For the terminal.
pub fn text(report: &NfsReport) -> String {
    let mut out = String::new();
    for (title, rows) in tables(report) {
        out.push_str(&format!("{title}\n"));
        let widths = widths(&rows);
        for row in &rows {
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(at, (cell, width))| {
                    if at == 0 {
                        format!("{cell:<width$}")
                    } else {
                        format!("{cell:>width$}")
                    }
                });
            out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    for goal in goals::judge(report) {
        let word = if goal.met { "reached" } else { "NOT reached" };
        out.push_str(&format!("{word}: {}\n", goal.text));
    }
    for reason in &report.missing {
        out.push_str(&format!("not measured: {reason}\n"));
    }
    out
}

/// As Markdown.
pub fn markdown(report: &NfsReport) -> String {
    let mut out = String::new();
    for (title, rows) in tables(report) {
        out.push_str(&format!("{title}\n\n"));
        for (at, row) in rows.iter().enumerate() {
            out.push_str(&format!("| {} |\n", row.join(" | ")));
            if at == 0 {
                let rule = row
                    .iter()
                    .enumerate()
                    .map(|(at, _)| if at == 0 { "---" } else { "---:" });
                out.push_str(&format!("|{}|\n", rule.collect::<Vec<_>>().join("|")));
            }
        }
        out.push('\n');
    }
    for goal in goals::judge(report) {
        let word = if goal.met {
            "reached"
        } else {
            "**not reached**"
        };
        out.push_str(&format!("- {word}: {}\n", goal.text));
    }
    for reason in &report.missing {
        out.push_str(&format!("- not measured: {reason}\n"));
    }
    out
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect()
}

/// A title and its rows, the first the heads; one table for each NFS version and phase, and one of what modes cost.
pub fn tables(report: &NfsReport) -> Vec<(String, Vec<Vec<String>>)> {
    let mut all = Vec::new();
    let operations: Vec<String> = report.operations().into_iter().take(COLUMNS).collect();
    for version in report.versions() {
        let runs: Vec<&Run> = report
            .runs
            .iter()
            .filter(|run| run.nfs == version)
            .collect();
        for name in report.phases() {
            let mut head = vec!["mode".to_owned(), "RPCs".to_owned()];
            head.extend(operations.iter().cloned());
            head.extend(["others", "sent KB", "received KB", "wall s", "CPU s"].map(str::to_owned));
            let mut rows = vec![head];
            for run in &runs {
                if let Some(phase) = run.phase(name) {
                    rows.push(traffic(&run.mode, phase, &operations));
                }
            }
            all.push((format!("NFS {version}: {name}"), rows));
        }
        let head = [
            "mode",
            "tmpfs MB",
            "daemon RSS MB",
            "daemon CPU s",
            "kernel",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for run in runs {
            let daemon = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
            rows.push(vec![
                run.mode.clone(),
                format!("{:.1}", run.tmpfs_bytes as f64 / 1e6),
                daemon(
                    run.daemon
                        .as_ref()
                        .map(|d| format!("{:.1}", d.rss_kib as f64 / 1024.0)),
                ),
                daemon(run.daemon.as_ref().map(|d| format!("{:.1}", d.cpu))),
                run.kernel.clone(),
            ]);
        }
        all.push((format!("NFS {version}: what it costs the node"), rows));
    }
    all
}

fn traffic(mode: &str, phase: &Phase, operations: &[String]) -> Vec<String> {
    let calls = |name: &String| phase.traffic.calls.get(name).copied().unwrap_or(0);
    let shown: u64 = operations.iter().map(calls).sum();
    let mut row = vec![mode.to_owned(), phase.traffic.total().to_string()];
    row.extend(operations.iter().map(|name| calls(name).to_string()));
    row.push((phase.traffic.total() - shown).to_string());
    row.push((phase.traffic.sent / 1000).to_string());
    row.push((phase.traffic.received / 1000).to_string());
    row.push(format!("{:.1}", phase.wall));
    row.push(format!("{:.1}", phase.cpu));
    row
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::result::tests::sample;
    use super::*;

    #[test]
    fn a_table_for_each_phase_and_one_of_costs() {
        let tables = tables(&sample());
        let titles: Vec<_> = tables.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(
            titles,
            [
                "NFS 3: boot",
                "NFS 3: idle",
                "NFS 3: what it costs the node"
            ]
        );
        assert_eq!(tables[0].1[1][..4], ["overlayfs", "34", "20", "14"]);
        assert_eq!(tables[2].1[2][2], "8.8");
    }

    #[test]
    fn terminal_and_markdown() {
        let text = text(&sample());
        assert!(text.contains("NFS 3: boot\nmode"), "{text}");
        assert!(text.ends_with("not measured: links 2010: <no image>\n"));
        assert!(markdown(&sample()).contains("|---|---:|"));
    }
}
