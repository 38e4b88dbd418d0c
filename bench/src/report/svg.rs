//! The report as a chart: how many times slower than the bare directory, on a logarithmic scale.
//!
//! One panel for each suite, one column in it for each phase, one group of bars for each row, one bar for each target
//! but the bare directory, which is the line at 1. A dashed red line through a group marks the goal. Longer is worse throughout:
//! throughput is turned round.

mod drawing;

use self::drawing::{Drawing, Scale};
use super::{Line, Report, Suite, table};
use crate::workload::Phase;

const PHASES: [Phase; 3] = [Phase::First, Phase::Warm, Phase::Cold];

/// Colours that differ in lightness too; kernel and other people's targets first, ours in one family.
const THEIRS: [&str; 5] = ["#7f7f7f", "#e69f00", "#56b4e9", "#cc79a7", "#b8a800"];
const OURS: [&str; 3] = ["#00664b", "#2fae85", "#93d8bf"];

/// How a goal is drawn.
const GOAL: &str = "stroke=\"#c00000\" stroke-width=\"1.3\" stroke-dasharray=\"3 2\"";

const LABELS: f64 = 92.0;
const COLUMN: f64 = 330.0;
const BAR: f64 = 11.0;
const GROUP_GAP: f64 = 9.0;
const HEAD: f64 = 46.0;

/// Draws the report.
pub fn render(report: &Report) -> String {
    let bars = report.targets.len().saturating_sub(1).max(1);
    let group = bars as f64 * BAR + GROUP_GAP;
    let legend = 40.0 + 18.0 * (report.targets.len() as f64 / 4.0).ceil();
    let heights: Vec<f64> = report
        .suites
        .iter()
        .map(|suite| HEAD + rows(suite).len() as f64 * group + 22.0)
        .collect();
    let phases = report
        .suites
        .iter()
        .map(|suite| phases(suite).len())
        .max()
        .unwrap_or(0);
    let width = LABELS + (phases.max(2) as f64) * COLUMN;
    let height = legend + heights.iter().sum::<f64>() + 8.0;
    let mut out = Drawing(String::new());
    out.add(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
    ));
    draw_legend(&mut out, report);
    let mut top = legend;
    for (suite, height) in report.suites.iter().zip(&heights) {
        draw_suite(&mut out, report, suite, top, *height, group);
        top += height;
    }
    out.add("</svg>".to_owned());
    out.0
}

fn colour(report: &Report, index: usize) -> &'static str {
    let is_ours = |index: usize| report.targets.get(index).is_some_and(|target| target.ours);
    let before = (1..index)
        .filter(|other| is_ours(*other) == is_ours(index))
        .count();
    let family: &[&'static str] = if is_ours(index) { &OURS } else { &THEIRS };
    family
        .iter()
        .cycle()
        .nth(before)
        .copied()
        .unwrap_or("#000000")
}

fn draw_legend(out: &mut Drawing, report: &Report) {
    out.text(
        8.0,
        22.0,
        "font-size=\"15\" font-weight=\"bold\"",
        "Times slower than the bare directory (shorter is better)",
    );
    out.upright(521.0, 10.0, 26.0, GOAL);
    out.text(528.0, 22.0, "font-size=\"12\"", "goal");
    for (index, target) in report.targets.iter().enumerate().skip(1) {
        let (column, line) = ((index - 1) % 4, (index - 1) / 4);
        let (x, y) = (10.0 + column as f64 * 180.0, 34.0 + line as f64 * 18.0);
        out.rect(x, y, 12.0, 12.0, colour(report, index));
        out.text(x + 17.0, y + 10.0, "font-size=\"12\"", target.name);
    }
}

/// The rows of a suite, in order, each once.
fn rows(suite: &Suite) -> Vec<&'static str> {
    let mut rows: Vec<&str> = Vec::new();
    for line in &suite.lines {
        if !rows.contains(&line.row) {
            rows.push(line.row);
        }
    }
    rows
}

