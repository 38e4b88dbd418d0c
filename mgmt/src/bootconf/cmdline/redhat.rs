//! Today's Red Hat; Debian has the same without `selinux=0`. Names of servers become addresses: at that point of the boot
//! nothing resolves them.

use super::parts;
use crate::bootconf::facts::{Facts, Servers};
use crate::bootconf::image::Family;

/// The line, without what is added.
#[must_use]
pub fn line(facts: &Facts<'_>, servers: &Servers) -> String {
    let nfs = facts.resolved(&servers.nfs);
    let boot = facts.resolved(&servers.boot);
    let mut line = format!(
        "{} STATEMNT={} XCAT={}:{} NODE={} ",
        parts::root(facts, &nfs, &boot),
        parts::statemnt(facts),
        facts.resolved(&servers.master),
        facts.settings.xcatdport,
        facts.node,
    );
    line += parts::nodestatus(facts);
    line += &format!("XCATHTTPPORT={} ", facts.settings.httpport);
    line += &parts::debug(facts, &servers.master);
    line += &parts::nic(facts);
    if let Some(console) = parts::console(facts) {
        line.push(' ');
        line += &console;
    }
    let selinux = facts.image.family() == Family::RedHat && !facts.image.os.starts_with("centos");
    if selinux {
        line += " selinux=0 ";
    }
    line += &parts::dump(facts);
    if facts.probe.partition {
        line += " PARTITION_RH";
    }
    line += " MNTOPTS=";
    line += parts::mntopts(facts).unwrap_or_default();
    line
}
