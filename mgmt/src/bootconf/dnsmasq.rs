//! A dnsmasq configuration for a site without xCAT: DHCP, TFTP and names for the nodes of the tables.
//!
//! Only nodes of the tables are answered. What a node is told to load goes by tags: one for its group (boot loader,
//! architecture and boot server), one of its own where the loader's file is named after the node, and those of the firmware
//! that asks (BIOS, UEFI, UEFI over HTTP, iPXE, xNBA).

use super::address::{Lookup, boot_server};
use super::facts::KnownAs;
use super::loader::{grub2, httpboot};
use super::settings::Settings;
use super::{BootError, plan};
use crate::tables::Site;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// An IPv4 network: address and length of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    address: Ipv4Addr,
    prefix: u8,
}

/// "{0}" is no network (ADDRESS/PREFIX, like 10.0.0.0/16)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no network (ADDRESS/PREFIX, like 10.0.0.0/16)")]
pub struct BadNetwork(String);

impl std::str::FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
            (1..=32).contains(&prefix).then_some((address, prefix))
        });
        let (address, prefix): (Ipv4Addr, u8) =
            parsed.ok_or_else(|| BadNetwork(text.to_owned()))?;
        let address = Ipv4Addr::from(u32::from(address) & mask(prefix));
        Ok(Self { address, prefix })
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(u32::from(32 - prefix.min(32)))
        .unwrap_or(0)
}

/// What the caller wants.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The networks of the nodes; when there are none, the interfaces' masks count.
    pub networks: Vec<Network>,
    /// The interfaces to answer on; none for all.
    pub interfaces: Vec<String>,
    /// Whether it answers for names too.
    pub names: bool,
}

/// One node, as far as this needs it.
#[derive(Debug)]
struct Node {
    known_as: KnownAs,
    address: Ipv4Addr,
    group: Group,
    /// The base of URLs, for loaders that use HTTP.
    url: Option<String>,
}

/// Nodes with the same answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    netboot: String,
    arch: String,
    server: Option<Ipv4Addr>,
    url: Option<String>,
}

/// The configuration, and for each node that is not in it the reason.
///
/// # Errors
/// [`BootError`] when a setting cannot be put into it.
pub fn config(
    site: &Site,
    nodes: &[String],
    options: &Options,
    lookup: Lookup,
) -> Result<(String, Vec<(String, String)>), BootError> {
    let settings = Settings::new(site, "")?;
    plain("site.tftpdir", &settings.tftpdir)?;
    let domain = site.setting("domain").unwrap_or_default();
    plain("site.domain", domain)?;
    let mut skipped = Vec::new();
    let mut known = Vec::new();
    for name in nodes {
        match node(site, name, lookup) {
            Ok(node) => known.push(node),
            Err(reason) => skipped.push((name.clone(), reason)),
        }
    }
    let groups: BTreeSet<_> = known.iter().map(|node| node.group.clone()).collect();
    let tags = tags(&groups);
    let mut text =
        String::from("# Made by `statelite dnsmasq`; make it again after changes of nodes.\n");
    head(&mut text, &settings.tftpdir, domain, options, &known);
    for (group, tag) in &tags {
        boot(&mut text, group, tag);
    }
    for node in &known {
        let tag = tags.get(&node.group).map_or("", String::as_str);
        host(&mut text, node, tag, domain, options.names);
    }
    Ok((text, skipped))
}

/// A comma or a blank would be read as the end of the value.
fn plain(column: &'static str, value: &str) -> Result<(), BootError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if value.chars().all(good) {
        return Ok(());
    }
    Err(BootError::Value {
        column,
        value: value.escape_debug().to_string(),
        why: "only letters, digits and . _ - / can be in dnsmasq's configuration".to_owned(),
    })
}

