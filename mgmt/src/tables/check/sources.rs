//! litetree and statelite: `server:dir`, variables, mount options.

use super::{Facts, Severity, Sink};
use crate::resolve;
use crate::tables::schema::{self, LITETREE, OSIMAGE, SITE, STATELITE};
use crate::tables::{Row, Table};
use statelite_policy::NodeIdentity;
use statelite_policy::template::Template;
use std::collections::HashSet;

/// The columns that say where something is mounted from.
const SOURCES: [(&Table, &str); 2] = [(&LITETREE, "directory"), (&STATELITE, "statemnt")];

/// The rows with a source, without those whose value is a substitution.
fn sources<'a>(
    facts: &Facts<'a>,
) -> impl Iterator<Item = (&'static Table, &'static str, (usize, &'a Row), &'a str)> + use<'a> {
    let columns = SOURCES.map(|(table, column)| {
        let values = facts.values(table, column);
        values.map(move |(row, value)| (table, column, row, value))
    });
    let values = columns.into_iter().flatten();
    values.filter(|(table, _, _, value)| {
        !(table.by_node() && value.len() > 2 && value.starts_with('|') && value.ends_with('|'))
    })
}

/// A value with its commands replaced by a word; none when the whole is one command.
pub(super) fn without_commands(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("#CMD=") {
        let Some((_, after)) = after.split_once('#') else {
            break;
        };
        text.push_str(before);
        text.push_str("output");
        rest = after;
    }
    text.push_str(rest);
    (text != "output").then_some(text)
}

pub(super) fn source(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, row, value) in sources(facts) {
        if let Some(reason) = no_source(value) {
            sink.report(table, row, column, reason);
        }
    }
}

pub(super) fn no_source(value: &str) -> Option<String> {
    let text = without_commands(value)?;
    if text.contains("#CMD") {
        return Some("a command is written #CMD=...#".to_owned());
    }
    let error = Template::parse(&text).err()?;
    Some(error.to_string())
}

/// xCAT never mounts such an entry. In FUSE mode it is a directory of the node itself.
pub(super) fn no_server(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, row, value) in sources(facts) {
        if !value.starts_with('/') || Template::parse(value).is_err() {
            continue;
        }
        let (severity, reason) = if facts.links {
            (
                Severity::Refusal,
                "there is no server: link mode never mounts it. Expected server:dir",
            )
        } else {
            (
                Severity::Warning,
                "there is no server: read as a directory of the node itself; xCAT never mounts it",
            )
        };
        sink.report_as(severity, table, row, column, reason);
    }
}

pub(super) fn literal_server(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, value) in facts.values(&STATELITE, "statemnt") {
        let Some((server, dir)) = value.split_once(':') else {
            continue;
        };
        if !server.is_empty() && !server.contains(['$', '|', '/', '#']) && dir.contains('$') {
            let reason = "right here, but current xCAT puts a slash before a server without a variable when the \
                          directory has one, and the mount fails there";
            sink.report(&STATELITE, row, "statemnt", reason);
        }
    }
}

/// The names after dollar signs that contain a dot, as (table, column).
fn variables(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let name = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let words = value.split('$').skip(1);
    words.filter_map(move |word| word.split(name).next()?.split_once('.'))
}

pub(super) fn variable(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, row, value) in sources(facts) {
        for (named, wanted) in variables(value).filter(|(named, _)| *named != SITE.name) {
            let reason = match schema::table(named) {
                None => format!("${named}.{wanted}: there is no table \"{named}\" here"),
                Some(known) if known.index(wanted).is_none() => {
                    let names: Vec<_> = known.columns.iter().map(|column| column.name).collect();
                    format!(
                        "${named}.{wanted}: the table {named} has no column \"{wanted}\" (it has: {})",
                        names.join(" ")
                    )
                }
                Some(known) if !known.by_node() => {
                    format!("${named}.{wanted}: the rows of the table {named} are not about nodes")
                }
                Some(_) => continue,
            };
            sink.report(table, row, column, reason);
        }
    }
}

