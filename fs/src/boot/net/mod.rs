//! The network in the initramfs: brought up here unless somebody else has done it.
//!
//! | module | question |
//! |---|---|
//! | [`cards`] | which card is meant |
//! | [`dhcp`] | how it gets an address |
//! | [`resolve`] | what address a name has |

pub mod cards;
pub mod dhcp;
pub mod resolve;

use super::cmdline::CommandLine;
use super::cmdline::address::Ip;
use super::retry::Retry;
use crate::sys::net;
use anyhow::{Context as _, bail};
use cards::Card;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What is known of the network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Network {
    /// Own name, as the network gave it.
    pub host: Option<String>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
    /// Domain to look names up in.
    pub domain: Option<String>,
}

/// Waits for the network, bringing it up unless there are routes already.
///
/// # Errors
/// When `statelite.timeout` is over.
pub fn up(line: &CommandLine) -> anyhow::Result<Network> {
    let mut known = Network {
        nameservers: line.nameservers.clone(),
        ..Network::default()
    };
    if line.ip == Some(Ip::Off) || is_up() {
        return Ok(known);
    }
    let control = net::control().context("no network in this kernel")?;
    let _ = net::switch_on(&control, "lo");
    let mut retry = Retry::new("the network", line.timeout);
    while let Err(error) = attempt(line, &control, &mut known) {
        retry.failed(&with_unread(error, &line.unread))?;
        // A service of the initramfs may have been slower than we were; it holds the port that DHCP needs.
        if is_up() {
            retry.succeeded();
            return Ok(known);
        }
    }
    write_resolv_conf(&known);
    Ok(known)
}

/// The error with the words that might have helped.
fn with_unread(error: anyhow::Error, unread: &[String]) -> anyhow::Error {
    if unread.is_empty() {
        return error;
    }
    anyhow::anyhow!("{error:#}; passed over: {}", unread.join("; "))
}

fn attempt(
    line: &CommandLine,
    control: &rustix::fd::OwnedFd,
    known: &mut Network,
) -> anyhow::Result<()> {
    let named = match &line.ip {
        Some(Ip::Dhcp(Some(card))) => Some(card.as_str()),
        Some(Ip::Fixed(fixed)) => fixed.card.as_deref(),
        _ => None,
    };
    let named = named.or(line.netdev.as_deref());
    let all = cards::all();
    if all.is_empty() {
        bail!("no network card is there; is its driver in the initramfs?");
    }
    let names: Vec<String> = all
        .iter()
        .map(|c| format!("{} {}", c.name, c.mac))
        .collect();
    let cards = cards::meant(all, line.bootif, named);
    if cards.is_empty() {
        bail!(
            "the card that is asked for is not there, only {}",
            names.join(", ")
        );
    }
    if let Some(Ip::Fixed(fixed)) = &line.ip {
        let card = cards.first().context("no card")?;
        net::switch_on(control, &card.name).with_context(|| card.name.clone())?;
        give(control, card, fixed.address, fixed.prefix, fixed.gateway)?;
        known.host.clone_from(&fixed.host);
        known.nameservers.extend(&fixed.nameservers);
        return Ok(());
    }
    let mut errors = Vec::new();
    for card in &cards {
        match lease(control, card, known) {
            Ok(()) => return Ok(()),
            Err(e) => errors.push(format!("{}: {e:#}", card.name)),
        }
    }
    bail!("DHCP: {}", errors.join("; "))
}

fn lease(control: &rustix::fd::OwnedFd, card: &Card, known: &mut Network) -> anyhow::Result<()> {
    net::switch_on(control, &card.name)?;
    let lease = dhcp::ask(card)?;
    give(control, card, lease.address, lease.prefix, lease.gateway)?;
    known.host = lease.host;
    known.domain = lease.domain;
    known.nameservers.extend(lease.nameservers);
    Ok(())
}

fn give(
    control: &rustix::fd::OwnedFd,
    card: &Card,
    address: Ipv4Addr,
    prefix: u8,
    gateway: Option<Ipv4Addr>,
) -> anyhow::Result<()> {
    net::set_address(control, &card.name, address, prefix)
        .with_context(|| format!("{address}/{prefix}"))?;
    if let Some(gateway) = gateway {
        net::set_gateway(control, gateway).with_context(|| format!("gateway {gateway}"))?;
    }
    tracing::info!("{} has address {address}/{prefix}", card.name);
    Ok(())
}

/// Whether this network has a route now.
fn is_up() -> bool {
    has_route(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// Whether `/proc/net/route` has any route.
fn has_route(table: &str) -> bool {
    table
        .lines()
        .skip(1)
        .any(|line| !line.starts_with("lo\t") && line.contains('\t'))
}

/// For the shell, and for link mode, which copies it to the node ([`super::links::finish`]).
fn write_resolv_conf(known: &Network) {
    if known.nameservers.is_empty() {
        return;
    }
    let mut text = String::new();
    if let Some(domain) = &known.domain {
        text.push_str(&format!("search {domain}\n"));
    }
    for server in &known.nameservers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if let Err(e) = std::fs::write("/etc/resolv.conf", text) {
        tracing::debug!("/etc/resolv.conf: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_named_where_there_is_no_network() {
        let error = || anyhow::anyhow!("DHCP: no answer");
        let plain = with_unread(error(), &[]).to_string();
        assert_eq!(plain, "DHCP: no answer");
        let line = crate::boot::cmdline::parse("ip=eth0:static").unwrap();
        let told = with_unread(error(), &line.unread).to_string();
        assert!(
            told.starts_with("DHCP: no answer; passed over: ip=eth0:static: "),
            "{told}"
        );
    }

    #[test]
    fn routes_are_seen() {
        const HEAD: &str = "Iface\tDestination\tGateway \tFlags\n";
        assert!(!has_route(HEAD));
        assert!(!has_route(&format!("{HEAD}lo\t0000007F\t0\t1\n")));
        assert!(has_route(&format!(
            "{HEAD}eth0\t0002000A\t00000000\t0001\n"
        )));
    }
}
