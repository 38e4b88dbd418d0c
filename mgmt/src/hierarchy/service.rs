//! Which service nodes there are and whom they serve.
//!
//! `noderes.servicenode` lists a node's service nodes, the first in charge; without it the node belongs to the
//! management node. `noderes.xcatmaster` is the name under which the node reaches its master; a service node
//! that is one is that node's boot and NFS server.

use crate::tables::Site;
use crate::tables::schema::{LITETREE, NODERES, STATELITE};
use std::collections::{BTreeMap, BTreeSet};

/// What one service node has to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Duty {
    /// Nodes it serves first.
    pub first: Vec<String>,
    /// Nodes it serves when their first service node is away.
    pub standby: Vec<String>,
    /// Nodes whose `xcatmaster` it is.
    pub master_of: Vec<String>,
    /// Directories it exports read-only to those: litetree directories whose server it is.
    pub trees: Vec<Export>,
    /// Directories it exports for writing: persistent stores whose server it is.
    pub stores: Vec<Export>,
}

/// A directory and the nodes that mount it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Export {
    /// The directory on the service node.
    pub directory: String,
    /// The nodes.
    pub nodes: Vec<String>,
}

/// Every service node, by name.
#[must_use]
pub fn service_nodes(site: &Site) -> BTreeSet<String> {
    let rows = site.live(&NODERES);
    let lists = rows.filter_map(|row| row.get(&NODERES, "servicenode"));
    // A list may be a substitution; then the nodes' own values tell.
    let (pattern, plain): (Vec<_>, Vec<_>) = lists.partition(|list| list.starts_with(['|', '/']));
    let mut names: BTreeSet<String> = plain.iter().flat_map(|list| split(list)).collect();
    if !pattern.is_empty() {
        names.extend(site.nodes().flat_map(|node| service_nodes_of(site, node)));
    }
    names
}

/// Whether a node is a service node.
#[must_use]
pub fn is_service_node(site: &Site, name: &str) -> bool {
    service_nodes(site).contains(name)
}

/// The service nodes of a node, the first in charge.
#[must_use]
pub fn service_nodes_of(site: &Site, node: &str) -> Vec<String> {
    let list = site
        .node_value(node, &NODERES, "servicenode")
        .unwrap_or_default();
    split(&list)
}

/// The service node in charge of a node, or `None` for the management node.
#[must_use]
pub fn in_charge(site: &Site, node: &str) -> Option<String> {
    service_nodes_of(site, node).into_iter().next()
}

fn split(list: &str) -> Vec<String> {
    let names = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// What every service node has to do.
///
/// Directories with a variable are resolved for each node; one that cannot be is left out, as the check of the tables
/// names it.
#[must_use]
pub fn duties(site: &Site) -> BTreeMap<String, Duty> {
    let mut duties: BTreeMap<String, Duty> = BTreeMap::new();
    for name in service_nodes(site) {
        duties.insert(name, Duty::default());
    }
    let mut exports: BTreeMap<(String, bool, String), Vec<String>> = BTreeMap::new();
    let directories = has_directories(site);
    for node in site.nodes() {
        for (place, name) in service_nodes_of(site, node).into_iter().enumerate() {
            let duty = duties.entry(name).or_default();
            let list = if place == 0 {
                &mut duty.first
            } else {
                &mut duty.standby
            };
            list.push(node.to_owned());
        }
        let Some(master) = site.node_value(node, &NODERES, "xcatmaster") else {
            continue;
        };
        let Some(duty) = duties.get_mut(&master) else {
            continue;
        };
        duty.master_of.push(node.to_owned());
        if !directories {
            continue;
        }
        let Ok(policy) = crate::resolve::policy(site, node) else {
            continue;
        };
        let trees = policy
            .layers
            .iter()
            .map(|layer| (false, layer.source.to_string()));
        let store = policy
            .statemnt
            .iter()
            .map(|source| (true, source.to_string()));
        for (writable, text) in trees.chain(store) {
            if let Some((server, directory)) = text.split_once(':')
                && server == master
            {
                let key = (master.clone(), writable, directory.to_owned());
                exports.entry(key).or_default().push(node.to_owned());
            }
        }
    }
    for ((name, writable, directory), nodes) in exports {
        let duty = duties.entry(name).or_default();
        let list = if writable {
            &mut duty.stores
        } else {
            &mut duty.trees
        };
        list.push(Export { directory, nodes });
    }
    duties
}

fn has_directories(site: &Site) -> bool {
    site.live(&LITETREE).next().is_some() || site.live(&STATELITE).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;

    #[test]
    fn who_serves_whom() {
        let mut site = testing::site();
        site.put(
            &NODERES,
            vec![
                testing::row(&NODERES, "node=compute servicenode=sn1,sn2 xcatmaster=sn1"),
                testing::row(&NODERES, "node=all nfsserver=sn1"),
            ],
        );
        site.put(
            &STATELITE,
            vec![testing::row(
                &STATELITE,
                "node=compute statemnt=$noderes.xcatmaster:/state",
            )],
        );
        assert_eq!(
            service_nodes(&site),
            BTreeSet::from(["sn1".to_owned(), "sn2".to_owned()])
        );
        assert!(is_service_node(&site, "sn2") && !is_service_node(&site, "n01"));
        assert_eq!(in_charge(&site, "n01").as_deref(), Some("sn1"));
        assert_eq!(in_charge(&site, "n03"), None);
        let duties = duties(&site);
        let first = &duties["sn1"];
        assert_eq!(first.first, ["n01", "n02"]);
        assert_eq!(first.master_of, ["n01", "n02"]);
        let trees: Vec<_> = first.trees.iter().map(|e| e.directory.as_str()).collect();
        assert_eq!(trees, ["/statelite/n01", "/statelite/n02"]);
        assert_eq!(
            first.stores,
            [Export {
                directory: "/state".into(),
                nodes: vec!["n01".into(), "n02".into()],
            }]
        );
        assert_eq!(duties["sn2"].standby, ["n01", "n02"]);
        assert!(duties["sn2"].trees.is_empty(), "it is nobody's master");
    }

    #[test]
    fn lists_may_be_substitutions() {
        let mut site = testing::site();
        site.put(
            &NODERES,
            vec![testing::row(
                &NODERES,
                "node=compute servicenode=|n0(\\d)|sn$1|",
            )],
        );
        assert_eq!(
            service_nodes(&site),
            BTreeSet::from(["sn1".to_owned(), "sn2".to_owned()])
        );
        assert_eq!(in_charge(&site, "n02").as_deref(), Some("sn2"));
    }
}
