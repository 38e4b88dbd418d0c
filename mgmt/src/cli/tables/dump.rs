//! `tabdump`.

use super::table;
use crate::cli::{Context, report};
use crate::tables::select::Selection;
use crate::tables::{Row, Table, csv, schema::TABLES};
use anyhow::Context as _;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `tabdump`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print what the columns mean, or what the tables are for
    #[arg(short = 'd')]
    pub describe: bool,
    /// Only rows for which this holds: COLUMN==VALUE, !=, =~REGEX, !~REGEX, <, <=, > or >=; of several, all must hold
    #[arg(
        short = 'w',
        value_name = "SELECTION",
        requires = "table",
        conflicts_with = "describe"
    )]
    pub select: Vec<String>,
    /// Write to this file instead of printing
    #[arg(
        short = 'f',
        value_name = "FILE",
        requires = "table",
        conflicts_with = "describe"
    )]
    pub file: Option<PathBuf>,
    /// The table; without it the names of all tables are printed
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
}

/// A row as an object, with its columns in order.
struct Object<'a>(&'a Table, &'a Row);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(table, row) = self;
        let mut map = serializer.serialize_map(Some(table.columns.len()))?;
        for column in table.columns {
            map.serialize_entry(column.name, &row.get(table, column.name))?;
        }
        map.end()
    }
}

pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    let json = context.global.json;
    match (&args.table, args.describe) {
        (None, describe) => {
            let mut tables = TABLES.to_vec();
            tables.sort_by_key(|table| table.name);
            if json {
                let entry = |table: &Table| json!({"table": table.name, "help": table.help});
                let list: Vec<_> = tables.into_iter().map(entry).collect();
                report::json(&list)?;
            } else if describe {
                let entries = tables.iter().map(|table| (table.name, table.help));
                report::print(&descriptions(entries))?;
            } else {
                let names = tables.iter().map(|table| format!("{}\n", table.name));
                report::print(&names.collect::<String>())?;
            }
        }
        (Some(name), true) => {
            let table = table(name)?;
            if json {
                let columns = table.columns.iter().map(|column| {
                    json!({
                        "column": column.name,
                        "help": column.help,
                        "required": column.required,
                        "key": table.keys.contains(&column.name),
                    })
                });
                report::json(&columns.collect::<Vec<_>>())?;
            } else {
                let entries = table
                    .columns
                    .iter()
                    .map(|column| (column.name, column.help));
                report::print(&descriptions(entries))?;
            }
        }
        (Some(name), false) => {
            let table = table(name)?;
            let select = args.select.iter();
            let select = select.map(|text| Selection::parse(table, text));
            let select = select.collect::<Result<Vec<_>, _>>()?;
            let site = context.site()?;
            let rows = site.rows(table).iter();
            let rows = rows.filter(|row| select.iter().all(|one| one.holds(row)));
            let text = if json {
                let rows: Vec<_> = rows.map(|row| Object(table, row)).collect();
                serde_json::to_string_pretty(&rows)? + "\n"
            } else {
                csv::write(table, &rows.cloned().collect::<Vec<_>>())
            };
            match &args.file {
                Some(path) => std::fs::write(path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?,
                None => report::print(&text)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// As xCAT prints them: the text begins at the second tab stop, and blank lines are between entries.
fn descriptions<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let entries = entries.map(|(name, help)| {
        let space = if name.len() < 7 { "\t\t" } else { "\t" };
        format!("{name}:{space}{help}\n")
    });
    entries.collect::<Vec<_>>().join("\n")
}
