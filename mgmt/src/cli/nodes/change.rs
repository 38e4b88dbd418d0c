//! What `nodech`, `nodeadd` and `noderm` do to the tables.

use crate::noderange::criterion::{Criterion, node_column};
use crate::noderange::{self, Names, Options};
use crate::tables::schema::{NODELIST, TABLES};
use crate::tables::{Row, Site, Table, schema};
use std::collections::{BTreeMap, HashMap};

/// A value that is empty for every node: its groups' values do not count either. What xCAT writes for `column=`.
pub const BLANK: &str = "|^.*$||";
/// The longest name: what a host name can be.
const NAME_MAX: usize = 253;

/// Why arguments are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// "{0}" is no change: expected TABLE.COLUMN=VALUE, ,=VALUE or ^=VALUE
    #[error("\"{0}\" is no change: expected TABLE.COLUMN=VALUE, ,=VALUE or ^=VALUE")]
    Malformed(String),
    /// {0} not a valid table.column description
    #[error("{0} not a valid table.column description")]
    Column(String),
    /// "{0}": . and = not valid in delete mode: give tables
    #[error("\"{0}\": . and = not valid in delete mode: give tables")]
    NotATable(String),
    /// no table "{0}" has rows of nodes
    #[error("no table \"{0}\" has rows of nodes")]
    Table(String),
    /// "{0}": the name of a node is not changed: nodeadd and noderm do that
    #[error("\"{0}\": the name of a node is not changed: nodeadd and noderm do that")]
    Key(String),
    /// nodeadd needs groups=GROUP[,GROUP...]
    #[error("nodeadd needs groups=GROUP[,GROUP...]")]
    NoGroups,
    /// the range gives no name to add
    #[error("the range gives no name to add")]
    NoNames,
    /// "{0}" cannot be the name of a node: expected letters, digits, ".", "-" and "_", a letter or digit first
    #[error(
        "\"{0}\" cannot be the name of a node: expected letters, digits, \".\", \"-\" and \"_\", \
         a letter or digit first"
    )]
    Name(String),
    /// these nodes are there already and would leave groups they are in: {0}; nodech changes nodes, --force does it here
    #[error(
        "these nodes are there already and would leave groups they are in: {0}; nodech changes nodes, --force does it here"
    )]
    Leaves(Names),
    /// {table}: the row of {node} is disabled: enable it with chtab first
    #[error("{table}: the row of {node} is disabled: enable it with chtab first")]
    Disabled {
        /// The table.
        table: &'static str,
        /// The node.
        node: String,
    },
}

/// How a value is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Set,
    Add,
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    table: &'static Table,
    column: &'static str,
    how: How,
    value: String,
}

/// Everything one command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    criteria: Vec<Criterion>,
    assignments: Vec<Assignment>,
    /// Tables to delete rows from.
    deleted: Vec<&'static Table>,
}

