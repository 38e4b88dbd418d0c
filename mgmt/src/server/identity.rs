//! Which node a connection is from.
//!
//! Nothing in a request counts, only the connection: the name in a certificate of our own authority, else the row of
//! the `hosts` table that has the peer's address, else the name the peer's address resolves to, without its domain
//! and interface suffix. Whatever comes out must be a node of the tables. An address that two nodes have
//! belongs to neither.

use super::reverse::Reverse;
use super::world::World;
use std::net::IpAddr;

/// What is known of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address; IPv4 in its own form.
    pub address: IpAddr,
    /// The common name of its certificate, which has been verified.
    pub certificate: Option<String>,
}

/// A caller that is a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The node.
    pub node: String,
    /// The name in its certificate, if it has one.
    pub user: Option<String>,
    /// Names of its host: node, full name, address.
    pub hosts: Vec<String>,
}

/// Finds the node; `None` is for those who are none.
pub async fn identify(world: &World, peer: &Peer, reverse: &dyn Reverse) -> Option<Caller> {
    let address = peer.address.to_string();
    if let Some(name) = &peer.certificate {
        // Who shows a certificate is who it says, or nobody.
        return world.has_node(name).then(|| Caller {
            node: name.clone(),
            user: Some(name.clone()),
            hosts: vec![name.clone(), address],
        });
    }
    if let Some(node) = world.node_at(peer.address) {
        return Some(Caller {
            node: node.to_owned(),
            user: None,
            hosts: vec![node.to_owned(), address],
        });
    }
    for full in reverse.names(peer.address).await {
        if let Some(node) = candidates(&full)
            .into_iter()
            .find(|name| world.has_node(name))
        {
            return Some(Caller {
                hosts: vec![node.clone(), full, address],
                node,
                user: None,
            });
        }
    }
    None
}

/// The names of nodes a resolved name can stand for: itself, without the domain, without the suffix of an interface.
#[must_use]
pub fn candidates(full: &str) -> Vec<String> {
    let full = full.trim_end_matches('.').to_ascii_lowercase();
    let short = full.split('.').next().unwrap_or_default();
    let mut names = vec![short.to_owned(), full.clone()];
    if let Some((stem, suffix)) = short.rsplit_once('-') {
        let digits = |word: &str| {
            suffix
                .strip_prefix(word)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        };
        if ["eth", "myri", "ib"].into_iter().any(digits) {
            names.insert(0, stem.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::reverse::Fixed;
    use crate::server::testing;

    #[test]
    fn domain_and_interface_are_taken_off() {
        for (name, first) in [
            ("n01.cluster.example.", "n01"),
            ("n01-eth1.cluster", "n01"),
            ("n01-myri0", "n01"),
            ("N01-ib0", "n01"),
            ("n01-eth", "n01-eth"),
            ("login-1", "login-1"),
            ("a-ethx1", "a-ethx1"),
        ] {
            assert_eq!(
                candidates(name).first().map(String::as_str),
                Some(first),
                "{name}"
            );
        }
    }

    async fn who(
        address: &str,
        certificate: Option<&str>,
        names: &[(&str, &str)],
    ) -> Option<String> {
        let world = World::new(testing::site(), 1, false);
        let peer = Peer {
            address: address.parse().unwrap(),
            certificate: certificate.map(str::to_owned),
        };
        let caller = identify(&world, &peer, &Fixed::new(names)).await;
        caller.map(|caller| caller.node)
    }

    #[tokio::test]
    async fn certificate_then_hosts_then_reverse() {
        let names = [("10.9.9.9", "n02-eth0.cluster."), ("10.9.9.8", "stranger.")];
        for (address, certificate, wanted) in [
            ("10.0.0.1", None, Some("n01")),
            ("10.0.1.1", None, Some("n01")),
            ("10.9.9.9", None, Some("n02")),
            ("10.9.9.8", None, None),
            ("10.9.9.7", None, None),
            ("10.0.0.1", Some("n02"), Some("n02")),
            // A certificate that names no node is not overlooked.
            ("10.0.0.1", Some("admin"), None),
            ("10.0.0.1", Some("n01.cluster"), None),
        ] {
            let found = who(address, certificate, &names).await;
            assert_eq!(found.as_deref(), wanted, "{address} {certificate:?}");
        }
    }

    #[tokio::test]
    async fn hosts_come_before_what_a_name_server_says() {
        let found = who("10.0.0.1", None, &[("10.0.0.1", "n02.")]).await;
        assert_eq!(found.as_deref(), Some("n01"));
    }

    #[tokio::test]
    async fn an_address_of_two_is_of_neither() {
        assert_eq!(who("10.0.0.77", None, &[]).await, None);
    }
}