fn node(site: &Site, name: &str, lookup: Lookup) -> Result<Node, String> {
    let known_as = KnownAs::new(site, name, lookup).map_err(|e| e.to_string())?;
    let address = known_as.addresses.first().copied();
    let address = address.ok_or("no IPv4 address: set hosts.ip")?;
    if known_as.mac.is_none() {
        return Err("no MAC address: set mac.mac".to_owned());
    }
    let (_, netboot) = plan::loader_of(site, name).map_err(|e| e.to_string())?;
    let settings = Settings::new(site, name).map_err(|e| e.to_string())?;
    plain("noderes.tftpdir", &settings.tftpdir).map_err(|e| e.to_string())?;
    let server = boot_server(site, name).and_then(|server| lookup.address(site, &server));
    let facing = || {
        let facing = lookup.facing(site, name);
        let facing = facing.or_else(|| site.setting("master").map(str::to_owned))?;
        lookup.address(site, &facing)
    };
    let url = server.or_else(facing).map(|server| {
        // xNBA has its own port and path, see its loader.
        let base = if netboot == "xnba" {
            "/tftpboot"
        } else {
            &settings.tftpdir
        };
        format!(
            "{}://{server}{}{base}",
            settings.httpmethod,
            settings.port_suffix()
        )
    });
    let needs_url = ["httpboot", "xnba", "petitboot"].contains(&netboot.as_str());
    if needs_url && url.is_none() {
        return Err(BootError::NoFacing.to_string());
    }
    let group = Group {
        netboot,
        arch: grub2::arch(&known_as),
        server,
        url: url.clone().filter(|_| needs_url),
    };
    Ok(Node {
        known_as,
        address,
        group,
        url,
    })
}

/// A tag for each group: the loader's name, with a number where there are several.
fn tags(groups: &BTreeSet<Group>) -> BTreeMap<Group, String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let tag = |group: &Group, count: usize| match count {
        1 => group.netboot.clone(),
        _ => format!("{}-{count}", group.netboot),
    };
    let mut tags = BTreeMap::new();
    for group in groups {
        let count = counts.entry(&group.netboot).or_insert(0);
        *count += 1;
        tags.insert(group.clone(), tag(group, *count));
    }
    tags
}

fn head(text: &mut String, tftpdir: &str, domain: &str, options: &Options, nodes: &[Node]) {
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if !options.names {
        line("port=0".to_owned());
    }
    for interface in &options.interfaces {
        line(format!("interface={interface}"));
    }
    if !options.interfaces.is_empty() {
        line("bind-dynamic".to_owned());
    }
    if !domain.is_empty() {
        line(format!("domain={domain}"));
        if options.names {
            line(format!("local=/{domain}/"));
        }
    }
    line("# Nobody but the nodes below is answered.".to_owned());
    line("dhcp-ignore=tag:!known".to_owned());
    for range in ranges(options, nodes) {
        line(format!("dhcp-range={range}"));
    }
    line("enable-tftp".to_owned());
    line(format!("tftp-root={tftpdir}"));
    line(
        "# Who asks: the architecture of the firmware, or a loader that is running already."
            .to_owned(),
    );
    for (tag, arch) in [
        ("bios", 0),
        ("efi-x64", 7),
        ("efi-x64", 9),
        ("efi-arm64", 11),
    ] {
        line(format!("dhcp-match=set:{tag},option:client-arch,{arch}"));
    }
    line("dhcp-vendorclass=set:http-client,HTTPClient".to_owned());
    line("dhcp-userclass=set:ipxe-client,iPXE".to_owned());
    line("dhcp-userclass=set:xnba-client,xNBA".to_owned());
}

/// Without networks one range per 256 addresses that have a node; their mask is then the interface's.
fn ranges(options: &Options, nodes: &[Node]) -> Vec<String> {
    if !options.networks.is_empty() {
        let show = |n: &Network| format!("{},static,{}", n.address, Ipv4Addr::from(mask(n.prefix)));
        return options.networks.iter().map(show).collect();
    }
    let starts: BTreeSet<_> = nodes
        .iter()
        .map(|node| u32::from(node.address) & mask(24))
        .collect();
    starts
        .into_iter()
        .map(|start| format!("{},static", Ipv4Addr::from(start)))
        .collect()
}

