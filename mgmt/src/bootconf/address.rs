//! How names become addresses. Deciding asks a [`Lookup`]; tests give their own.

use crate::tables::Site;
use crate::tables::schema::{HOSTS, NODERES};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

/// How names become addresses.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// A name's IPv4 address, as the system's resolver knows it.
    pub name: fn(&str) -> Option<Ipv4Addr>,
    /// This host's address that faces another.
    pub facing: fn(Ipv4Addr) -> Option<IpAddr>,
    /// The host that serves the nodes, when it is not this one: then its address is the one that faces them.
    pub serving: Option<Ipv4Addr>,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            name: system_name,
            facing: system_facing,
            serving: None,
        }
    }
}

impl Lookup {
    /// A name's IPv4 address: itself when it is one, else from the hosts table, else from the system's resolver.
    #[must_use]
    pub fn address(&self, site: &Site, name: &str) -> Option<Ipv4Addr> {
        let table = |name: &str| site.node_value(name, &HOSTS, "ip")?.parse().ok();
        let parsed = name.parse().ok();
        parsed
            .or_else(|| table(name))
            .or_else(|| alias(site, name))
            .or_else(|| (self.name)(name))
    }

    /// Whether an address is one of this host: what it sends there it sends from there.
    #[must_use]
    pub fn is_local(&self, address: Ipv4Addr) -> bool {
        (self.facing)(address) == Some(IpAddr::V4(address))
    }

    /// The address of the serving host that faces a node: this host's, unless another serves.
    #[must_use]
    pub fn facing(&self, site: &Site, node: &str) -> Option<String> {
        if let Some(address) = self.serving {
            return Some(address.to_string());
        }
        let address = self.address(site, node)?;
        Some((self.facing)(address)?.to_string())
    }
}

/// The address of the row that has the name among its other names.
fn alias(site: &Site, name: &str) -> Option<Ipv4Addr> {
    let row = site.live(&HOSTS).find(|row| {
        let names = row.get(&HOSTS, "hostnames").unwrap_or_default();
        names.split([' ', ',']).any(|other| other == name)
    })?;
    row.get(&HOSTS, "ip")?.parse().ok()
}

/// The server of a node's boot files and packed image, when one is named: tftpserver, else xcatmaster.
#[must_use]
pub fn boot_server(site: &Site, node: &str) -> Option<String> {
    let values = ["tftpserver", "xcatmaster"].map(|column| site.node_value(node, &NODERES, column));
    let mut named = values.into_iter().flatten();
    named.find(|value| value != super::check::MASTER_WORD)
}

fn system_name(name: &str) -> Option<Ipv4Addr> {
    let addresses = (name, 0).to_socket_addrs().ok()?;
    addresses.map(|a| a.ip()).find_map(|ip| match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    })
}

/// The address the kernel would send from. Nothing is sent.
fn system_facing(node: Ipv4Addr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(SocketAddr::from((node, 9))).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::NODELIST;

    #[test]
    fn the_server_of_boot_files() {
        for (tftp, master, wanted) in [
            ("", "", None),
            ("", "m", Some("m")),
            ("t", "m", Some("t")),
            ("<xcatmaster>", "m", Some("m")),
            ("<xcatmaster>", "", None),
        ] {
            let mut site = Site::default();
            site.add(
                &NODELIST,
                Row::new(&NODELIST).with(&NODELIST, "node", "n01"),
            );
            let row = Row::new(&NODERES).with(&NODERES, "node", "n01");
            let row = row.with(&NODERES, "tftpserver", tftp);
            site.add(&NODERES, row.with(&NODERES, "xcatmaster", master));
            assert_eq!(
                boot_server(&site, "n01").as_deref(),
                wanted,
                "{tftp}/{master}"
            );
        }
    }

    #[test]
    fn addresses_come_from_the_hosts_table_first() {
        let mut site = Site::default();
        let row = Row::new(&HOSTS)
            .with(&HOSTS, "node", "n01")
            .with(&HOSTS, "ip", "10.0.0.1");
        site.add(&HOSTS, row.with(&HOSTS, "hostnames", "n01-eth0 boot"));
        let lookup = Lookup {
            name: |name| (name == "dns").then_some(Ipv4Addr::new(10, 9, 9, 9)),
            facing: |node| Some(IpAddr::V4(Ipv4Addr::from(u32::from(node) | 254))),
            serving: None,
        };
        for (name, wanted) in [
            ("10.1.2.3", Some([10, 1, 2, 3])),
            ("n01", Some([10, 0, 0, 1])),
            ("boot", Some([10, 0, 0, 1])),
            ("dns", Some([10, 9, 9, 9])),
            ("none", None),
        ] {
            assert_eq!(
                lookup.address(&site, name),
                wanted.map(Ipv4Addr::from),
                "{name}"
            );
        }
        assert_eq!(lookup.facing(&site, "n01").as_deref(), Some("10.0.0.255"));
        assert_eq!(lookup.facing(&site, "none"), None);
        assert!(lookup.is_local(Ipv4Addr::new(10, 0, 0, 255)));
        assert!(!lookup.is_local(Ipv4Addr::new(10, 0, 0, 1)));
        let other = Lookup {
            serving: Some(Ipv4Addr::new(10, 0, 9, 9)),
            ..lookup
        };
        assert_eq!(other.facing(&site, "n01").as_deref(), Some("10.0.9.9"));
    }

    #[test]
    fn the_loopback_faces_itself() {
        let local = Ipv4Addr::LOCALHOST;
        assert_eq!(system_facing(local), Some(IpAddr::V4(local)));
        assert_eq!(system_name("127.0.0.1"), Some(local));
    }
}
