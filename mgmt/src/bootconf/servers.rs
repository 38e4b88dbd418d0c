//! Which server a node gets its image, its boot files and its answers from (facts §7).

use crate::tables::Site;
use crate::tables::schema::{HOSTS, NODERES};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

/// What noderes holds when it means "not set".
pub const MASTER: &str = "<xcatmaster>";

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// By name or address.
    Named(String),
    /// The address of this host that faces the node.
    Facing,
}

/// A node's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// Of the image over NFS.
    pub nfs: Server,
    /// Of boot files and packed images.
    pub image: Server,
    /// Of litefile and litetree: `XCAT=`.
    pub master: Server,
}

/// The servers of a node: nfsserver, else tftpserver, else xcatmaster, else the facing address. The literal `<xcatmaster>`
/// counts as not set.
#[must_use]
pub fn servers(site: &Site, node: &str) -> Servers {
    let value = |column| {
        let value = site.node_value(node, &NODERES, column);
        value.filter(|value| value != MASTER).map(Server::Named)
    };
    let master = value("xcatmaster").unwrap_or(Server::Facing);
    let image = value("tftpserver").unwrap_or_else(|| master.clone());
    let nfs = value("nfsserver").unwrap_or_else(|| image.clone());
    Servers { nfs, image, master }
}

/// How names become addresses: tests give their own.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// A name's IPv4 address, as the system's resolver knows it.
    pub name: fn(&str) -> Option<Ipv4Addr>,
    /// This host's address that faces another.
    pub facing: fn(Ipv4Addr) -> Option<IpAddr>,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            name: system_name,
            facing: system_facing,
        }
    }
}

impl Lookup {
    /// A name's IPv4 address: itself when it is one, else from the hosts table, else from the system's resolver.
    #[must_use]
    pub fn address(&self, site: &Site, name: &str) -> Option<Ipv4Addr> {
        let table = |name: &str| site.node_value(name, &HOSTS, "ip")?.parse().ok();
        let parsed = name.parse().ok();
        parsed.or_else(|| table(name)).or_else(|| alias(site, name)).or_else(|| (self.name)(name))
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

    fn named(name: &str) -> Server {
        Server::Named(name.to_owned())
    }

    #[test]
    fn the_choice_of_servers() {
        for (nfs, tftp, master, wanted) in [
            ("", "", "", [Server::Facing, Server::Facing, Server::Facing]),
            ("", "", "m", [named("m"), named("m"), named("m")]),
            ("", "t", "m", [named("t"), named("t"), named("m")]),
            ("n", "t", "m", [named("n"), named("t"), named("m")]),
            ("<xcatmaster>", "", "m", [named("m"), named("m"), named("m")]),
            ("n", "<xcatmaster>", "", [named("n"), Server::Facing, Server::Facing]),
        ] {
            let mut site = Site::default();
            site.add(&NODELIST, Row::new(&NODELIST).with(&NODELIST, "node", "n01"));
            let row = Row::new(&NODERES).with(&NODERES, "node", "n01");
            let row = row.with(&NODERES, "nfsserver", nfs).with(&NODERES, "tftpserver", tftp);
            site.add(&NODERES, row.with(&NODERES, "xcatmaster", master));
            let found = servers(&site, "n01");
            assert_eq!([found.nfs, found.image, found.master], wanted, "{nfs}/{tftp}/{master}");
        }
    }

    #[test]
    fn addresses_come_from_the_hosts_table_first() {
        let mut site = Site::default();
        let row = Row::new(&HOSTS).with(&HOSTS, "node", "n01").with(&HOSTS, "ip", "10.0.0.1");
        site.add(&HOSTS, row.with(&HOSTS, "hostnames", "n01-eth0 boot"));
        let lookup = Lookup {
            name: |name| (name == "dns").then_some(Ipv4Addr::new(10, 9, 9, 9)),
            facing: |_| None,
        };
        for (name, wanted) in [
            ("10.1.2.3", Some([10, 1, 2, 3])),
            ("n01", Some([10, 0, 0, 1])),
            ("boot", Some([10, 0, 0, 1])),
            ("dns", Some([10, 9, 9, 9])),
            ("none", None),
        ] {
            assert_eq!(lookup.address(&site, name), wanted.map(Ipv4Addr::from), "{name}");
        }
    }

    #[test]
    fn the_loopback_faces_itself() {
        let local = Ipv4Addr::LOCALHOST;
        assert_eq!(system_facing(local), Some(IpAddr::V4(local)));
        assert_eq!(system_name("127.0.0.1"), Some(local));
    }
}