/// Whether a row is an error without the variable: it is a part of the server, or of a command.
fn needed(value: &str, variable: (&str, &str)) -> bool {
    let has = |text: &str| variables(text).any(|found| found == variable);
    let commands = value.split("#CMD=").skip(1);
    let mut commands = commands.filter_map(|text| text.split('#').next());
    let text = without_commands(value).unwrap_or_default();
    commands.any(has) || text.split_once(':').is_some_and(|(server, _)| has(server))
}

pub(super) fn unset(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, row, value) in sources(facts) {
        for variable in variables(value).filter(|(named, _)| *named == SITE.name) {
            let (_, key) = variable;
            if facts.site.setting(key).is_some() {
                continue;
            }
            let (severity, becomes) = match needed(value, variable) {
                true => (
                    Severity::Refusal,
                    "the server or command is unknown, and every node it is for gets an error in place of its rows",
                ),
                false => (sink.rule.severity, "it becomes UNDEFINED"),
            };
            let reason = format_args!("$site.{key} is not set in the site table: {becomes}");
            sink.report_as(severity, table, row, column, reason);
        }
    }
}

/// Variables that a node the row is for has no value of.
pub(super) fn valueless(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let rows: Vec<_> = sources(facts)
        .flat_map(|(table, column, row, value)| {
            let of_nodes = |(named, wanted): &(&str, &str)| {
                schema::table(named)
                    .is_some_and(|known| known.by_node() && known.index(wanted).is_some())
            };
            let named = variables(value).filter(of_nodes).collect::<HashSet<_>>();
            named
                .into_iter()
                .map(move |named| (table, column, row, value, named))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let site = facts.site;
    // Only nodes with an image are ever told of a row.
    let nodes: Vec<NodeIdentity> = site
        .nodes()
        .filter_map(|node| {
            let image = resolve::image_of(site, node).ok()?;
            let known = site.row(&OSIMAGE, &[&image]);
            let groups = known.and_then(|row| row.get(&OSIMAGE, "groups"));
            Some(NodeIdentity {
                name: node.to_owned(),
                image_groups: groups.map(str::to_owned),
                image,
                ..NodeIdentity::default()
            })
        })
        .collect();
    for (table, column, row, value, (named, wanted)) in rows {
        let name = format!("{named}.{wanted}");
        let concerns = |node: &NodeIdentity| match table.by_node() {
            true => {
                let found = site.find(&node.name, table, column).ok().flatten();
                found.is_some_and(|found| row.1.key(table) == [found.from])
            }
            false => node
                .level(row.1.get(table, "image").unwrap_or_default())
                .is_some(),
        };
        let mut without = nodes
            .iter()
            .filter(|node| concerns(node) && site.variable(&node.name, &name).is_none())
            .map(|node| &node.name);
        let Some(first) = without.next() else {
            continue;
        };
        let more = match without.count() {
            0 => " has".to_owned(),
            more => format!(" and {more} more have"),
        };
        let becomes = match needed(value, (named, wanted)) {
            true => "the server or command is unknown, and they get no rows at all",
            false => "it becomes UNDEFINED",
        };
        let reason = format_args!("${name}: {first}{more} no value: {becomes}");
        sink.report(table, row, column, reason);
    }
}

pub(super) fn mntopts(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for table in [&LITETREE, &STATELITE] {
        for (row, value) in facts.values(table, "mntopts") {
            if let Some(reason) = no_options(value) {
                sink.report(table, row, "mntopts", reason);
            }
        }
    }
}

pub(super) fn no_options(value: &str) -> Option<&'static str> {
    let bad = value.contains(|c: char| c.is_whitespace() || c.is_control());
    bad.then_some("mount options are separated by commas, without whitespace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words() {
        for (value, text) in [
            ("s:/a/#CMD=echo a/b#/c", Some("s:/a/output/c")),
            ("#CMD=hostname#:/a/#CMD=x#", Some("output:/a/output")),
            ("#CMD=whole#", None),
            ("s:/#CMD=open", Some("s:/#CMD=open")),
            ("s:/a", Some("s:/a")),
        ] {
            assert_eq!(without_commands(value).as_deref(), text, "{value}");
        }
    }
}
