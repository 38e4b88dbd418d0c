//! Tables as `tabdump` prints them and `tabrestore` takes them: the form of [`statelite_policy::csv`] for every table.

use super::{Row, Table};
use statelite_policy::Refusals;
use statelite_policy::csv::{self, Record, Schema};

/// A table read by [`read_known`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The rows.
    pub rows: Vec<Row>,
    /// Columns of the header that the table does not have here.
    pub left_out: Vec<String>,
}

/// The rows of a dump. `label` names it in messages. Columns may be missing, except for the keys.
///
/// # Errors
/// Every malformed row with its line, column and field, or the malformed header alone.
pub fn read(table: &Table, label: &str, text: &[u8]) -> Result<Vec<Row>, Refusals> {
    Ok(parse(table, label, text, &[])?.rows)
}

/// As [`read`], for dumps of other releases: columns unknown here are left out.
///
/// # Errors
/// As [`read`], except for such columns.
pub fn read_known(table: &Table, label: &str, text: &[u8]) -> Result<Known, Refusals> {
    let header = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let header = String::from_utf8_lossy(header);
    let names = header.trim_start_matches('#').trim_end().split(',');
    let names = names.map(|name| name.trim_matches('"'));
    let plain = |name: &&str| !name.is_empty() && !name.contains(char::is_whitespace);
    let surplus = names.filter(|name| table.index(name).is_none());
    let surplus: Vec<&str> = surplus.filter(plain).collect();
    parse(table, label, text, &surplus)
}

fn parse(table: &Table, label: &str, text: &[u8], surplus: &[&str]) -> Result<Known, Refusals> {
    let known = table.columns.iter().map(|column| csv::Column {
        name: column.name,
        required: table.keys.contains(&column.name),
    });
    let surplus = surplus.iter().map(|name| csv::Column {
        name,
        required: false,
    });
    let columns: Vec<_> = known.chain(surplus).collect();
    let schema = Schema {
        table: table.name,
        columns: &columns,
    };
    let parsed = csv::parse(label, text, &schema)?;
    let places: Vec<_> = parsed
        .columns
        .iter()
        .map(|name| table.index(name))
        .collect();
    let row = |record: Record| {
        let mut cells = vec![None; table.columns.len()];
        for (place, field) in places.iter().zip(record.fields) {
            if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
                *cell = field;
            }
        }
        Row::from_cells(table, cells)
    };
    let rows = parsed.rows.into_iter().map(row).collect();
    let left_out = parsed.columns.iter();
    let left_out = left_out.filter(|name| table.index(name).is_none());
    Ok(Known {
        rows,
        left_out: left_out.map(|name| (*name).to_owned()).collect(),
    })
}

/// Rows as `tabdump` prints them.
#[must_use]
pub fn write(table: &Table, rows: &[Row]) -> String {
    let records = rows.iter().map(|row| Record {
        line: 0,
        fields: row.cells().to_vec(),
    });
    csv::write(&csv::Table {
        file: table.name.to_owned(),
        columns: table.columns.iter().map(|column| column.name).collect(),
        rows: records.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::{LITEFILE, NODERES, SITE, TABLES};
    use proptest::prelude::*;

    #[test]
    fn columns_by_name_in_any_order() {
        let rows = read(&SITE, "site.csv", b"#value,key\nv,k\n").unwrap();
        assert_eq!(rows[0].get(&SITE, "key"), Some("k"));
        assert_eq!(
            write(&SITE, &rows),
            "#key,value,comments,disable\n\"k\",\"v\",,\n"
        );
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, message) in [
            (
                "#key,values\n",
                "x.csv:1: column values: field 2: the site table has no column \"values\"",
            ),
            (
                "#value\n",
                "x.csv:1: column key: the header lacks this column",
            ),
            (
                "#key,value\na,b\nc, \"d\"\n",
                "x.csv:3: column value: field 2: whitespace before the opening quote",
            ),
            (
                "#key,value\na,b,c\n",
                "x.csv:2: field 3: 3 fields, the header has 2",
            ),
        ] {
            let error = read(&SITE, "x.csv", text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn columns_of_other_releases_can_be_left_out() {
        let known = read_known(&SITE, "x", b"#key,zone,value\na,z,b\n").unwrap();
        assert_eq!(known.left_out, ["zone"]);
        assert_eq!(known.rows[0].get(&SITE, "value"), Some("b"));
        assert!(read_known(&SITE, "x", b"key,value\n").is_err());
        assert!(read_known(&SITE, "x", b"#key,value,\n").is_err());
    }

    fn table() -> impl Strategy<Value = &'static Table> {
        proptest::sample::select(TABLES.to_vec())
    }

    proptest! {
        /// What was read is printed as it was, whatever is in the cells.
        #[test]
        fn a_dump_loads_and_dumps_unchanged(
            (table, rows) in table().prop_flat_map(|table| {
                let cell = prop::option::of("[a-z \",\r\n#é'|/$]{0,6}");
                let row = prop::collection::vec(cell, table.columns.len());
                (Just(table), prop::collection::vec(row, 0..6))
            })
        ) {
            let rows: Vec<_> = rows.into_iter().map(|cells| Row::from_cells(table, cells)).collect();
            let text = write(table, &rows);
            let back = read(table, "t", text.as_bytes()).unwrap();
            prop_assert_eq!(write(table, &back), text);
            for (row, back) in rows.iter().zip(&back) {
                for column in table.columns {
                    prop_assert_eq!(row.get(table, column.name), back.get(table, column.name));
                }
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(#[a-z,]{0,20}\n)?[a-z\",\n #]{0,40}") {
            for table in [&LITEFILE, &NODERES] {
                let _ = read(table, "t", text.as_bytes());
                let _ = read_known(table, "t", text.as_bytes());
            }
        }
    }
}
