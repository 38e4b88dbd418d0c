//! The tables as the server sees them until the next change: one [`Site`], and what makes questions about it cheap.
//!
//! A world never changes. When the tables do, a new one takes its place with a higher generation. Reports of
//! node states (`nodelist.status`) are no change: five thousand booting nodes must not make the server start
//! over five thousand times.

use crate::tables::schema::{HOSTS, LITETREE, NODELIST, STATELITE, TABLES};
use crate::tables::{Row, Site, Table};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Columns of `nodelist` in which nodes report; no answer depends on them.
const REPORTED: [&str; 6] = [
    "status",
    "statustime",
    "appstatus",
    "appstatustime",
    "updatestatus",
    "updatestatustime",
];

/// The tables at one moment, indexed.
#[derive(Debug)]
pub struct World {
    site: Arc<Site>,
    generation: u64,
    from_snapshot: bool,
    nodes: usize,
    runs_commands: bool,
    addresses: HashMap<IpAddr, String>,
    ambiguous: BTreeSet<IpAddr>,
}

impl World {
    /// Indexes the tables.
    #[must_use]
    pub fn new(site: Site, generation: u64, from_snapshot: bool) -> Self {
        let mut world = Self {
            nodes: site.nodes().count(),
            runs_commands: runs_commands(&site),
            site: Arc::new(site),
            generation,
            from_snapshot,
            addresses: HashMap::new(),
            ambiguous: BTreeSet::new(),
        };
        world.find_addresses();
        world
    }

    /// The tables, whole.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Grows with every change of the tables, also across restarts: milliseconds since 1970 of the moment the change was
    /// seen.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it comes from a snapshot and not from the database.
    #[must_use]
    pub fn from_snapshot(&self) -> bool {
        self.from_snapshot
    }

    /// Whether there is such a node.
    #[must_use]
    pub fn has_node(&self, node: &str) -> bool {
        self.site.has_node(node)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether a directory of the tables is the output of a command, which may say something else next time.
    #[must_use]
    pub fn runs_commands(&self) -> bool {
        self.runs_commands
    }

    /// The node that has an address according to the `hosts` table, if it is one alone.
    #[must_use]
    pub fn node_at(&self, address: IpAddr) -> Option<&str> {
        self.addresses.get(&address).map(String::as_str)
    }

    /// Addresses more than one node has.
    #[must_use]
    pub fn ambiguous(&self) -> &BTreeSet<IpAddr> {
        &self.ambiguous
    }

    /// The tables with nothing in them of other nodes: what one node's answers are computed from, in a time that
    /// does not grow with the site.
    #[must_use]
    pub fn about(&self, node: &str) -> Site {
        let mut site = Site::default();
        let names = std::iter::once(node).chain(self.site.groups(node));
        let names: Vec<&str> = names.collect();
        for table in TABLES {
            if table.by_node() {
                let rows = names
                    .iter()
                    .filter_map(|name| self.site.row(table, &[name]));
                site.put(table, rows.cloned().collect());
            } else {
                site.put(table, self.site.rows(table).to_vec());
            }
        }
        site
    }

    /// Whether the tables differ in anything an answer can depend on.
    #[must_use]
    pub fn differs_from(&self, site: &Site) -> bool {
        TABLES.iter().any(|table| {
            let (ours, theirs) = (self.site.rows(table), site.rows(table));
            if table.name != NODELIST.name {
                return ours != theirs;
            }
            let same = |(a, b): (&Row, &Row)| {
                let cells = a.cells().iter().zip(b.cells());
                let mut named = cells.zip(table.columns);
                named.all(|((a, b), column)| a == b || REPORTED.contains(&column.name))
            };
            ours.len() != theirs.len() || !ours.iter().zip(theirs).all(same)
        })
    }

    fn find_addresses(&mut self) {
        let mut found: HashMap<IpAddr, String> = HashMap::new();
        let mut ambiguous = BTreeSet::new();
        for node in self.site.nodes() {
            for address in self.addresses_of(node) {
                match found.get(&address) {
                    Some(other) if other != node => {
                        ambiguous.insert(address);
                    }
                    _ => {
                        found.insert(address, node.to_owned());
                    }
                }
            }
        }
        for address in &ambiguous {
            found.remove(address);
        }
        self.addresses = found;
        self.ambiguous = ambiguous;
    }

    /// `hosts.ip`, and the addresses of `hosts.otherinterfaces` (`NAME:ADDRESS,...`).
    fn addresses_of(&self, node: &str) -> Vec<IpAddr> {
        let ip = self.site.node_value(node, &HOSTS, "ip");
        let mut addresses: Vec<IpAddr> =
            ip.iter().filter_map(|ip| ip.trim().parse().ok()).collect();
        let others = self
            .site
            .node_value(node, &HOSTS, "otherinterfaces")
            .unwrap_or_default();
        for part in others.split(',') {
            let address = part
                .split_once(':')
                .map(|(_, address)| address.trim().parse());
            if let Some(Ok(address)) = address {
                addresses.push(address);
            }
        }
        addresses
            .into_iter()
            .map(|address: IpAddr| address.to_canonical())
            .collect()
    }
}

fn runs_commands(site: &Site) -> bool {
    let runs = |table: &'static Table, column| {
        let mut rows = site.live(table);
        rows.any(|row| {
            row.get(table, column)
                .is_some_and(|cell| cell.contains("#CMD="))
        })
    };
    runs(&LITETREE, "directory") || runs(&STATELITE, "statemnt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve;
    use crate::server::testing;

    #[test]
    fn a_node_alone_gets_what_it_gets_among_all() {
        let site = testing::site();
        let world = World::new(site.clone(), 1, false);
        for node in ["n01", "n02", "n03", "nonesuch"] {
            let alone = world.about(node);
            assert_eq!(
                resolve::identity(&alone, node),
                resolve::identity(&site, node),
                "{node}"
            );
            assert_eq!(alone.nodes().count(), usize::from(node != "nonesuch"));
        }
    }

    #[test]
    fn addresses_come_from_rows_groups_and_other_interfaces() {
        let world = World::new(testing::site(), 1, false);
        for (address, node) in [
            ("10.0.0.1", Some("n01")),
            ("10.0.0.2", Some("n02")),
            ("10.0.1.1", Some("n01")),
            ("10.0.0.77", None),
            ("10.0.0.99", None),
        ] {
            assert_eq!(world.node_at(address.parse().unwrap()), node, "{address}");
        }
        assert_eq!(world.ambiguous().len(), 1);
    }

    #[test]
    fn reports_of_nodes_are_no_change() {
        let mut site = testing::site();
        let world = World::new(site.clone(), 1, false);
        assert!(!world.differs_from(&site));
        let mut rows = site.rows(&NODELIST).to_vec();
        rows[0].set(&NODELIST, "status", Some("booted".into()));
        site.put(&NODELIST, rows.clone());
        assert!(!world.differs_from(&site));
        rows[0].set(&NODELIST, "groups", Some("other".into()));
        site.put(&NODELIST, rows);
        assert!(world.differs_from(&site));
    }
}
