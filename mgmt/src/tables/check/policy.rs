//! The policy table.

use super::priorities::decimal;
use super::{Facts, Severity, Sink};
use crate::noderange::{self, RangeError};
use crate::server::access;
use crate::tables::schema::{LINUXIMAGE, LITEFILE, LITETREE, POLICY};
use crate::tables::{Row, Site, Table};

/// What policy.rule may say. Any other word denies in xCAT.
const WORDS: &[&str] = &["allow", "accept", "trusted", "trust", "deny"];

/// Columns whose text must be understood before a row can be compared with a request.
const READ: [&str; 3] = ["noderange", "parameters", "time"];

pub(super) fn rule(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, word) in facts.values(&POLICY, "rule") {
        if !WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            let reason = format_args!(
                "unknown word \"{word}\": xCAT denies then (known: {})",
                WORDS.join(" ")
            );
            sink.report(&POLICY, row, "rule", reason);
        }
    }
}

/// What a cell does to its row.
#[derive(Debug, PartialEq, Eq)]
enum Cell {
    /// Blank or `*`: every request matches.
    Open,
    /// Some requests match.
    Some,
    /// No request matches, whatever the row's rule.
    None(String),
    /// It cannot be understood: a row that allows never matches by it, one that denies always does.
    Unread {
        reason: String,
        /// Whether that is for what other tables have, or do not have.
        elsewhere: bool,
    },
}

fn cell(site: &Site, row: &Row, column: &str) -> Cell {
    let text = row.get(&POLICY, column).unwrap_or_default().trim();
    let unread = |reason| Cell::Unread {
        reason,
        elsewhere: false,
    };
    match column {
        _ if text.is_empty() || text == "*" => Cell::Open,
        "noderange" => match noderange::expand(site, text) {
            Ok(nodes) if nodes.is_empty() => Cell::None(format!("\"{text}\" names no node")),
            Ok(_) => Cell::Some,
            Err(error) => Cell::Unread {
                reason: format!("\"{text}\": {error}"),
                elsewhere: matches!(
                    error,
                    RangeError::Unknown(_) | RangeError::Group { .. } | RangeError::Excluded(_)
                ),
            },
        },
        "parameters" => match access::arguments(text) {
            Ok(_) => Cell::Some,
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default();
                let why = why.trim_start_matches("error: ");
                unread(format!("\"{text}\" is no regular expression: {why}"))
            }
        },
        "time" => match access::times(text).as_deref() {
            None => unread(format!(
                "\"{text}\" is no time of day: expected HH:MM-HH:MM[,...], from 00:00 to 24:00"
            )),
            Some(ranges) if ranges.iter().all(|(from, to)| from == to) => {
                Cell::None(format!("\"{text}\" ends when it begins"))
            }
            Some(_) => Cell::Some,
        },
        _ => Cell::Some,
    }
}

/// Cells by which a row denies everybody, or nobody is ever let in.
pub(super) fn cells(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for row in facts.live(&POLICY) {
        for column in READ {
            let (severity, reason, denies) = match cell(facts.site, row.1, column) {
                Cell::Open | Cell::Some => continue,
                Cell::None(reason) => (Severity::Warning, reason, "it never denies"),
                Cell::Unread { reason, elsewhere } => {
                    let severity = match elsewhere {
                        true => Severity::Warning,
                        false => sink.rule.severity,
                    };
                    (severity, reason, "it denies all the same")
                }
            };
            let effect = match access::allows(row.1) {
                true => "the row lets nobody in",
                false => denies,
            };
            let reason = format_args!("{reason}: {effect}");
            sink.report_as(severity, &POLICY, row, column, reason);
        }
    }
}

/// What nodes ask, the column that makes them ask, and the row of the policy table that xCAT or its documents have.
const REQUESTS: &[(&str, &Table, &str, &str)] = &[
    ("litefile", &LITEFILE, "file", "4.7"),
    ("litetree", &LITETREE, "directory", "4.8"),
    ("getpartition", &LINUXIMAGE, "partitionfile", "7.1"),
];

/// A row, and whether it ever matches or always does by its cells.
struct Judged<'a> {
    row: &'a Row,
    never: bool,
    always: bool,
}

impl<'a> Judged<'a> {
    /// Nodes have no name; what depends on host, node or time is taken to match for some.
    fn new(site: &Site, row: &'a Row) -> Self {
        let allows = access::allows(row);
        let (mut never, mut always) = (false, true);
        for column in ["host"].into_iter().chain(READ) {
            match cell(site, row, column) {
                Cell::Open => {}
                Cell::Some => always = false,
                Cell::None(_) => never = true,
                Cell::Unread { .. } => never |= allows,
            }
        }
        Self { row, never, always }
    }
}

/// Whether the policy table lets some node ask this.
fn answered(rows: &[Judged<'_>], command: &str) -> bool {
    for Judged { row, never, always } in rows {
        let cell = |column| row.get(&POLICY, column).unwrap_or_default().trim();
        let commands = cell("commands");
        let about =
            matches!(commands, "" | "*") || commands.split(',').any(|c| c.trim() == command);
        if *never || !about || !cell("name").is_empty() {
            continue;
        }
        let allows = access::allows(row);
        if allows || *always {
            return allows;
        }
    }
    false
}

pub(super) fn unanswered(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let place = |row: &&Row| decimal(row.get(&POLICY, "priority").unwrap_or_default());
    let mut rows: Vec<&Row> = facts.live(&POLICY).map(|(_, row)| row).collect();
    rows.sort_by(|a, b| {
        let [a, b] = [a, b].map(|row| place(row).unwrap_or(f64::INFINITY));
        a.total_cmp(&b)
    });
    let judge = |row| Judged::new(facts.site, row);
    let rows: Vec<_> = rows.into_iter().map(judge).collect();
    for (command, table, column, priority) in REQUESTS.iter().copied() {
        if facts.values(table, column).next().is_some() && !answered(&rows, command) {
            let reason = format_args!(
                "no row lets nodes ask \"{command}\": every node is denied. xCAT has the row \
                 priority={priority} commands={command} rule=allow"
            );
            sink.report_table(&POLICY, reason);
        }
    }
}
