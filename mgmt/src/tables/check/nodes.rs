//! Names of nodes, boot loaders, addresses.

use super::{Facts, Sink};
use crate::bootconf::loader;
use crate::bootconf::owners::Owners;
use crate::tables::schema::{HOSTS, MAC, NODEGROUP, NODELIST, NODERES, POSTSCRIPTS, TABLES};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// Names of the postscripts table that are neither nodes nor groups.
const SCRIPT_GROUPS: &[&str] = &["xcatdefaults", "service"];

/// A node's name is a host name, and the name of its directory in the persistent store.
pub(super) fn name(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, name) in facts.values(&NODELIST, "node") {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.chars().all(good) || name.starts_with(['-', '.']) {
            let reason = format_args!(
                "\"{name}\" is no host name: letters, digits, \"-\", \"_\" and \".\", the first a letter or digit"
            );
            sink.report(&NODELIST, row, "node", reason);
        }
    }
}

pub(super) fn unknown(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let mut known: HashSet<&str> = facts.site.nodes().collect();
    for (_, groups) in facts.values(&NODELIST, "groups") {
        known.extend(groups.split(',').map(str::trim));
    }
    for table in TABLES
        .iter()
        .filter(|table| table.by_node() && table.name != NODELIST.name)
    {
        for (row, name) in facts.values(table, "node") {
            let script = table.name == POSTSCRIPTS.name && SCRIPT_GROUPS.contains(&name);
            if !known.contains(name) && facts.site.row(&NODEGROUP, &[name]).is_some() {
                let reason = format_args!(
                    "\"{name}\" is a group of the nodegroup table alone: nodes have values by the groups of \
                     nodelist.groups only"
                );
                sink.report(table, row, "node", reason);
            } else if !known.contains(name) && !script {
                let reason = format_args!("no node and no group \"{name}\" in the nodelist table");
                sink.report(table, row, "node", reason);
            }
        }
    }
}

pub(super) fn netboot(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, name) in facts.values(&NODERES, "netboot") {
        if !name.starts_with(['|', '/'])
            && let Some(reason) = no_loader(name)
        {
            sink.report(&NODERES, row, "netboot", reason);
        }
    }
}

pub(super) fn no_loader(name: &str) -> Option<String> {
    let reason = || {
        let known = loader::known();
        format!("unknown boot loader \"{name}\" (known: {known})")
    };
    loader::find(name).is_none().then(reason)
}

pub(super) fn address(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, text) in facts.values(&HOSTS, "ip") {
        if !text.starts_with(['|', '/'])
            && let Some(reason) = no_address(text)
        {
            sink.report(&HOSTS, row, "ip", reason);
        }
    }
}

pub(super) fn no_address(text: &str) -> Option<String> {
    let bad = text.parse::<IpAddr>().is_err();
    bad.then(|| format!("\"{text}\" is no IP address"))
}

/// The server tells nodes by their addresses.
pub(super) fn same_address(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let nodes: HashSet<&str> = facts.site.nodes().collect();
    let mut seen: HashMap<IpAddr, &str> = HashMap::new();
    for (row, text) in facts.values(&HOSTS, "ip") {
        let name = row.1.get(&HOSTS, "node").unwrap_or_default();
        let Some(address) = text.parse().ok().filter(|_| nodes.contains(name)) else {
            continue;
        };
        let first = *seen.entry(address).or_insert(name);
        if first != name {
            let reason = format_args!(
                "{address} is the address of {first} too: the server cannot tell the nodes apart"
            );
            sink.report(&HOSTS, row, "ip", reason);
        }
    }
}

/// Firmware and DHCP tell nodes by their MAC addresses.
pub(super) fn same_mac(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let rows = facts.site.rows(&MAC);
    let owners = Owners::new(facts.site);
    let mut shared: Vec<_> = owners.ambiguous().collect();
    shared.sort_by_key(|(mac, _)| *mac);
    for (mac, nodes) in shared {
        let Some((first, others)) = nodes.split_first() else {
            continue;
        };
        for other in others {
            let place = other.number.saturating_sub(1);
            let Some(row) = rows.get(place) else {
                continue;
            };
            let reason = match other.number == first.number {
                true => format!(
                    "{mac} would be the address of {} and {}",
                    first.node, other.node
                ),
                false => format!("{mac} belongs to {first} and to {other}"),
            };
            let reason = format_args!("{reason}: one of them would boot as the other");
            sink.report(&MAC, (place, row), "mac", reason);
        }
    }
}