impl Changes {
    /// Reads `TABLE.COLUMN=VALUE` and its kind.
    ///
    /// # Errors
    /// [`ChangeError`], or a bad criterion.
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut changes = Self::default();
        for argument in arguments {
            let at = argument.find(['=', '!']).unwrap_or(argument.len());
            let (place, rest) = argument.split_at(at);
            if ["==", "!=", "=~", "!~"]
                .iter()
                .any(|sign| rest.starts_with(sign))
            {
                changes.criteria.extend(Criterion::parse(argument)?);
                continue;
            }
            let malformed = || ChangeError::Malformed(argument.clone());
            let value = rest.strip_prefix('=').ok_or_else(malformed)?;
            let (name, how) = match place.chars().last() {
                Some(',') => (place.trim_end_matches(','), How::Add),
                Some('^') => (place.trim_end_matches('^'), How::Remove),
                _ => (place, How::Set),
            };
            let (table, column) =
                node_column(name).ok_or_else(|| ChangeError::Column(name.to_owned()))?;
            if table.keys.contains(&column) {
                return Err(ChangeError::Key(argument.clone()).into());
            }
            changes.assignments.push(Assignment {
                table,
                column,
                how,
                value: value.strip_prefix('@').unwrap_or(value).to_owned(),
            });
        }
        Ok(changes)
    }

    /// Reads the tables of `nodech -d`.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn deletion(arguments: &[String]) -> Result<Self, ChangeError> {
        let mut changes = Self::default();
        for argument in arguments {
            if argument.contains(['.', '=']) {
                return Err(ChangeError::NotATable(argument.clone()));
            }
            let table = schema::table(argument).filter(|table| table.by_node());
            changes
                .deleted
                .push(table.ok_or_else(|| ChangeError::Table(argument.clone()))?);
        }
        Ok(changes)
    }

    /// Makes the changes for those of the nodes that meet all criteria.
    ///
    /// # Errors
    /// [`ChangeError::Disabled`].
    pub fn apply(&self, site: &mut Site, nodes: &[String]) -> anyhow::Result<()> {
        let meets = |node: &&String| self.criteria.iter().all(|c| c.holds(site, node));
        let nodes: Vec<&str> = nodes.iter().filter(meets).map(String::as_str).collect();
        for table in &self.deleted {
            delete(site, table, &nodes);
        }
        let mut tables: Vec<&'static Table> = Vec::new();
        for assignment in &self.assignments {
            if !tables.contains(&assignment.table) {
                tables.push(assignment.table);
            }
        }
        let wanted: Vec<_> = tables
            .into_iter()
            .map(|table| (table, self.values(site, table, &nodes)))
            .collect();
        for (table, values) in wanted {
            write(site, table, &values)?;
        }
        Ok(())
    }

    /// The new cells of every node in a table.
    fn values<'n>(&self, site: &Site, table: &'static Table, nodes: &[&'n str]) -> Values<'n> {
        let mut all = Vec::new();
        for node in nodes {
            let mut cells: BTreeMap<&'static str, Option<String>> = BTreeMap::new();
            for assignment in self.assignments.iter().filter(|a| a.table == table) {
                let column = assignment.column;
                let now = match cells.get(column) {
                    Some(cell) => cell.clone().filter(|cell| cell != BLANK),
                    None => site.node_value(node, table, column),
                };
                let now = now.unwrap_or_default();
                let new = match assignment.how {
                    How::Set => assignment.value.clone(),
                    How::Add => added(&now, &assignment.value),
                    How::Remove => removed(&now, &assignment.value),
                };
                if assignment.how != How::Set && new == now {
                    continue;
                }
                // A node's groups have no groups to inherit from.
                let blank = (table.name != NODELIST.name).then(|| BLANK.to_owned());
                let cell = if new.is_empty() { blank } else { Some(new) };
                cells.insert(column, cell);
            }
            all.push((*node, cells));
        }
        all
    }

    fn sets_groups(&self) -> bool {
        self.assignments.iter().any(|assignment| {
            let groups = (NODELIST.name, "groups");
            (assignment.table.name, assignment.column) == groups
                && assignment.how != How::Remove
                && !assignment.value.is_empty()
        })
    }
}

/// New cells by column, for each node.
type Values<'n> = Vec<(&'n str, BTreeMap<&'static str, Option<String>>)>;

fn words(list: &str) -> Vec<&str> {
    list.split(',').filter(|word| !word.is_empty()).collect()
}

/// The list with words put in front that it does not have.
fn added(list: &str, more: &str) -> String {
    let now = words(list);
    let mut new: Vec<&str> = words(more);
    new.retain(|word| !now.contains(word));
    new.extend(now);
    new.join(",")
}

fn removed(list: &str, less: &str) -> String {
    let less = words(less);
    let mut now = words(list);
    now.retain(|word| !less.contains(word));
    now.join(",")
}

