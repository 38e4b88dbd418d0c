//! What litefile and litetree rows become on the way to nodes (facts §10).

use super::{Facts, Sink};
use crate::tables::schema::{LITEFILE, LITETREE};
use crate::tables::{Row, Table};

/// The columns nodes are told.
const TOLD: [(&Table, &str); 2] = [(&LITEFILE, "file"), (&LITETREE, "directory")];

fn told<'a>(
    facts: &Facts<'a>,
) -> impl Iterator<Item = (&'static Table, &'static str, (usize, &'a Row), &'a str)> + use<'a> {
    let columns = TOLD.map(|(table, column)| {
        let values = facts.values(table, column);
        values.map(move |(row, value)| (table, column, row, value))
    });
    columns.into_iter().flatten()
}

/// Without the commands, which stay on the server.
fn sent(value: &str) -> String {
    super::sources::without_commands(value).unwrap_or_default()
}

pub(super) fn letter(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, row, value) in told(facts) {
        if let Some(letter) = sent(value).chars().find(|letter| !letter.is_ascii()) {
            let reason = format_args!(
                "\"{letter}\" is not ASCII: nodes are told {} in its place, and so another path",
                "?".repeat(letter.len_utf8())
            );
            sink.report(table, row, column, reason);
        }
    }
}

pub(super) fn markup(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (table, column, row, value) in told(facts) {
        let text = sent(value);
        let word = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];
        if let Some((letter, word)) = word.iter().find(|(letter, _)| text.contains(*letter)) {
            let reason = format_args!(
                "\"{letter}\" is sent as \"{word}\": statelitefs reads it back, xCAT's scripts in nodes take it as it is"
            );
            sink.report(table, row, column, reason);
        }
    }
}
