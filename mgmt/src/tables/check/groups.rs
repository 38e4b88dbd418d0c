//! The nodegroup table.

use super::{Facts, Sink};
use crate::noderange::group::{self, Group, GroupError};
use crate::tables::schema::{NODEGROUP, NODELIST};
use std::collections::HashSet;

pub(super) fn group(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for row in facts.live(&NODEGROUP) {
        let name = row.1.get(&NODEGROUP, "groupname").unwrap_or_default();
        match group::group(row.1) {
            Err(error @ GroupError::Type(_)) => sink.report(&NODEGROUP, row, "grouptype", error),
            Err(error) => sink.report(&NODEGROUP, row, "wherevals", error),
            Ok(Group::Dynamic(_)) => {}
            Ok(Group::Static { .. }) => {
                if let Some(way) = group::circle(facts.site, name) {
                    let error = GroupError::Circle(way.join(" -> "));
                    sink.report(&NODEGROUP, row, "membergroups", error);
                }
            }
        }
    }
}

pub(super) fn member(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    let mut groups: HashSet<&str> = HashSet::new();
    for (_, list) in facts.values(&NODELIST, "groups") {
        groups.extend(list.split(',').map(str::trim));
    }
    groups.extend(facts.values(&NODEGROUP, "groupname").map(|(_, name)| name));
    for row in facts.live(&NODEGROUP) {
        let Ok(Group::Static {
            members,
            groups: inner,
        }) = group::group(row.1)
        else {
            continue;
        };
        for name in members {
            if !facts.site.has_node(name) {
                let reason = format_args!("there is no node \"{name}\"");
                sink.report(&NODEGROUP, row, "members", reason);
            }
        }
        for name in inner {
            if !groups.contains(name) {
                let reason = format_args!("there is no group \"{name}\"");
                sink.report(&NODEGROUP, row, "membergroups", reason);
            }
        }
    }
}
