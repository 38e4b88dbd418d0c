//! `nodels`: nodes, and what the tables say about them.

use super::NodelsArgs;
use crate::cli::{Context, report};
use crate::noderange;
use crate::noderange::criterion::node_column;
use crate::tables::schema::{self, NODELIST};
use crate::tables::{Site, Table};
use anyhow::bail;
use std::process::ExitCode;

/// A column asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    table: &'static Table,
    column: &'static str,
    /// As it was asked for.
    label: String,
}

/// The columns asked for, and whether their names are shown.
///
/// One column is shown bare; several, or all of a table, with their names.
fn fields(arguments: &[String]) -> anyhow::Result<(Vec<Field>, bool)> {
    let mut fields: Vec<Field> = Vec::new();
    let mut named = arguments.len() > 1;
    for argument in arguments {
        if argument.contains(['=', '!']) {
            bail!(
                "\"{argument}\": choose nodes in the range, as in NODERANGE@{argument}; here columns are named"
            );
        }
        if let Some((table, column)) = node_column(argument) {
            let label = argument.clone();
            fields.push(Field {
                table,
                column,
                label,
            });
            continue;
        }
        let Some(table) = schema::table(argument).filter(|table| table.by_node()) else {
            bail!("{argument} not a valid table.column description");
        };
        named = true;
        fields.extend(table.columns.iter().map(|column| Field {
            table,
            column: column.name,
            label: format!("{}.{}", table.name, column.name),
        }));
    }
    Ok((fields, named))
}

/// Runs `nodels`.
///
/// # Errors
/// A bad range or column.
pub fn run(context: &Context, args: &NodelsArgs) -> anyhow::Result<ExitCode> {
    let (fields, named) = fields(&args.columns)?;
    let site = context.site()?;
    let nodes = match &args.range {
        Some(range) => noderange::expand_local(&site, range)?,
        None => all(&site, args.hidden),
    };
    let mut failed = false;
    let mut records = Vec::new();
    let mut lines = Vec::new();
    for node in &nodes {
        let mut record = serde_json::Map::new();
        record.insert("node".into(), node.as_str().into());
        if fields.is_empty() {
            lines.push(node.clone());
        }
        for field in &fields {
            let found = match site.find(node, field.table, field.column) {
                Ok(found) => found,
                Err(error) => {
                    eprintln!("Error: {error}");
                    failed = true;
                    continue;
                }
            };
            let mut value = String::new();
            if let Some(found) = found {
                record.insert(field.label.clone(), found.value.as_str().into());
                value = found.value;
                if args.blame && found.from != node {
                    value.push_str(&format!(" (inherited from group {})", found.from));
                }
            }
            lines.push(if named || args.names {
                format!("{node}: {}: {value}", field.label)
            } else {
                format!("{node}: {value}")
            });
        }
        records.push(record);
    }
    if context.global.json {
        report::json(&records)?;
    } else {
        report::lines(&lines)?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Every node, sorted; hidden ones only when asked for.
fn all(site: &Site, hidden: bool) -> Vec<String> {
    let shown = |node: &&str| {
        let row = site.row(&NODELIST, &[node]);
        hidden || row.and_then(|row| row.get(&NODELIST, "hidden")) != Some("1")
    };
    let mut nodes: Vec<String> = site.nodes().filter(shown).map(str::to_owned).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(arguments: &[&str]) -> Result<(Vec<String>, bool), String> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let (fields, named) = fields(&arguments).map_err(|error| error.to_string())?;
        Ok((fields.into_iter().map(|field| field.label).collect(), named))
    }

    #[test]
    fn columns_and_their_names() {
        assert_eq!(labels(&["groups"]).unwrap(), (vec!["groups".into()], false));
        let (shown, named) = labels(&["nodetype.os", "mgt"]).unwrap();
        assert_eq!(
            (shown, named),
            (vec!["nodetype.os".into(), "mgt".into()], true)
        );
        let (shown, named) = labels(&["mac"]).unwrap();
        assert!(named && shown.first().is_some_and(|label| label == "mac.node"));
        for (argument, message) in [
            ("nonesuch", "nonesuch not a valid table.column description"),
            (
                "nodetype.nonesuch",
                "nodetype.nonesuch not a valid table.column description",
            ),
            ("site", "site not a valid table.column description"),
            ("nodetype.os==x", "choose nodes in the range"),
        ] {
            let error = labels(&[argument]).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
