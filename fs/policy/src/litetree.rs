//! litetree rows to layers, ordered by number.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::csv::LITETREE;
use crate::csv::reader::Reader;
use crate::merge::{Merge, NodeIdentity, Scope, live};
use crate::model::Origin;
use crate::policy::TreeLayer;
use crate::refusal::Report;
use crate::source::SourceError;
use crate::template::{Template, UNDEFINED};

/// A checked row whose variables are not filled in yet.
#[derive(Debug)]
pub(crate) struct Draft {
    priority: String,
    order: f64,
    image: String,
    template: Template,
    mntopts: Option<String>,
}

/// A row in scope and its line.
pub(crate) type Line = (u64, Draft);

/// Reads the rows in scope. They are complete only if the report has no refusals.
pub(crate) fn read(text: &[u8], scope: Scope<'_>, report: &mut Report) -> Vec<Line> {
    let Some(mut reader) = Reader::open(text, &LITETREE, report) else {
        return Vec::new();
    };
    let names = ["priority", "image", "directory", "mntopts", "disable"];
    let [priority, image, directory, mntopts, disable] = names.map(|name| reader.index(name));
    let mut merge = Merge::new(0);
    let mut seen: FxHashMap<u64, (u64, String)> = FxHashMap::default();
    while let Some(row) = reader.next_row(report) {
        let line = row.line;
        let image = row.get(image).unwrap_or_default();
        let Some(level) = scope.level(image) else {
            continue;
        };
        let (is_live, warning) = live(row.get(disable));
        if let Some(warning) = warning {
            report.warn(line, Some("disable"), warning);
        }
        if !is_live {
            continue;
        }
        let text = row.get(priority).unwrap_or_default();
        let order = number(text);
        if order.is_none() {
            report.refuse(
                line,
                Some("priority"),
                format_args!("\"{text}\" is not a number"),
            );
        }
        let template = match Template::parse(row.get(directory).unwrap_or_default()) {
            Ok(template) => Some(template),
            Err(error) => {
                report.refuse(line, Some("directory"), error);
                None
            }
        };
        let mntopts = options(row.get(mntopts), line, report);
        let (Some(order), Some(template)) = (order, template) else {
            continue;
        };
        let key = order.to_bits();
        match seen.get(&key) {
            Some((other, other_image)) if other_image != image => {
                let reason = format_args!(
                    "line {other} has the same priority for another image: xCAT's key is the priority alone, \
                     loading the table there would lose one of them"
                );
                report.warn(line, Some("priority"), reason);
            }
            _ => drop(seen.insert(key, (line, image.to_owned()))),
        }
        let world = if matches!(scope, Scope::Everything) {
            image.to_owned()
        } else {
            String::new()
        };
        let draft = Draft {
            priority: text.to_owned(),
            order,
            image: image.to_owned(),
            template,
            mntopts,
        };
        if let Err(other) = merge.offer((world, key), level, line, draft) {
            let reason = format_args!("the priority is that of line {other} for the same image");
            report.refuse(line, Some("priority"), reason);
        }
    }
    let mut drafts: Vec<_> = merge
        .into_kept()
        .into_iter()
        .map(|kept| (kept.line, kept.value))
        .collect();
    drafts.sort_by(|a, b| a.1.order.total_cmp(&b.1.order));
    drafts
}

/// The mount options cell; nothing for NULL and blank.
pub(crate) fn options(cell: Option<&str>, line: u64, report: &mut Report) -> Option<String> {
    let cell = cell.filter(|cell| !cell.is_empty())?;
    if cell.contains(|c: char| c.is_whitespace() || c.is_control()) {
        report.refuse(line, Some("mntopts"), SourceError::Options);
    }
    Some(cell.to_owned())
}

/// Fills in the node's variables.
///
/// A missing value in the directory gives `UNDEFINED` and a warning, as in xCAT: the layer is read-only, its place can
/// be nobody else's, and sites keep directories of that name for such nodes. In the server part it is refused: no
/// such host answers.
pub(crate) fn layers(
    drafts: Vec<Line>,
    node: &NodeIdentity,
    report: &mut Report,
) -> Vec<TreeLayer> {
    let mut layers = Vec::new();
    for (line, draft) in drafts {
        let expanded = match draft.template.expand(node, draft.mntopts) {
            Ok(expanded) => expanded,
            Err(error) => {
                let reason = format_args!("with the variables of node {}: {error}", node.name);
                report.refuse(line, Some("directory"), reason);
                continue;
            }
        };
        for name in &expanded.undefined_server {
            let reason = format_args!(
                "${name} has no value for node {}: the server is unknown",
                node.name
            );
            report.refuse(line, Some("directory"), reason);
        }
        for name in &expanded.undefined_dir {
            let reason = format_args!(
                "${name} has no value for node {}: read as {UNDEFINED}",
                node.name
            );
            report.warn(line, Some("directory"), reason);
        }
        let origin = Origin::Row {
            file: report.file.clone(),
            line,
            image: draft.image,
        };
        layers.push(TreeLayer {
            priority: draft.priority,
            source: expanded.source,
            origin,
        });
    }
    layers
}

/// A decimal number: optional sign, digits, optional fraction. -0 is 0.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits
        .split_once('.')
        .map_or((digits, Cow::Borrowed("0")), |(w, f)| (w, f.into()));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all(whole) || !all(&fraction) {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
        .map(|number| number + 0.0)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        assert_eq!(["1", "01", "1.0"].map(number), [Some(1.0); 3]);
        assert_eq!(
            number("-0").map(f64::to_bits),
            number("0").map(f64::to_bits)
        );
        assert_eq!(number("4.7"), Some(4.7));
        assert!(number("-1") < number("0"));
        for text in [
            "", "one", "1e3", "1.", ".5", "inf", "nan", " 1", "+1", "0x1", "1,5",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
        assert_eq!(number(&"9".repeat(400)), None);
    }
}
