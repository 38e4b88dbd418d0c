//! The site and policy tables.

use super::facts::MODE;
use super::priorities::decimal;
use super::{Facts, Sink};
use crate::tables::schema::{LINUXIMAGE, LITEFILE, LITETREE, POLICY, SITE};
use crate::tables::{Row, Table};
use statelite_policy::Dialect;

/// What policy.rule may say. Any other word denies in xCAT.
const WORDS: &[&str] = &["allow", "accept", "trusted", "trust", "deny"];

/// Settings that are ports.
const PORTS: &[&str] = &["xcatdport", "xcatiport", "httpport"];

pub(super) fn policy_rule(facts: &Facts<'_>, sink: &mut Sink<'_>) {
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

/// What nodes ask, the column that makes them ask, and the row of the policy table that xCAT or its documents have.
const REQUESTS: &[(&str, &Table, &str, &str)] = &[
    ("litefile", &LITEFILE, "file", "4.7"),
    ("litetree", &LITETREE, "directory", "4.8"),
    ("getpartition", &LINUXIMAGE, "partitionfile", "7.1"),
];

/// Whether the policy table lets some node ask this. Nodes have no name; what depends on host, node or time is taken to let
/// some in.
fn answered(rows: &[&Row], command: &str) -> bool {
    let open = |row: &Row, column| matches!(row.get(&POLICY, column).unwrap_or_default(), "" | "*");
    for row in rows {
        let cell = |column| row.get(&POLICY, column).unwrap_or_default().trim();
        let about =
            open(row, "commands") || cell("commands").split(',').any(|c| c.trim() == command);
        if !about || !cell("name").is_empty() {
            continue;
        }
        let allows = ["allow", "accept", "trusted"]
            .iter()
            .any(|word| cell("rule").eq_ignore_ascii_case(word));
        let always = ["host", "noderange", "parameters", "time"]
            .iter()
            .all(|column| open(row, column));
        if allows || always {
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

pub(super) fn setting(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    if let Some((row, value)) = facts.setting("statelitedialect")
        && let Err(error) = value.parse::<Dialect>()
    {
        sink.report(&SITE, row, "value", error);
    }
    if let Some((row, value)) = facts.setting(MODE)
        && !matches!(value, "fuse" | "links")
    {
        let reason = format_args!("unknown mode \"{value}\" (allowed: fuse, links)");
        sink.report(&SITE, row, "value", reason);
    }
    for key in PORTS {
        if let Some((row, value)) = facts.setting(key)
            && !value.parse::<u16>().is_ok_and(|port| port > 0)
        {
            let reason = format_args!("{key} is a port: a number from 1 to 65535, not \"{value}\"");
            sink.report(&SITE, row, "value", reason);
        }
    }
}
