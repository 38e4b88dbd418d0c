//! Who may ask what: the policy table (facts §10).
//!
//! Rows are tried by ascending priority and the first that matches decides; none means no. A blank cell or `*` matches
//! everything, except that a name of `*` needs a caller who has one. A cell that cannot be understood never
//! lets anybody in: a row that allows does not match by it, a row that denies does.

use crate::noderange;
use crate::tables::schema::POLICY;
use crate::tables::{Row, Site};
use regex::{Regex, RegexBuilder};

/// A request as the table sees it.
#[derive(Debug, Clone, Default)]
pub struct Question<'a> {
    /// The name in the caller's certificate; anonymous callers have none.
    pub user: Option<&'a str>,
    /// The names the caller's host goes by: node name, full name, address.
    pub hosts: &'a [&'a str],
    /// The command.
    pub command: &'a str,
    /// The nodes it is about.
    pub nodes: &'a [&'a str],
    /// Its arguments.
    pub args: &'a [&'a str],
    /// The time of day where the server is, minutes from midnight.
    pub minute: u16,
}

/// What the table says, and which row said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request is permitted.
    pub allowed: bool,
    /// Priority of the row that decided.
    pub by: Option<String>,
}

/// Decides a request.
#[must_use]
pub fn decide(site: &Site, question: &Question<'_>) -> Verdict {
    let mut rows: Vec<(f64, &Row)> = site.live(&POLICY).map(|row| (priority(row), row)).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, row) in rows {
        let allows = allows(row);
        if matches(site, row, question, allows) {
            return Verdict {
                allowed: allows,
                by: row.get(&POLICY, "priority").map(str::to_owned),
            };
        }
    }
    Verdict {
        allowed: false,
        by: None,
    }
}

/// A row without a number comes last, where it can only add.
fn priority(row: &Row) -> f64 {
    let text = row.get(&POLICY, "priority").unwrap_or_default();
    text.trim().parse().unwrap_or(f64::INFINITY)
}

/// `allow`, `accept` and `trusted` permit; blank and anything else does not.
pub(crate) fn allows(row: &Row) -> bool {
    let rule = row.get(&POLICY, "rule").unwrap_or_default().trim();
    ["allow", "accept", "trusted"]
        .iter()
        .any(|word| rule.eq_ignore_ascii_case(word))
}

fn matches(site: &Site, row: &Row, question: &Question<'_>, allows: bool) -> bool {
    let cell = |column| row.get(&POLICY, column).map(str::trim).unwrap_or_default();
    let name = match cell("name") {
        "" => true,
        "*" => question.user.is_some(),
        name => question.user == Some(name),
    };
    name && open(cell("host"), |host| {
        question
            .hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host))
    }) && open(cell("commands"), |commands| {
        commands
            .split(',')
            .any(|one| one.trim() == question.command)
    }) && open(cell("noderange"), |range| {
        match noderange::expand(site, range) {
            // To be let in, every node must be in the range; to be kept out, one is enough.
            Ok(range) => {
                let inside = |node: &&str| range.iter().any(|one| one == node);
                !question.nodes.is_empty()
                    && if allows {
                        question.nodes.iter().all(inside)
                    } else {
                        question.nodes.iter().any(inside)
                    }
            }
            Err(_) => !allows,
        }
    }) && open(cell("parameters"), |pattern| {
        let text = question.args.join(" ");
        arguments(pattern).map_or(!allows, |regex| regex.is_match(&text))
    }) && open(cell("time"), |time| {
        within(time, question.minute).unwrap_or(!allows)
    })
}

/// Blank and `*` match; anything else is asked.
fn open(cell: &str, test: impl FnOnce(&str) -> bool) -> bool {
    cell.is_empty() || cell == "*" || test(cell)
}

/// The expression that a request's arguments must match.
pub(crate) fn arguments(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(1 << 20).build()
}

/// The ranges of `HH:MM-HH:MM[,...]` in minutes from midnight; `None` when the text is something else.
pub(crate) fn times(text: &str) -> Option<Vec<(u16, u16)>> {
    let range = |range: &str| {
        let (from, to) = range.split_once('-')?;
        Some((clock(from)?, clock(to)?))
    };
    text.split(',').map(range).collect()
}

/// Whether a minute of the day lies in `HH:MM-HH:MM[,...]`; the end does not belong to it, and a range may pass
/// midnight. `None` when the text is something else.
fn within(text: &str, minute: u16) -> Option<bool> {
    let inside = |(from, to): &(u16, u16)| match from <= to {
        true => (*from..*to).contains(&minute),
        false => minute >= *from || minute < *to,
    };
    Some(times(text)?.iter().any(inside))
}

fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let valid = (hours < 24 && minutes < 60) || (hours, minutes) == (24, 0);
    valid.then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::NODELIST;

    /// Rows as `priority|name|host|commands|noderange|parameters|time|rule`.
    fn site(rows: &[&str]) -> Site {
        let mut site = Site::default();
        for (node, groups) in [("n01", "rack1"), ("n02", "rack1"), ("n03", "rack2")] {
            let row = Row::new(&NODELIST).with(&NODELIST, "node", node);
            site.add(&NODELIST, row.with(&NODELIST, "groups", groups));
        }
        for row in rows {
            let cells = row.split('|').map(|cell| Some(cell.to_owned()));
            site.add(&POLICY, Row::from_cells(&POLICY, cells.collect()));
        }
        site
    }

    fn question<'a>() -> Question<'a> {
        Question {
            hosts: &["n01", "n01.cluster", "10.0.0.1"],
            command: "litefile",
            nodes: &["n01"],
            minute: 12 * 60,
            ..Question::default()
        }
    }

    #[test]
    fn one_cell_at_a_time() {
        for (row, allowed) in [
            ("1|||||||allow", true),
            ("1|||||||ACCEPT", true),
            ("1|||||||trusted", true),
            ("1|||||||deny", false),
            ("1|||||||", false),
            ("1|||||||disallow", false),
            ("1|*||||||allow", false),
            ("1|root||||||allow", false),
            ("1||n01|||||allow", true),
            ("1||N01.cluster|||||allow", true),
            ("1||10.0.0.1|||||allow", true),
            ("1||n02|||||allow", false),
            ("1||*|||||allow", true),
            ("1|||litefile||||allow", true),
            ("1|||litetree, litefile||||allow", true),
            ("1|||litefiles||||allow", false),
            ("1|||*||||allow", true),
            ("1||||n01|||allow", true),
            ("1||||rack1|||allow", true),
            ("1||||rack2|||allow", false),
            ("1||||nonesuch|||allow", false),
            ("1|||||^$||allow", true),
            ("1|||||-x||allow", false),
            ("1|||||(||allow", false),
            ("1||||||08:00-18:00|allow", true),
            ("1||||||18:00-08:00|allow", false),
            ("1||||||00:00-06:00,11:00-13:00|allow", true),
            ("1||||||at noon|allow", false),
        ] {
            assert_eq!(decide(&site(&[row]), &question()).allowed, allowed, "{row}");
        }
        assert!(
            !decide(&site(&[]), &question()).allowed,
            "no row, no answer"
        );
    }

    #[test]
    fn the_smallest_priority_that_matches_decides() {
        let rows = [
            "10|||||||deny",
            "9.5|||litefile||||allow",
            "2|||litetree||||deny",
        ];
        let verdict = decide(&site(&rows), &question());
        assert_eq!(
            (verdict.allowed, verdict.by.as_deref()),
            (true, Some("9.5"))
        );
        let mut other = question();
        other.command = "reboot";
        assert_eq!(decide(&site(&rows), &other).by.as_deref(), Some("10"));
        let disabled = ["1|||||||allow||1", "2|||||||deny"];
        assert!(!decide(&site(&disabled), &question()).allowed);
    }

    #[test]
    fn names_come_from_certificates() {
        let mut named = question();
        named.user = Some("n01");
        for (row, allowed) in [
            ("1|*||||||allow", true),
            ("1|n01||||||allow", true),
            ("1|n02||||||allow", false),
            ("1|||||||allow", true),
        ] {
            assert_eq!(decide(&site(&[row]), &named).allowed, allowed, "{row}");
        }
    }

    #[test]
    fn what_denies_matches_in_doubt() {
        for row in [
            "1||||nonesuch|||deny",
            "1|||||(||deny",
            "1||||||noon|deny",
            "1||||rack1|||deny",
        ] {
            let rows = [row, "2|||||||allow"];
            assert!(!decide(&site(&rows), &question()).allowed, "{row}");
        }
        // All of the nodes must be inside to be let in, one is enough to be kept out.
        let mut both = question();
        both.nodes = &["n01", "n03"];
        assert!(!decide(&site(&["1||||rack1|||allow"]), &both).allowed);
        assert!(!decide(&site(&["1||||rack1|||deny", "2|||||||allow"]), &both).allowed);
    }
}
