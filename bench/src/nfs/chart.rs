//! RPCs of each mode as stacked bars, one chart for each NFS version and phase. Shorter is better.

use super::result::{NfsReport, Run};

/// Colours of operations, by weight; told apart by people who do not see red and green, too.
const COLOURS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7f7f7f",
];
const LABELS: f64 = 190.0;
const PLOT: f64 = 560.0;
const BAR: f64 = 22.0;
const GAP: f64 = 8.0;
const HEAD: f64 = 62.0;

/// A chart of one phase over one NFS version.
pub fn render(report: &NfsReport, version: &str, phase: &str) -> String {
    let runs: Vec<&Run> = report
        .runs
        .iter()
        .filter(|run| run.nfs == version && run.phase(phase).is_some())
        .collect();
    let operations = report.operations();
    let named = operations.len().min(COLOURS.len() - 1);
    let most = runs
        .iter()
        .filter_map(|run| run.phase(phase))
        .map(|p| p.traffic.total())
        .max();
    let most = most.unwrap_or(0).max(1) as f64;
    let width = LABELS + PLOT + 90.0;
    let height = HEAD + runs.len() as f64 * (BAR + GAP) + 8.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-size=\"14\" font-weight=\"bold\">RPCs, {}, NFS {version}</text>\n",
        escape(phase)
    );
    let mut x = 8.0;
    let rest = (operations.len() > named).then(|| "others".to_owned());
    let legend = operations.iter().take(named).chain(&rest);
    for (name, colour) in legend.zip(COLOURS) {
        out.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"32\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"42\" font-size=\"11\">{}</text>\n",
            x + 15.0,
            escape(name)
        ));
        x += 30.0 + name.len() as f64 * 7.6;
    }
    for (at, run) in runs.iter().enumerate() {
        let top = HEAD + at as f64 * (BAR + GAP);
        out.push_str(&bar(
            run,
            phase,
            operations.get(..named).unwrap_or_default(),
            top,
            most,
        ));
    }
    out.push_str("</svg>\n");
    out
}

fn bar(run: &Run, phase: &str, named: &[String], top: f64, most: f64) -> String {
    let Some(phase) = run.phase(phase) else {
        return String::new();
    };
    let ours = if run.mode.starts_with("statelitefs") {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let mut out = format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\"{ours}>{}</text>\n",
        LABELS - 8.0,
        top + 15.0,
        escape(&run.mode)
    );
    let total = phase.traffic.total();
    let calls = |name: &String| phase.traffic.calls.get(name).copied().unwrap_or(0);
    let shown: u64 = named.iter().map(calls).sum();
    let mut x = LABELS;
    let parts = named.iter().map(calls).chain([total - shown]);
    for (calls, colour) in parts.zip(COLOURS) {
        let width = calls as f64 / most * PLOT;
        if calls > 0 {
            out.push_str(&format!(
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\n"
            ));
        }
        x += width;
    }
    out.push_str(&format!(
        "<text x=\"{:.1}\" y=\"{:.1}\">{total}</text>\n",
        x + 6.0,
        top + 15.0
    ));
    out
}

/// Text inside SVG and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::sample;

    #[test]
    fn the_longest_bar_fills_the_plot_and_totals_are_told() {
        let svg = super::render(&sample(), "3", "boot");
        // 20 of 34 calls of the longest bar.
        assert!(svg.contains("width=\"329.4\""), "{svg}");
        assert!(svg.contains(">34</text>") && svg.contains(">17</text>"));
        assert_eq!(svg.matches("<svg").count(), 1);
    }
}
