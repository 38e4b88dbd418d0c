//! The site table.

use super::facts::MODE;
use super::{Facts, Sink};
use crate::tables::schema::SITE;
use statelite_policy::Dialect;

/// Settings that are ports.
const PORTS: &[&str] = &["xcatdport", "xcatiport", "httpport"];

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