/// What the nodes of a group load first.
fn boot(text: &mut String, group: &Group, tag: &str) {
    let server = group
        .server
        .map(|server| format!(",,{server}"))
        .unwrap_or_default();
    let mut line = |tags: &str, file: &str, server: &str| {
        let _ = writeln!(text, "dhcp-boot=tag:{tag}{tags},{file}{server}");
    };
    let grub = format!("boot/grub2/grub2.{}", group.arch);
    match group.netboot.as_str() {
        "pxe" => line("", "pxelinux.0", &server),
        "yaboot" => line("", "yaboot", &server),
        "petitboot" => {}
        "xnba" => {
            line(",tag:bios,tag:!xnba-client", "xcat/xnba.kpxe", &server);
            line(",tag:efi-x64,tag:!xnba-client", "xcat/xnba.efi", &server);
        }
        "ipxe" | "ipxe-tftp" => {
            line(",tag:bios,tag:!ipxe-client", "undionly.kpxe", &server);
            line(",tag:efi-x64,tag:!ipxe-client", "ipxe.efi", &server);
            line(",tag:efi-arm64,tag:!ipxe-client", "ipxe-arm64.efi", &server);
        }
        "httpboot" => {
            line(",tag:!http-client", &grub, &server);
            let url = group.url.as_deref().unwrap_or_default();
            let file = format!("{url}/{}", httpboot::binary(&group.arch));
            line(",tag:http-client", &file, "");
            // Firmware takes the answer only from a server that says it is one for HTTP.
            let _ = writeln!(
                text,
                "dhcp-option-force=tag:{tag},tag:http-client,60,HTTPClient"
            );
        }
        _ => line("", &grub, &server),
    }
}

/// The lines of one node.
fn host(text: &mut String, node: &Node, tag: &str, domain: &str, names: bool) {
    let KnownAs {
        node: name, mac, ..
    } = &node.known_as;
    let Some(mac) = mac else { return };
    // A name with dots would have to end in the domain.
    let short = name.split('.').next().unwrap_or(name);
    let (own, address) = (format!("node-{name}"), node.address);
    let script = match node.group.netboot.as_str() {
        "ipxe" | "ipxe-tftp" => {
            format!("dhcp-boot=tag:{own},tag:ipxe-client,xcat/ipxe/nodes/{name}")
        }
        "xnba" => {
            let url = node.url.as_deref().unwrap_or_default();
            let script = format!("{url}/xcat/xnba/nodes/{name}");
            format!(
                "dhcp-boot=tag:{own},tag:xnba-client,tag:bios,{script}\n\
                 dhcp-boot=tag:{own},tag:xnba-client,tag:efi-x64,{script}.uefi"
            )
        }
        "petitboot" => {
            let url = node.url.as_deref().unwrap_or_default();
            format!("dhcp-option-force=tag:{own},209,\"{url}/petitboot/{name}\"")
        }
        _ => String::new(),
    };
    let own_tag = if script.is_empty() {
        String::new()
    } else {
        format!(",set:{own}")
    };
    let _ = writeln!(
        text,
        "dhcp-host={mac},set:{tag}{own_tag},{address},{short},infinite"
    );
    if !script.is_empty() {
        let server = node
            .group
            .server
            .filter(|_| script.ends_with(name.as_str()));
        let server = server.filter(|_| node.group.netboot.starts_with("ipxe"));
        let server = server
            .map(|server| format!(",,{server}"))
            .unwrap_or_default();
        let _ = writeln!(text, "{script}{server}");
    }
    if names {
        let full = if domain.is_empty() {
            String::new()
        } else {
            format!("{short}.{domain},")
        };
        let _ = writeln!(text, "host-record={full}{short},{address}");
    }
}
