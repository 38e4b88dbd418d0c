//! Today's SLES: names of servers stay names, the order is its own, and `MNTOPTS=` is there only when it says something.

use super::parts;
use crate::bootconf::facts::{Facts, Servers};

/// The line, without what is added.
#[must_use]
pub fn line(facts: &Facts<'_>, servers: &Servers) -> String {
    let mut line = format!(
        "{} STATEMNT={} XCAT={}:{}  XCATHTTPPORT={} ",
        parts::root(facts, &servers.nfs, &servers.boot),
        parts::statemnt(facts),
        servers.master,
        facts.settings.xcatdport,
        facts.settings.httpport,
    );
    line += parts::nodestatus(facts);
    line += &parts::debug(facts, &servers.master);
    line += &format!(
        "NODE={} FC={} ip=dhcp ",
        facts.node, facts.settings.flowcontrol
    );
    let nic = parts::nic(facts);
    if !nic.is_empty() {
        line.push(' ');
        line += &nic;
    }
    line += &parts::console(facts).unwrap_or_default();
    line += &parts::dump(facts);
    if facts.probe.partition {
        line += " PARTITION_SLES";
    }
    if let Some(options) = parts::mntopts(facts) {
        line += &format!(" MNTOPTS={options}");
    }
    line
}
