//! What nodes report and were told, on its way into the tables.

use crate::resolve::given::{self, Given, GivenError};
use crate::server::answers::{Known, Outcome};
use crate::tables::schema::NODELIST;
use crate::tables::{Row, Site};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

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
    /// A node was told its policy. Shared with the cache of answers: waiting reports cost no memory of their own.
    Given(Arc<Outcome>),
}

/// A point in time as `nodelist.statustime` has it.
#[must_use]
pub fn timestamp() -> String {
    jiff::Zoned::now().strftime("%m-%d-%Y %H:%M:%S").to_string()
}

/// Writes down what nodes were told, the last of each, below the state directory.
///
/// # Errors
/// The first that failed; the others are written all the same.
pub fn record(dir: &Path, reports: &[Report]) -> Result<(), GivenError> {
    let mut last: HashMap<&str, &Known> = HashMap::new();
    for report in reports {
        if let Report::Given(outcome) = report
            && let Ok(known) = outcome.as_ref()
        {
            last.insert(&known.node, known);
        }
    }
    let mut done = Ok(());
    for (node, known) in last {
        let given = Given::now(&known.answer, &known.image, known.dialect);
        let written = given::record(dir, node, &given);
        done = done.and(written);
    }
    done
}

/// Whether one of them belongs into the tables.
#[must_use]
pub fn touch_tables(reports: &[Report]) -> bool {
    reports
        .iter()
        .any(|report| matches!(report, Report::Status { .. }))
}

/// Puts the reports into the nodelist table; the last of a node counts. Nodes that are not there are passed over.
pub fn apply(site: &mut Site, reports: &[Report]) {
    let mut last: HashMap<&str, (&str, &str)> = HashMap::new();
    for report in reports {
        if let Report::Status { node, status, time } = report {
            last.insert(node, (status, time));
        }
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