/// Writes cells into the nodes' own rows, which are made when missing.
fn write(site: &mut Site, table: &'static Table, values: &Values<'_>) -> Result<(), ChangeError> {
    let mut rows = site.rows(table).to_vec();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        let name = row.get(table, "node").unwrap_or_default();
        places.entry(name.to_owned()).or_insert(place);
    }
    for (node, cells) in values {
        if cells.is_empty() {
            continue;
        }
        let place = *places.entry((*node).to_owned()).or_insert_with(|| {
            rows.push(Row::new(table).with(table, "node", node));
            rows.len() - 1
        });
        let Some(row) = rows.get_mut(place) else {
            continue;
        };
        if !row.live(table) && !cells.contains_key("disable") {
            return Err(ChangeError::Disabled {
                table: table.name,
                node: (*node).to_owned(),
            });
        }
        for (column, cell) in cells {
            row.set(table, column, cell.clone());
        }
    }
    site.put(table, rows);
    Ok(())
}

fn delete(site: &mut Site, table: &'static Table, nodes: &[&str]) {
    let gone: std::collections::HashSet<&str> = nodes.iter().copied().collect();
    let mut rows = site.rows(table).to_vec();
    rows.retain(|row| !gone.contains(row.get(table, "node").unwrap_or_default()));
    site.put(table, rows);
}

/// Removes the nodes' own rows from every table.
pub fn remove(site: &mut Site, nodes: &[String]) {
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    for table in TABLES.iter().copied().filter(|table| table.by_node()) {
        delete(site, table, &nodes);
    }
}

