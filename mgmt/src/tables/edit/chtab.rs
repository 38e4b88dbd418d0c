//! `chtab`: single values of rows named by some of their columns.

use crate::tables::{Row, Site, Table, schema};

/// Why the arguments of `chtab` are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChtabError {
    /// "{0}" does not say which rows: expected COLUMN=VALUE[,COLUMN=VALUE...]
    #[error("\"{0}\" does not say which rows: expected COLUMN=VALUE[,COLUMN=VALUE...]")]
    Key(String),
    /// "{0}" is no assignment: expected TABLE.COLUMN=VALUE or TABLE.COLUMN+=VALUE
    #[error("\"{0}\" is no assignment: expected TABLE.COLUMN=VALUE or TABLE.COLUMN+=VALUE")]
    Assignment(String),
    /// no table "{0}"
    #[error("no table \"{0}\": `statelite tabdump` lists the tables")]
    Table(String),
    /// the table {table} has no column "{column}"
    #[error("the table {table} has no column \"{column}\" (it has: {})", names(.table))]
    Column {
        /// The table.
        table: &'static str,
        /// What was given.
        column: String,
    },
    /// nothing to do
    #[error("nothing to do: give a TABLE.COLUMN=VALUE, or a TABLE to delete from")]
    Nothing,
}

fn names(table: &str) -> String {
    let columns = schema::table(table).map_or(&[][..], |table| table.columns);
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    names.join(" ")
}

/// A value for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Assignment {
    table: &'static Table,
    column: &'static str,
    /// Whether the words of the value are added to those that are there.
    add: bool,
    value: String,
}

/// What `chtab` shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chtab {
    key: Vec<(String, String)>,
    tables: Vec<&'static Table>,
    assignments: Vec<Assignment>,
}

impl Chtab {
    /// `COLUMN=VALUE[,...]` and `TABLE.COLUMN=VALUE`s: sets values, in new rows where there are none.
    ///
    /// # Errors
    /// [`ChtabError`].
    pub fn set(key: &str, assignments: &[String]) -> Result<Self, ChtabError> {
        let assignments: Vec<_> = assignments
            .iter()
            .map(|text| assignment(text))
            .collect::<Result<_, _>>()?;
        let mut tables: Vec<&'static Table> = Vec::new();
        for table in assignments.iter().map(|assignment| assignment.table) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        Self::new(key, tables, assignments)
    }

    /// `COLUMN=VALUE[,...]` and tables: deletes the rows.
    ///
    /// # Errors
    /// [`ChtabError`].
    pub fn delete(key: &str, tables: &[String]) -> Result<Self, ChtabError> {
        let tables = tables.iter().map(|name| table(name));
        Self::new(key, tables.collect::<Result<_, _>>()?, Vec::new())
    }

    fn new(
        key: &str,
        tables: Vec<&'static Table>,
        assignments: Vec<Assignment>,
    ) -> Result<Self, ChtabError> {
        if tables.is_empty() {
            return Err(ChtabError::Nothing);
        }
        let mut pairs = Vec::new();
        for pair in key.split(',') {
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty() && !name.contains('.'))
                .ok_or_else(|| ChtabError::Key(key.to_owned()))?;
            for table in &tables {
                column(table, name)?;
            }
            pairs.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self {
            key: pairs,
            tables,
            assignments,
        })
    }

    /// Makes the change and says, for each table, how many rows it found.
    pub fn apply(&self, site: &mut Site) -> Vec<(&'static str, usize)> {
        let mut found = Vec::new();
        for table in self.tables.iter().copied() {
            let mut rows = site.rows(table).to_vec();
            let before = rows.len();
            let hits = rows.iter().filter(|row| self.names(table, row)).count();
            if self.assignments.is_empty() {
                rows.retain(|row| !self.names(table, row));
            } else {
                if hits == 0 {
                    let mut row = Row::new(table);
                    for (name, value) in &self.key {
                        row.set(table, name, filled(value));
                    }
                    rows.push(row);
                }
                let named = rows.iter_mut().filter(|row| self.names(table, row));
                named.for_each(|row| self.assign(table, row));
            }
            if hits > 0 || rows.len() != before {
                site.put(table, rows);
            }
            found.push((table.name, hits));
        }
        found
    }

    /// Whether the key names the row.
    fn names(&self, table: &Table, row: &Row) -> bool {
        let mut pairs = self.key.iter();
        pairs.all(|(name, value)| row.get(table, name).unwrap_or_default() == value)
    }

    fn assign(&self, table: &'static Table, row: &mut Row) {
        for assignment in self.assignments.iter().filter(|a| a.table == table) {
            let value = match row.get(table, assignment.column) {
                Some(old) if assignment.add => union(old, &assignment.value),
                _ => assignment.value.clone(),
            };
            row.set(table, assignment.column, filled(&value));
        }
    }
}

