//! statelite rows to the node's persistent store.
//!
//! The node's own row first, then its groups in order; the first non-empty value counts, for the directory and for the
//! mount options separately (facts §1). The image column is ignored, as in xCAT.

use rustc_hash::FxHashMap;

use crate::csv::STATELITE;
use crate::csv::reader::Reader;
use crate::litetree::options;
use crate::merge::{NodeIdentity, Scope, live};
use crate::refusal::Report;
use crate::source::Source;
use crate::template::Template;

/// What the rows say, in the order in which they count.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Rank (0 is the node's own row), line and value.
    statemnt: Option<(usize, u64, Template)>,
    mntopts: Option<(usize, String)>,
}

/// Reads the rows in scope. The answers are complete only if the report has no refusals.
pub(crate) fn read(text: &[u8], scope: Scope<'_>, report: &mut Report) -> Answers {
    let mut answers = Answers::default();
    let Some(mut reader) = Reader::open(text, &STATELITE, report) else {
        return answers;
    };
    let [node, statemnt, mntopts, disable] =
        ["node", "statemnt", "mntopts", "disable"].map(|name| reader.index(name));
    let mut seen: FxHashMap<String, u64> = FxHashMap::default();
    while let Some(row) = reader.next_row(report) {
        let line = row.line;
        let name = row.get(node).unwrap_or_default();
        let (is_live, warning) = live(row.get(disable));
        let Some(rank) = rank(name, scope) else {
            if is_live && name.is_empty() {
                report.refuse(line, Some("node"), "a node or group is needed");
            }
            continue;
        };
        if let Some(warning) = warning {
            report.warn(line, Some("disable"), warning);
        }
        if !is_live {
            continue;
        }
        if let Some(other) = seen.insert(name.to_owned(), line) {
            report.refuse(
                line,
                Some("node"),
                format_args!("{name} has a row on line {other} already"),
            );
        }
        if let Some(value) = row.get(statemnt).filter(|value| !value.is_empty()) {
            if value.starts_with('/') && value.ends_with('/') && value.matches('/').count() == 3 {
                let reason = "xCAT reads a value with exactly three slashes, two at its ends, as a regular expression; \
                              here it is the local directory it looks like";
                report.warn(line, Some("statemnt"), reason);
            }
            match Template::parse(value) {
                Ok(template) if answers.statemnt.as_ref().is_none_or(|known| rank < known.0) => {
                    answers.statemnt = Some((rank, line, template));
                }
                Ok(_) => {}
                Err(error) => report.refuse(line, Some("statemnt"), error),
            }
        }
        if let Some(value) = options(row.get(mntopts), line, report)
            && answers.mntopts.as_ref().is_none_or(|known| rank < known.0)
        {
            answers.mntopts = Some((rank, value));
        }
    }
    answers
}

fn rank(name: &str, scope: Scope<'_>) -> Option<usize> {
    match scope {
        _ if name.is_empty() => None,
        Scope::Everything => Some(0),
        Scope::Node(node) if name == node.name => Some(0),
        Scope::Node(node) => node
            .groups
            .iter()
            .position(|group| group == name)
            .map(|index| index + 1),
    }
}

/// Fills in the node's variables. A missing value is refused: the node would write its data in a wrong place.
pub(crate) fn source(answers: Answers, node: &NodeIdentity, report: &mut Report) -> Option<Source> {
    let (_, line, template) = answers.statemnt?;
    let expanded = match template.expand(node, answers.mntopts.map(|(_, value)| value)) {
        Ok(expanded) => expanded,
        Err(error) => {
            let reason = format_args!("with the variables of node {}: {error}", node.name);
            report.refuse(line, Some("statemnt"), reason);
            return None;
        }
    };
    for name in expanded
        .undefined_server
        .iter()
        .chain(&expanded.undefined_dir)
    {
        let reason = format_args!("${name} has no value for node {}", node.name);
        report.refuse(line, Some("statemnt"), reason);
    }
    Some(expanded.source)
}
