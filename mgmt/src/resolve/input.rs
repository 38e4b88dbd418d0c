//! The three tables as one node sees them, in the form `statelite-policy` reads.
//!
//! In rows that apply to the node, commands are replaced by their output, and `statelite.statemnt` and `mntopts` by the
//! values the node has: of its own row, else its groups', computed if need be. What is refused is said with the
//! number the row has in the whole table, although the statelite rows of others are left out here.

use super::command::{self, Run};
use super::label::label;
use super::{ResolveError, image_groups, image_of};
use crate::tables::row::place;
use crate::tables::schema::{LITEFILE, LITETREE, STATELITE};
use crate::tables::{Row, Site, Table};
use statelite_policy::{Dialect, NodeIdentity, Policy, Refusals, Source, Tables};

/// What a policy is built from.
#[derive(Debug, Clone)]
pub struct Input {
    /// Who the node is.
    pub identity: NodeIdentity,
    litefile: String,
    litetree: String,
    statelite: String,
    /// The number in the table of every statelite row that was kept.
    store_rows: Vec<usize>,
}

impl Input {
    /// The input for a node.
    ///
    /// # Errors
    /// [`ResolveError`] when the node's image is unknown, a command fails, or a value cannot be computed.
    pub fn of(site: &Site, node: &str, run: &dyn Run) -> Result<Self, ResolveError> {
        let mut identity = bare(site, node)?;
        let mut trees = site.rows(&LITETREE).to_vec();
        for (number, row) in (1..).zip(&mut trees) {
            if applies(row, &identity) {
                expand(site, node, (number, row), (&LITETREE, "directory"), run)?;
            }
        }
        let mut stores = own_store(site, node)?;
        for (number, row) in &mut stores {
            expand(site, node, (*number, row), (&STATELITE, "statemnt"), run)?;
        }
        learn(site, &mut identity, &trees, &stores)?;
        let (store_rows, stores): (Vec<usize>, Vec<Row>) = stores.into_iter().unzip();
        Ok(Self {
            identity,
            litefile: csv(&LITEFILE, site.rows(&LITEFILE)),
            litetree: csv(&LITETREE, &trees),
            statelite: csv(&STATELITE, &stores),
            store_rows,
        })
    }

    /// The policy of the node.
    ///
    /// # Errors
    /// Every refused row, with its number in its table and its key.
    pub fn build(&self, dialect: Dialect) -> Result<Policy, Refusals> {
        let mut built = statelite_policy::build(&self.tables(), &self.identity, dialect);
        name_rows(&mut built, |table, line| match table.name {
            "litefile" => label(table, &self.litefile, line, |number| number),
            "litetree" => label(table, &self.litetree, line, |number| number),
            _ => label(table, &self.statelite, line, |number| {
                let kept = self.store_rows.get(number.saturating_sub(1));
                kept.copied().unwrap_or(number)
            }),
        });
        built
    }

    fn tables(&self) -> Tables<'_> {
        Tables {
            litefile: Some((LITEFILE.name, self.litefile.as_bytes())),
            litetree: Some((LITETREE.name, self.litetree.as_bytes())),
            statelite: Some((STATELITE.name, self.statelite.as_bytes())),
        }
    }
}

/// Where a node's persistent state is kept: by the statelite table alone, so that nothing wrong in another stops it.
///
/// # Errors
/// As [`Input::of`], and refused statelite rows.
pub fn store(site: &Site, node: &str, run: &dyn Run) -> Result<Option<Source>, ResolveError> {
    let mut identity = bare(site, node)?;
    let mut stores = own_store(site, node)?;
    for (number, row) in &mut stores {
        expand(site, node, (*number, row), (&STATELITE, "statemnt"), run)?;
    }
    learn(site, &mut identity, &[], &stores)?;
    let (store_rows, stores): (Vec<usize>, Vec<Row>) = stores.into_iter().unzip();
    let input = Input {
        identity,
        litefile: csv(&LITEFILE, &[]),
        litetree: csv(&LITETREE, &[]),
        statelite: csv(&STATELITE, &stores),
        store_rows,
    };
    let policy = input.build(Dialect::Current);
    Ok(policy.map_err(ResolveError::Refused)?.statemnt)
}

/// Who a node is, with the variables that occur in the rows for it; commands are not run.
///
/// # Errors
/// As [`image_of`], and a variable that cannot be computed.
pub fn identity(site: &Site, node: &str) -> Result<NodeIdentity, ResolveError> {
    let mut identity = bare(site, node)?;
    let stores = own_store(site, node)?;
    learn(site, &mut identity, site.rows(&LITETREE), &stores)?;
    Ok(identity)
}

