//! Which nodes have which MAC address. Firmware and DHCP know a node by it: one that two nodes have boots one of them as the
//! other.

use super::mac::{self, Interface, Mac};
use crate::tables::Site;
use crate::tables::schema::MAC;
use std::collections::HashMap;
use std::fmt;

/// A node with the row its address is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The node.
    pub node: String,
    /// The node or group of the row of the mac table.
    pub row: String,
    /// The number of that row, from 1.
    pub number: usize,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, row, number } = self;
        write!(f, "{node} (mac: row {number}, \"{row}\")")
    }
}

/// The nodes of every MAC address.
#[derive(Debug, Default)]
pub struct Owners {
    by_mac: HashMap<Mac, Vec<Owner>>,
}

impl Owners {
    /// Reads the mac table for every node. What is no MAC address belongs to nobody.
    #[must_use]
    pub fn new(site: &Site) -> Self {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        for (place, row) in site.rows(&MAC).iter().enumerate() {
            if row.live(&MAC) {
                let name = row.get(&MAC, "node").unwrap_or_default();
                numbers.entry(name).or_insert(place + 1);
            }
        }
        let mut owners = Self::default();
        for node in site.nodes() {
            let Ok(Some(found)) = site.find(node, &MAC, "mac") else {
                continue;
            };
            for interface in mac::interfaces(&found.value).unwrap_or_default() {
                let list = owners.by_mac.entry(interface.mac).or_default();
                if list.last().is_none_or(|last| last.node != node) {
                    list.push(Owner {
                        node: node.to_owned(),
                        row: found.from.to_owned(),
                        number: numbers.get(found.from).copied().unwrap_or_default(),
                    });
                }
            }
        }
        owners
    }

    /// The first of these interfaces whose address another node has too: the address, this node, the other one.
    #[must_use]
    pub fn shared(&self, node: &str, interfaces: &[Interface]) -> Option<(Mac, &Owner, &Owner)> {
        interfaces.iter().find_map(|interface| {
            let list = self.by_mac.get(&interface.mac)?;
            let own = list.iter().find(|owner| owner.node == node)?;
            let other = list.iter().find(|owner| owner.node != node)?;
            Some((interface.mac, own, other))
        })
    }

    /// Every address of several nodes, with these in the order of the nodelist table.
    pub fn ambiguous(&self) -> impl Iterator<Item = (Mac, &[Owner])> {
        let all = self
            .by_mac
            .iter()
            .map(|(mac, list)| (*mac, list.as_slice()));
        all.filter(|(_, list)| list.len() > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::NODELIST;

    #[test]
    fn addresses_and_their_nodes() {
        let mut site = Site::default();
        for node in ["n1", "n2", "n3"] {
            let row = Row::new(&NODELIST).with(&NODELIST, "node", node);
            site.add(&NODELIST, row.with(&NODELIST, "groups", "all"));
        }
        for (node, value) in [
            ("gone", "52:54:00:00:00:01"),
            ("n1", "52:54:00:00:00:01|52:54:00:00:00:01!n1-b|nonsense"),
            ("n2", "52-54-00-00-00-02!n2|52:54:00:00:00:0A!*NOIP*"),
            ("all", "52540000000a"),
        ] {
            let row = Row::new(&MAC).with(&MAC, "node", node);
            site.add(&MAC, row.with(&MAC, "mac", value));
        }
        let owners = Owners::new(&site);
        let shared = |node: &str| {
            let value = site.node_value(node, &MAC, "mac").unwrap();
            let interfaces = mac::interfaces(&value).unwrap_or_default();
            let (mac, own, other) = owners.shared(node, &interfaces)?;
            Some(format!("{mac}: {own}, {other}"))
        };
        assert_eq!(shared("n1"), None);
        let wanted = "52:54:00:00:00:0a: n2 (mac: row 3, \"n2\"), n3 (mac: row 4, \"all\")";
        assert_eq!(shared("n2").as_deref(), Some(wanted));
        assert_eq!(owners.ambiguous().count(), 1);
    }
}
