//! What nodes report and were told, on its way into the tables.

use crate::tables::schema::NODELIST;
use crate::tables::{Row, Site};
use std::collections::HashMap;

/// One thing to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A node said what state it is in.
    Status {
        /// The node.
        node: String,
        /// The state, for instance `netbooting`.
        status: String,
        /// When: `MM-DD-YYYY HH:MM:SS`.
        time: String,
    },
}

/// A point in time as `nodelist.statustime` has it.
#[must_use]
pub fn timestamp() -> String {
    jiff::Zoned::now().strftime("%m-%d-%Y %H:%M:%S").to_string()
}

/// Puts the reports into the nodelist table; the last of a node counts. Nodes that are not there are passed over.
pub fn apply(site: &mut Site, reports: &[Report]) {
    let mut last: HashMap<&str, (&str, &str)> = HashMap::new();
    for Report::Status { node, status, time } in reports {
        last.insert(node, (status, time));
    }
    let mut rows: Vec<Row> = site.rows(&NODELIST).to_vec();
    for row in &mut rows {
        let node = row.get(&NODELIST, "node").unwrap_or_default();
        if let Some((status, time)) = last.get(node) {
            row.set(&NODELIST, "status", Some((*status).to_owned()));
            row.set(&NODELIST, "statustime", Some((*time).to_owned()));
        }
    }
    site.put(&NODELIST, rows);
}