/// A value as it is stored: a blank one is NULL.
fn filled(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// The words of both comma lists, each once.
fn union(old: &str, new: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in old.split(',').chain(new.split(',')) {
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(",")
}

fn table(name: &str) -> Result<&'static Table, ChtabError> {
    schema::table(name).ok_or_else(|| ChtabError::Table(name.to_owned()))
}

fn column(table: &'static Table, name: &str) -> Result<&'static str, ChtabError> {
    let column = table.columns.iter().find(|column| column.name == name);
    column.map(|column| column.name).ok_or(ChtabError::Column {
        table: table.name,
        column: name.to_owned(),
    })
}

fn assignment(text: &str) -> Result<Assignment, ChtabError> {
    let wrong = || ChtabError::Assignment(text.to_owned());
    let (place, value) = text.split_once('=').ok_or_else(wrong)?;
    let (place, add) = match place.strip_suffix('+') {
        Some(place) => (place, true),
        None => (place, false),
    };
    let (name, wanted) = place.split_once('.').ok_or_else(wrong)?;
    let table = table(name)?;
    Ok(Assignment {
        table,
        column: column(table, wanted)?,
        add,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::csv;
    use crate::tables::schema::{LITEFILE, NODELIST, NODERES};

    fn site() -> Site {
        let mut site = Site::default();
        for (table, text) in [
            (
                &LITEFILE,
                "#image,file,options\nALL,/a,ro\nALL,/b,ro\ndeb,/a,ro\n",
            ),
            (&NODELIST, "#node,groups\nn1,\"rack1,all\"\n"),
        ] {
            site.put(table, csv::read(table, "t", text.as_bytes()).unwrap());
        }
        site
    }

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn values_are_set_in_every_row_the_key_names_or_a_new_one() {
        for (key, assignments, table, wanted) in [
            (
                "file=/a",
                vec!["litefile.options=persistent", "litefile.comments=x=y"],
                &LITEFILE,
                "\"ALL\",\"/a\",\"persistent\",\"x=y\",\n\"ALL\",\"/b\",\"ro\",,\n\"deb\",\"/a\",\"persistent\",\"x=y\",\n",
            ),
            (
                "image=ALL,file=/a",
                vec!["litefile.options="],
                &LITEFILE,
                "\"ALL\",\"/a\",,,\n\"ALL\",\"/b\",\"ro\",,\n\"deb\",\"/a\",\"ro\",,\n",
            ),
            (
                "node=n1",
                vec!["nodelist.groups+=all,web", "noderes.nfsdir=/x+=y"],
                &NODELIST,
                "\"n1\",\"rack1,all,web\",,,,,,,,,,,\n",
            ),
        ] {
            let mut site = site();
            let chtab = Chtab::set(key, &words(&assignments)).unwrap();
            chtab.apply(&mut site);
            let text = csv::write(table, site.rows(table));
            assert_eq!(text.split_once('\n').unwrap().1, wanted);
        }
    }

    #[test]
    fn a_missing_row_is_made_with_its_key() {
        let mut site = site();
        let chtab = Chtab::set("node=n2", &words(&["noderes.nfsdir=/x+=y"])).unwrap();
        assert_eq!(chtab.apply(&mut site), [("noderes", 0)]);
        let row = site.row(&NODERES, &["n2"]).unwrap();
        assert_eq!(row.get(&NODERES, "nfsdir"), Some("/x+=y"));
    }

    #[test]
    fn rows_are_deleted_by_key() {
        let mut site = site();
        let chtab = Chtab::delete("file=/a", &words(&["litefile"])).unwrap();
        assert_eq!(chtab.apply(&mut site), [("litefile", 2)]);
        assert_eq!(site.rows(&LITEFILE).len(), 1);
        assert_eq!(chtab.apply(&mut site), [("litefile", 0)]);
    }

    #[test]
    fn wrong_arguments_say_what_is_expected() {
        for (key, arguments, message) in [
            (
                "site.value=x",
                vec!["site.value=x"],
                "\"site.value=x\" does not say which rows",
            ),
            (
                "key",
                vec!["site.value=x"],
                "\"key\" does not say which rows",
            ),
            (
                "key=a,b",
                vec!["site.value=x"],
                "\"key=a,b\" does not say which rows",
            ),
            (
                "key=a",
                vec!["site.valu=x"],
                "the table site has no column \"valu\" (it has: key value comments disable)",
            ),
            (
                "kay=a",
                vec!["site.value=x"],
                "the table site has no column \"kay\"",
            ),
            ("key=a", vec!["sites.value=x"], "no table \"sites\""),
            ("key=a", vec!["site=x"], "\"site=x\" is no assignment"),
            (
                "key=a",
                vec!["site.value"],
                "\"site.value\" is no assignment",
            ),
            ("key=a", vec![], "nothing to do"),
        ] {
            let error = Chtab::set(key, &words(&arguments)).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
