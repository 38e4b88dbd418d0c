//! The report as one self-contained page: charts, tables, and what was measured.

use super::chart::{self, escape};
use super::goals;
use super::result::NfsReport;
use super::table;

const STYLE: &str = "\
body { font: 15px/1.45 'DejaVu Sans', Verdana, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 0.6em 0 1.8em; font-size: 13px; }
th, td { padding: 0.25em 0.7em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
tr.ours td { font-weight: bold; background: #eef7f3; }
svg { max-width: 100%; height: auto; margin: 0.4em 0; }
h2 { margin-top: 2em; border-bottom: 2px solid #00664b; padding-bottom: 0.2em; }
.missing { color: #a00; }
.met { color: #00664b; }";

/// The page.
pub fn render(report: &NfsReport) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>NFS traffic of a node, by mode</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n\
         <h1>NFS traffic of a node, by mode</h1>\n"
    );
    for line in &report.about {
        out.push_str(&format!("<p>{}</p>\n", escape(line)));
    }
    let machine = &report.machine;
    out.push_str(&format!(
        "<p>Virtual machines ran on {} CPUs ({}), Linux {}, load at the start {}.</p>\n",
        machine.cpus,
        escape(machine.cpu.as_deref().unwrap_or("unknown")),
        escape(&machine.kernel),
        escape(machine.load.as_deref().unwrap_or("unknown"))
    ));
    let goals = goals::judge(report);
    if !goals.is_empty() {
        out.push_str("<h2>Goals</h2>\n<ul>\n");
        for goal in goals {
            let (class, word) = if goal.met {
                ("met", "reached")
            } else {
                ("missing", "not reached")
            };
            out.push_str(&format!(
                "<li><b class=\"{class}\">{word}</b>: {}</li>\n",
                escape(&goal.text)
            ));
        }
        out.push_str("</ul>\n");
    }
    for version in report.versions() {
        out.push_str(&format!("<h2>NFS version {version}</h2>\n"));
        for phase in report.phases() {
            out.push_str(&chart::render(report, version, phase));
        }
    }
    out.push_str("<h2>Numbers</h2>\n");
    for (title, rows) in table::tables(report) {
        out.push_str(&format!("<h3>{}</h3>\n<table>\n", escape(&title)));
        for (at, row) in rows.iter().enumerate() {
            out.push_str(&html_row(row, at == 0));
        }
        out.push_str("</table>\n");
    }
    for reason in &report.missing {
        out.push_str(&format!(
            "<p class=\"missing\">Not measured: {}</p>\n",
            escape(reason)
        ));
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn html_row(row: &[String], head: bool) -> String {
    let tag = if head { "th" } else { "td" };
    let ours = !head
        && row
            .first()
            .is_some_and(|mode| mode.starts_with("statelitefs"));
    let class = if ours { " class=\"ours\"" } else { "" };
    let cells = row
        .iter()
        .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
    format!("<tr{class}>{}</tr>\n", cells.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::sample;

    #[test]
    fn the_page_stands_alone_and_escapes() {
        let page = super::render(&sample());
        assert!(
            !page.contains("http://")
                || page.matches("http").count() == page.matches("xmlns=\"http").count()
        );
        assert!(page.contains("&lt;no image&gt;"));
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("<tr class=\"ours\"><td>statelitefs</td>"));
    }
}