fn bare(site: &Site, node: &str) -> Result<NodeIdentity, ResolveError> {
    let image = image_of(site, node)?;
    let groups = site.groups(node).into_iter().map(str::to_owned).collect();
    Ok(NodeIdentity {
        name: node.to_owned(),
        image_groups: image_groups(site, &image),
        image,
        groups,
        ..NodeIdentity::default()
    })
}

/// Whether a litetree row is read for the node.
fn applies(row: &Row, identity: &NodeIdentity) -> bool {
    let image = row.get(&LITETREE, "image").unwrap_or_default();
    row.live(&LITETREE) && identity.level(image).is_some()
}

/// Runs the commands of a cell.
fn expand(
    site: &Site,
    node: &str,
    (number, row): (usize, &mut Row),
    (table, column): (&'static Table, &'static str),
    run: &dyn Run,
) -> Result<(), ResolveError> {
    let Some(cell) = row
        .get(table, column)
        .filter(|cell| command::has_command(cell))
    else {
        return Ok(());
    };
    let value = |name: &str| site.variable(node, name);
    let expanded =
        command::expand(cell, node, &value, run).map_err(|reason| ResolveError::Command {
            table: table.name,
            row: place(number, &row.key(table)),
            column,
            node: node.to_owned(),
            reason: Box::new(reason),
        })?;
    row.set(table, column, Some(expanded));
    Ok(())
}

/// The statelite rows of the node and its groups and their numbers in the table, with the node's values where they come from and
/// nothing where they do not count.
fn own_store(site: &Site, node: &str) -> Result<Vec<(usize, Row)>, ResolveError> {
    let names: Vec<&str> = std::iter::once(node).chain(site.groups(node)).collect();
    let numbered = (1..).zip(site.rows(&STATELITE));
    let mut rows: Vec<(usize, Row)> = numbered
        .filter(|(_, row)| {
            let name = row.get(&STATELITE, "node").unwrap_or_default();
            row.live(&STATELITE) && names.contains(&name)
        })
        .map(|(number, row)| (number, row.clone()))
        .collect();
    for column in ["statemnt", "mntopts"] {
        let found = site.find(node, &STATELITE, column)?;
        // Of two rows of one name the first counts; the other is refused as such.
        let mut pending = found.map(|found| (found.from.to_owned(), found.value));
        for (_, row) in &mut rows {
            let name = row.get(&STATELITE, "node").unwrap_or_default();
            let here = pending.as_ref().is_some_and(|(from, _)| from == name);
            let value = if here { pending.take() } else { None };
            row.set(&STATELITE, column, value.map(|(_, value)| value));
        }
    }
    Ok(rows)
}

/// Looks up the variables that occur in the rows for the node.
fn learn(
    site: &Site,
    identity: &mut NodeIdentity,
    trees: &[Row],
    stores: &[(usize, Row)],
) -> Result<(), ResolveError> {
    let node = identity.name.clone();
    let trees = trees.iter().filter(|row| applies(row, identity));
    let mut cells: Vec<&str> = trees
        .filter_map(|row| row.get(&LITETREE, "directory"))
        .collect();
    cells.extend(
        stores
            .iter()
            .filter_map(|(_, row)| row.get(&STATELITE, "statemnt")),
    );
    let mut variables = std::collections::BTreeMap::new();
    for cell in cells {
        for word in cell.split('$').skip(1) {
            let outside = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
            let word = word.split(outside).next().unwrap_or_default();
            if let Some(value) = site.find_variable(&node, word)? {
                variables.insert(word.to_owned(), value);
            }
        }
    }
    identity.variables = variables;
    Ok(())
}

