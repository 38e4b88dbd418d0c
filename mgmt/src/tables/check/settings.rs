//! The site and policy tables.

use super::facts::MODE;
use super::{Facts, Sink};
use crate::tables::schema::{POLICY, SITE};
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