/// Adds the nodes of a range of names and returns what to warn about. Nodes that are there get the values all the same; with
/// `force` also if they leave groups by it.
///
/// # Errors
/// [`ChangeError`], or a bad range.
pub fn add(
    site: &mut Site,
    range: &str,
    changes: &Changes,
    force: bool,
) -> anyhow::Result<Vec<String>> {
    if !changes.sets_groups() {
        return Err(ChangeError::NoGroups.into());
    }
    let options = Options {
        verify: false,
        groups: false,
        exclude: false,
        files: Some(&noderange::read_file),
    };
    let nodes = noderange::expand_with(site, range, options)?;
    if nodes.is_empty() {
        return Err(ChangeError::NoNames.into());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let bad = |node: &&String| {
        !node.starts_with(|c: char| c.is_ascii_alphanumeric())
            || node.len() > NAME_MAX
            || !node.chars().all(plain)
    };
    if let Some(node) = nodes.iter().find(bad) {
        return Err(ChangeError::Name(node.clone()).into());
    }
    let capitals: Vec<&str> = nodes
        .iter()
        .map(String::as_str)
        .filter(|node| node.contains(|c: char| c.is_ascii_uppercase()))
        .collect();
    let mut cautions = Vec::new();
    if !capitals.is_empty() {
        cautions.push(format!(
            "The node name '{}' contains capital letters which may not be resolved correctly by the dns server.",
            capitals.join(",")
        ));
    }
    let there: Vec<String> = nodes
        .iter()
        .filter(|node| site.has_node(node))
        .cloned()
        .collect();
    let groups = |site: &Site, node: &str| -> Vec<String> {
        let groups = site.groups(node).into_iter();
        groups.map(str::to_owned).collect()
    };
    let before: Vec<_> = there.iter().map(|node| groups(site, node)).collect();
    changes.apply(site, &nodes)?;
    let mut leave = Vec::new();
    for (node, before) in there.iter().zip(before) {
        let now = groups(site, node);
        if before.iter().any(|group| !now.contains(group)) {
            leave.push(format!("{node} (was in {})", before.join(",")));
        }
    }
    if !leave.is_empty() && !force {
        return Err(ChangeError::Leaves(Names(leave)).into());
    }
    if !leave.is_empty() {
        cautions.push(format!("left groups they were in: {}", Names(leave)));
    } else if !there.is_empty() {
        cautions.push(format!(
            "there already, their values are changed: {}",
            Names(there)
        ));
    }
    Ok(cautions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::{NODERES, NODETYPE};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn site() -> Site {
        let mut site = Site::default();
        for (node, groups) in [("n1", "rack1,all"), ("n2", "all"), ("n3", "all")] {
            let row = Row::new(&NODELIST).with(&NODELIST, "node", node);
            site.add(&NODELIST, row.with(&NODELIST, "groups", groups));
        }
        let row = Row::new(&NODERES).with(&NODERES, "node", "all");
        let row = row.with(&NODERES, "servicenode", "sn1,sn2");
        site.add(&NODERES, row.with(&NODERES, "netboot", "xnba"));
        site
    }

    fn change(site: &mut Site, range: &str, arguments: &str) -> Result<(), String> {
        let nodes = noderange::expand(site, range).map_err(|error| error.to_string())?;
        let changes = Changes::parse(&words(arguments)).map_err(|error| error.to_string())?;
        let done = changes.apply(site, &nodes);
        done.map_err(|error| error.to_string())
    }

    fn cell(site: &Site, node: &str, table: &Table, column: &str) -> String {
        let row = site.row(table, &[node]);
        let cell = row.and_then(|row| row.get(table, column));
        cell.unwrap_or("-").to_owned()
    }

    #[test]
    fn values_go_into_the_nodes_own_rows() {
        for (arguments, table, column, wanted) in [
            ("noderes.netboot=pxe", &NODERES, "netboot", ["pxe", "pxe"]),
            (
                "groups,=web",
                &NODELIST,
                "groups",
                ["web,rack1,all", "web,all"],
            ),
            ("groups,=all", &NODELIST, "groups", ["rack1,all", "all"]),
            ("groups^=rack1", &NODELIST, "groups", ["all", "all"]),
            ("tags=a,b", &NODELIST, "groups", ["a,b", "a,b"]),
            ("groups=", &NODELIST, "groups", ["-", "-"]),
            (
                "groups=a groups,=b groups^=a",
                &NODELIST,
                "groups",
                ["b", "b"],
            ),
            // Lists begin with what the node has, inherited or not.
            (
                "noderes.servicenode,=sn3",
                &NODERES,
                "servicenode",
                ["sn3,sn1,sn2"; 2],
            ),
            (
                "noderes.servicenode^=sn1",
                &NODERES,
                "servicenode",
                ["sn2"; 2],
            ),
            (
                "noderes.servicenode^=sn1,sn2",
                &NODERES,
                "servicenode",
                [BLANK; 2],
            ),
            ("noderes.netboot=", &NODERES, "netboot", [BLANK; 2]),
            ("noderes.netboot=@=x", &NODERES, "netboot", ["=x"; 2]),
            (
                "groups=~rack noderes.netboot=pxe",
                &NODERES,
                "netboot",
                ["pxe", "-"],
            ),
            (
                "groups!=all noderes.netboot=pxe",
                &NODERES,
                "netboot",
                ["pxe", "-"],
            ),
            (
                "noderes.netboot==xnba noderes.netboot=pxe",
                &NODERES,
                "netboot",
                ["pxe"; 2],
            ),
        ] {
            let mut site = site();
            change(&mut site, "n1,n2", arguments).unwrap();
            let found = ["n1", "n2"].map(|node| cell(&site, node, table, column));
            assert_eq!(found, wanted, "{arguments}");
            let before = self::site();
            assert_eq!(
                cell(&site, "n3", table, column),
                cell(&before, "n3", table, column)
            );
        }
        let mut site = site();
        change(&mut site, "n1", "noderes.netboot=").unwrap();
        assert_eq!(site.node_value("n1", &NODERES, "netboot"), None);
    }

    #[test]
    fn what_is_no_change_changes_nothing() {
        for (arguments, message) in [
            (
                "noderes.nonesuch=x",
                "noderes.nonesuch not a valid table.column description",
            ),
            (
                "site.value=x",
                "site.value not a valid table.column description",
            ),
            (
                "nodetype",
                "\"nodetype\" is no change: expected TABLE.COLUMN=VALUE",
            ),
            ("nodetype.os!x", "\"nodetype.os!x\" is no change"),
            ("nodetype.node=n9", "the name of a node is not changed"),
            (
                "nodetype.os=x noderes.x==1",
                "\"noderes.x\" is no table.column of nodes",
            ),
        ] {
            let mut site = site();
            let error = change(&mut site, "n1", arguments).unwrap_err();
            assert!(error.contains(message), "{arguments}: {error}");
            assert_eq!(site, self::site());
        }
        let mut site = site();
        let row = Row::new(&NODETYPE).with(&NODETYPE, "node", "n1");
        site.add(&NODETYPE, row.with(&NODETYPE, "disable", "1"));
        assert_eq!(
            change(&mut site, "n1", "nodetype.os=x").unwrap_err(),
            "nodetype: the row of n1 is disabled: enable it with chtab first"
        );
        change(&mut site, "n1", "nodetype.os=x nodetype.disable=0").unwrap();
        assert_eq!(cell(&site, "n1", &NODETYPE, "os"), "x");
    }

    #[test]
    fn rows_are_deleted_from_the_tables_named() {
        let mut site = site();
        change(&mut site, "n1,n2", "noderes.netboot=pxe nodetype.os=x").unwrap();
        let changes = Changes::deletion(&words("noderes")).unwrap();
        changes.apply(&mut site, &["n1".to_owned()]).unwrap();
        assert!(site.row(&NODERES, &["n1"]).is_none());
        assert!(site.row(&NODERES, &["n2"]).is_some() && site.row(&NODERES, &["all"]).is_some());
        assert!(site.row(&NODETYPE, &["n1"]).is_some());
        remove(&mut site, &["n1".to_owned()]);
        assert!(!site.has_node("n1") && site.row(&NODETYPE, &["n1"]).is_none());
        for (argument, message) in [
            ("noderes.netboot", ". and = not valid in delete mode"),
            ("site", "no table \"site\" has rows of nodes"),
        ] {
            let error = Changes::deletion(&words(argument)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn nodes_are_added_with_their_groups() {
        let mut site = site();
        let changes = Changes::parse(&words("groups=new,all nodetype.os=x")).unwrap();
        let error = add(&mut site.clone(), "a08-a10,n1", &changes, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "these nodes are there already and would leave groups they are in: n1 (was in rack1,all); nodech changes \
             nodes, --force does it here"
        );
        assert_eq!(
            add(&mut site, "a08-a10,n1", &changes, true).unwrap(),
            ["left groups they were in: n1 (was in rack1,all)"]
        );
        assert_eq!(
            noderange::expand(&site, "new").unwrap(),
            ["a08", "a09", "a10", "n1"]
        );
        assert_eq!(cell(&site, "a09", &NODETYPE, "os"), "x");
        // Done again, it takes nothing away.
        let cautions = add(&mut site, "a10-a11,-rack1", &changes, false).unwrap();
        assert_eq!(cautions, ["there already, their values are changed: a10"]);
        let cautions = add(&mut site, "Big", &changes, false).unwrap();
        assert!(cautions[0].starts_with("The node name 'Big' contains capital letters"));
        for (range, arguments, message) in [
            ("a1", "nodetype.os=x", "nodeadd needs groups="),
            ("a1", "groups=", "nodeadd needs groups="),
            (
                "nodetype.os==none",
                "groups=a",
                "the range gives no name to add",
            ),
            (
                "a1,new",
                "groups=a",
                "\"new\" is a group: expected names of nodes",
            ),
            ("(new)", "groups=a", "\"new\" is a group"),
            ("_a", "groups=a", "\"_a\" cannot be the name of a node"),
            ("a:b:c", "groups=a", "cannot be the name of a node"),
        ] {
            let changes = Changes::parse(&words(arguments)).unwrap();
            let error = add(&mut site, range, &changes, true)
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{range}: {error}");
        }
    }
}