/// Puts numbers and keys of rows in the place of lines.
pub(super) fn name_rows(
    built: &mut Result<Policy, Refusals>,
    label: impl Fn(&'static Table, u64) -> Option<String>,
) {
    let name = |file: &mut String, line: &mut u64| {
        let tables = [&LITEFILE, &LITETREE, &STATELITE];
        let table = tables.into_iter().find(|table| table.name == file.as_str());
        if let Some(label) = table.and_then(|table| label(table, *line)) {
            *file = label;
            *line = 0;
        }
    };
    match built {
        Ok(policy) => {
            for warning in &mut policy.warnings {
                name(&mut warning.file, &mut warning.line);
            }
        }
        Err(refusals) => {
            for refusal in &mut refusals.0 {
                name(&mut refusal.file, &mut refusal.line);
            }
        }
    }
}

/// Rows as a dump has them.
#[must_use]
pub fn csv(table: &Table, rows: &[Row]) -> String {
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let mut text = format!("#{}\n", names.join(","));
    for row in rows {
        for (index, cell) in row.cells().iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            if let Some(value) = cell.as_deref().filter(|value| !value.is_empty()) {
                text.push('"');
                text.push_str(&value.replace('"', "\"\""));
                text.push('"');
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::command::RunError;
    use crate::resolve::policy_with;
    use crate::tables::schema::{NODELIST, NODERES, NODETYPE};

    fn site() -> Site {
        let mut site = Site::default();
        let node = Row::new(&NODELIST).with(&NODELIST, "node", "cn12");
        site.add(&NODELIST, node.with(&NODELIST, "groups", "rack,all"));
        let kind = Row::new(&NODETYPE).with(&NODETYPE, "node", "all");
        let kind = kind.with(&NODETYPE, "os", "rhels6.2");
        let kind = kind.with(&NODETYPE, "arch", "x86_64");
        let kind = kind.with(&NODETYPE, "provmethod", "compute");
        site.add(&NODETYPE, kind.with(&NODETYPE, "profile", "p"));
        site
    }

    fn store(site: &mut Site, name: &str, statemnt: &str, mntopts: &str) {
        let row = Row::new(&STATELITE).with(&STATELITE, "node", name);
        let row = row.with(&STATELITE, "statemnt", statemnt);
        site.add(&STATELITE, row.with(&STATELITE, "mntopts", mntopts));
    }

    fn tree(site: &mut Site, priority: &str, image: &str, directory: &str) {
        let row = Row::new(&LITETREE).with(&LITETREE, "priority", priority);
        let row = row.with(&LITETREE, "image", image);
        site.add(&LITETREE, row.with(&LITETREE, "directory", directory));
    }

    fn run(command: &str, node: &str) -> Result<String, RunError> {
        match command {
            "name" => Ok(format!("of-{node}")),
            _ => Err(RunError::Start("no such thing".into())),
        }
    }

    #[test]
    fn stores_are_of_the_node_or_its_groups() {
        for (rows, wanted) in [
            (
                vec![("all", "s:/a", ""), ("cn12", "t:/$node", "soft")],
                "t:/cn12 :soft",
            ),
            (
                vec![
                    ("all", "s:/a", "hard"),
                    ("rack", "|n(\\d+)|t($1%5):/b|", ""),
                ],
                "ct2:/b :hard",
            ),
            (vec![("all", "s:/a", ""), ("rack", "|x|y|", "")], "s:/a"),
            (vec![("all", "s:/a", ""), ("cn12", "|^.*$||", "")], "none"),
            (vec![("cn12", "/n/m/", "")], "/n/m/"),
            (
                vec![("all", "s:/#CMD=name#", ""), ("rack", "s:/#CMD=other#", "")],
                "error",
            ),
            (
                vec![
                    ("rack", "s:/#CMD=name#/x", ""),
                    ("all", "s:/#CMD=other#", ""),
                ],
                "s:/of-cn12/x",
            ),
        ] {
            let mut site = site();
            for (name, statemnt, mntopts) in &rows {
                store(&mut site, name, statemnt, mntopts);
            }
            let shown = match policy_with(&site, "cn12", &run) {
                Ok(policy) => policy.statemnt.map_or("none".into(), |s| format!("{s:#}")),
                Err(error) => {
                    assert_eq!(
                        error.to_string(),
                        "statelite: row 2 (\"rack\"): column statemnt: for node cn12: command \"other\": \
                         it cannot be started: no such thing"
                    );
                    "error".into()
                }
            };
            assert_eq!(shown, wanted, "{rows:?}");
        }
    }

    #[test]
    fn only_rows_for_the_node_are_run_and_computed() {
        let mut site = site();
        tree(&mut site, "1", "other", "s:/#CMD=other#/$noderes.nfsdir");
        tree(
            &mut site,
            "2",
            "compute",
            "$noderes.nfsserver:/#CMD=name#/$node",
        );
        let row = Row::new(&NODERES).with(&NODERES, "node", "all");
        let row = row.with(&NODERES, "nfsserver", "nfs");
        site.add(&NODERES, row.with(&NODERES, "nfsdir", "|n(\\d+)|($1/0)|"));
        let policy = policy_with(&site, "cn12", &run).unwrap();
        let trees: Vec<_> = policy.layers.iter().map(|l| l.source.to_string()).collect();
        assert_eq!(trees, ["nfs:/of-cn12/cn12"]);
        tree(&mut site, "3", "ALL", "s:/$noderes.nfsdir");
        let error = policy_with(&site, "cn12", &run).unwrap_err().to_string();
        assert!(
            error.starts_with("noderes: row all: column nfsdir: "),
            "{error}"
        );
        assert!(error.ends_with("a division by zero"), "{error}");
    }

    #[test]
    fn refused_rows_are_named_by_number_and_key() {
        let mut site = site();
        store(&mut site, "someone", "s:/x", "");
        store(&mut site, "all", "nodir", "");
        store(&mut site, "rack", "s:/a/$nodepos.rack", "");
        let error = policy_with(&site, "cn12", &run).unwrap_err().to_string();
        assert_eq!(
            error,
            "statelite: row 3 (\"rack\"): column statemnt: $nodepos.rack has no value for node cn12"
        );
    }
}