fn phases(suite: &Suite) -> Vec<Phase> {
    PHASES
        .into_iter()
        .filter(|phase| suite.lines.iter().any(|line| line.phase == *phase))
        .collect()
}

fn draw_suite(
    out: &mut Drawing,
    report: &Report,
    suite: &Suite,
    top: f64,
    height: f64,
    group: f64,
) {
    let scale = Scale::around(suite);
    out.text(
        8.0,
        top + 16.0,
        "font-size=\"13\" font-weight=\"bold\"",
        table::title(suite),
    );
    for (number, row) in rows(suite).iter().enumerate() {
        let y = top + HEAD + number as f64 * group;
        if number % 2 == 0 {
            let width = LABELS + phases(suite).len() as f64 * COLUMN - 6.0;
            out.rect(2.0, y - GROUP_GAP / 2.0, width, group, "#f4f4f4");
        }
        let middle = y + (group - GROUP_GAP) / 2.0 + 4.0;
        out.text(
            LABELS - 10.0,
            middle,
            "font-size=\"12\" text-anchor=\"end\"",
            row,
        );
    }
    for (column, phase) in phases(suite).into_iter().enumerate() {
        let left = LABELS + column as f64 * COLUMN;
        draw_axis(out, scale, phase, left, top, height);
        for (number, row) in rows(suite).iter().enumerate() {
            let y = top + HEAD + number as f64 * group;
            if let Some(line) = suite
                .lines
                .iter()
                .find(|line| line.row == *row && line.phase == phase)
            {
                draw_group(out, report, line, scale, left, y);
            }
        }
    }
}

fn draw_axis(out: &mut Drawing, scale: Scale, phase: Phase, left: f64, top: f64, height: f64) {
    let name = match phase {
        Phase::First => "first run after mounting",
        Phase::Warm => "warm",
        Phase::Cold => "cold: caches dropped",
    };
    out.text(
        left,
        top + 32.0,
        "font-size=\"12\" font-weight=\"bold\"",
        name,
    );
    let step = if scale.to - scale.from > 6 { 2 } else { 1 };
    for power in scale.from..=scale.to {
        let x = left + scale.place(f64::from(power).exp2());
        let (from, to) = (top + HEAD - 6.0, top + height - 22.0);
        let stroke = if power == 0 { "#000000" } else { "#cccccc" };
        out.upright(
            x,
            from,
            to,
            &format!("stroke=\"{stroke}\" stroke-width=\"0.8\""),
        );
        if power % step == 0 {
            let label = f64::from(power).exp2().to_string();
            out.text(
                x,
                to + 13.0,
                "font-size=\"10\" text-anchor=\"middle\" fill=\"#444444\"",
                &label,
            );
        }
    }
}

fn draw_group(out: &mut Drawing, report: &Report, line: &Line, scale: Scale, left: f64, top: f64) {
    let one = scale.place(1.0);
    if let Some(goal) = line.goal {
        let x = left
            + scale.place(if line.higher_is_better {
                1.0 / goal
            } else {
                goal
            });
        let bottom = top + BAR * (line.cells.len().saturating_sub(1)) as f64;
        out.upright(x, top - 3.0, bottom + 3.0, GOAL);
    }
    for (index, cell) in line.cells.iter().enumerate().skip(1) {
        let y = top + BAR * (index - 1) as f64;
        if let Some(slowdown) = line.slowdown(cell) {
            let end = scale.place(slowdown);
            out.rect(
                left + one.min(end),
                y + 0.5,
                (end - one).abs().max(1.0),
                BAR - 1.5,
                colour(report, index),
            );
            out.label(
                left + end.max(one) + 3.0,
                y + 8.5,
                "#000000",
                &format!("{slowdown:.2}"),
            );
        } else if cell.error.is_some() {
            out.label(left + one + 3.0, y + 8.5, "#b00000", "failed");
        }
    }
}

#[cfg(test)]
mod tests;
