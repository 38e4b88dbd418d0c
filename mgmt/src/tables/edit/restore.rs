//! `tabrestore`: the rows of a dump, in place of those of a table or besides them.

use crate::tables::{Row, Site, Table};

/// Puts rows in. A row that is there already, equal in every column, is not added again, as in xCAT; a different row
/// with the same key is a finding of the check. Returns how many were left out as equal.
pub fn restore(site: &mut Site, table: &'static Table, rows: Vec<Row>, add: bool) -> usize {
    let mut all = if add {
        site.rows(table).to_vec()
    } else {
        Vec::new()
    };
    let mut known: std::collections::HashSet<Row> = all.iter().cloned().collect();
    let given = rows.len();
    let before = all.len();
    all.extend(rows.into_iter().filter(|row| known.insert(row.clone())));
    let left_out = given - (all.len() - before);
    site.put(table, all);
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::SITE;

    #[test]
    fn equal_rows_come_once() {
        let row = |key: &str| Row::new(&SITE).with(&SITE, "key", key);
        let mut site = Site::default();
        assert_eq!(
            restore(&mut site, &SITE, vec![row("a"), row("b"), row("a")], false),
            1
        );
        assert_eq!(restore(&mut site, &SITE, vec![row("b"), row("c")], true), 1);
        assert_eq!(site.rows(&SITE), [row("a"), row("b"), row("c")]);
        assert_eq!(restore(&mut site, &SITE, vec![row("z")], false), 0);
        assert_eq!(site.rows(&SITE), [row("z")]);
    }
}
