//! Everything about one node that its boot files depend on, gathered once.

use super::address::{Lookup, boot_server};
use super::check::require;
use super::image::Image;
use super::mac::{self, Interface, Mac};
use super::probe::Probe;
use super::settings::Settings;
use super::{BootError, Era, names};
use crate::resolve::shell::Shell;
use crate::resolve::{input, servers};
use crate::tables::Site;
use crate::tables::schema::{MAC, NODEHM, NODERES, NODETYPE};
use statelite_policy::Source;
use std::net::Ipv4Addr;

/// The architecture of a node whose row names none.
const ARCH: &str = "x86_64";

/// A serial console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Number of the serial port, from 0.
    pub port: String,
    /// Baud, with `n8r` after it for hardware flow control.
    pub speed: String,
}

/// How the kernel is told which interface it boots over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nic {
    /// By name: `netdev=`.
    Name(String),
    /// By address: `BOOTIF=`.
    Address(Mac),
}

/// Everything about one node.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The tables.
    pub site: &'a Site,
    /// How names become addresses.
    pub lookup: Lookup,
    /// The node.
    pub node: String,
    /// Which form its command line has.
    pub era: Era,
    /// Its image.
    pub image: Image,
    /// What the image's directory holds.
    pub probe: Probe,
    /// The settings of the site.
    pub settings: Settings,
    /// The directory of the image on its NFS server, without `/rootimg`.
    pub nfsdir: String,
    /// Where its persistent state is.
    pub statemnt: Option<Source>,
    /// Its serial console.
    pub console: Option<Console>,
    /// The interface it boots over, when the tables name one.
    pub nic: Option<Nic>,
    /// What firmware may ask for.
    pub known_as: KnownAs,
}

/// What a node is known as: all that the names of its boot files depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAs {
    /// The node.
    pub node: String,
    /// Its architecture.
    pub arch: String,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Its addresses: its own first, then those of its other interfaces.
    pub addresses: Vec<Ipv4Addr>,
    /// The MAC address it boots over.
    pub mac: Option<Mac>,
}

impl KnownAs {
    /// Reads the mac, hosts, noderes and nodetype tables.
    ///
    /// # Errors
    /// [`BootError`] when a name or a value is bad.
    pub fn new(site: &Site, node: &str, lookup: Lookup) -> Result<Self, BootError> {
        names::node(node)?;
        let macs = site.node_value(node, &MAC, "mac").unwrap_or_default();
        require("mac.mac", &macs)?;
        let interfaces = mac::interfaces(&macs).unwrap_or_default();
        let install = site.node_value(node, &NODERES, "installnic");
        let install = install.and_then(|name| name.parse().ok());
        let own = || Some(mac::own(&interfaces, node)?.mac);
        let arch = site.node_value(node, &NODETYPE, "arch");
        let arch = arch.unwrap_or_else(|| ARCH.to_owned());
        names::component(&arch)?;
        Ok(Self {
            node: node.to_owned(),
            arch,
            addresses: addresses(site, node, &interfaces, lookup),
            mac: install.or_else(own),
            interfaces,
        })
    }

    /// A node of which nothing but the name is known.
    #[must_use]
    pub fn by_name(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            arch: ARCH.to_owned(),
            interfaces: Vec::new(),
            addresses: Vec::new(),
            mac: None,
        }
    }
}

/// A node's servers, by name or address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// Of the image over NFS.
    pub nfs: String,
    /// Of boot files and packed images.
    pub boot: String,
    /// Of litefile and litetree.
    pub master: String,
}

impl<'a> Facts<'a> {
    /// Gathers them.
    ///
    /// # Errors
    /// [`BootError`] when a value is missing or bad.
    pub fn new(
        site: &'a Site,
        node: &str,
        era: Era,
        image: Image,
        probe: Probe,
        lookup: Lookup,
    ) -> Result<Self, BootError> {
        let known_as = KnownAs::new(site, node, lookup)?;
        for column in [
            "noderes.nfsserver",
            "noderes.tftpserver",
            "noderes.xcatmaster",
            "noderes.nfsdir",
        ] {
            require(column, &noderes(site, node, column).unwrap_or_default())?;
        }
        require("site.master", site.setting("master").unwrap_or_default())?;
        Ok(Self {
            site,
            lookup,
            node: node.to_owned(),
            era,
            settings: Settings::new(site, node)?,
            nfsdir: servers::nfs_root(site, node)?,
            statemnt: input::store(site, node, &Shell::of(site))?,
            console: console(site, node)?,
            nic: nic(site, &image, &known_as)?,
            known_as,
            image,
            probe,
        })
    }

    /// Its servers. `facing` takes the place of the address of this host that faces the node, for loaders that know it
    /// themselves.
    ///
    /// # Errors
    /// [`BootError::NoFacing`] when that address is needed and not known.
    pub fn servers(&self, facing: Option<&str>) -> Result<Servers, BootError> {
        let known = |node: &str| match facing {
            Some(text) => Some(text.to_owned()),
            None => self.lookup.facing(self.site, node),
        };
        let none = |error| match error {
            servers::ServerError::Resolve(error) => BootError::Resolve(error),
            servers::ServerError::NoAddress { .. } => BootError::NoFacing,
        };
        let master = servers::master(self.site, &self.node, &known).map_err(none)?;
        Ok(Servers {
            nfs: servers::nfs_server(self.site, &self.node, &known).map_err(none)?,
            boot: boot_server(self.site, &self.node).unwrap_or_else(|| master.clone()),
            master,
        })
    }

    /// The address of a name, or the name when it has none.
    #[must_use]
    pub fn resolved(&self, name: &str) -> String {
        match self.lookup.address(self.site, name) {
            Some(address) => address.to_string(),
            None => name.to_owned(),
        }
    }

    /// The directory of kernel and initrd below tftpdir.
    #[must_use]
    pub fn boot_dir(&self) -> String {
        let Image {
            name,
            os,
            arch,
            profile,
            ..
        } = &self.image;
        match self.era {
            Era::Current => format!("xcat/osimage/{name}"),
            Era::Seed2010 => format!("xcat/netboot/{os}/{arch}/{profile}"),
        }
    }

    /// The kernel below tftpdir.
    #[must_use]
    pub fn kernel(&self) -> String {
        format!("{}/kernel", self.boot_dir())
    }

    /// The initrd below tftpdir.
    #[must_use]
    pub fn initrd(&self) -> String {
        format!("{}/{}", self.boot_dir(), self.probe.initrd_name)
    }
}

fn noderes(site: &Site, node: &str, column: &str) -> Option<String> {
    let (_, column) = column.split_once('.')?;
    site.node_value(node, &NODERES, column)
}

fn console(site: &Site, node: &str) -> Result<Option<Console>, BootError> {
    let value = |column| site.node_value(node, &NODEHM, column);
    let Some(port) = value("serialport") else {
        return Ok(None);
    };
    let speed = value("serialspeed").ok_or(BootError::NoSpeed)?;
    require("nodehm.serialport", &port)?;
    require("nodehm.serialspeed", &speed)?;
    let flow = value("serialflow").unwrap_or_default();
    let hard = ["hard", "tcs", "ctsrts", "rtscts"]
        .iter()
        .any(|word| flow.contains(word));
    let speed = format!("{speed}{}", if hard { "n8r" } else { "" });
    Ok(Some(Console { port, speed }))
}

/// installnic, else the image's nodebootif, else primarynic; `mac` stands for none. On POWER, whose firmware says nothing,
/// the MAC address when there is no name.
fn nic(site: &Site, image: &Image, known_as: &KnownAs) -> Result<Option<Nic>, BootError> {
    let value = |column| noderes(site, &known_as.node, column).filter(|name| name != "mac");
    let (install, primary) = (value("noderes.installnic"), value("noderes.primarynic"));
    require("noderes.installnic", install.as_deref().unwrap_or_default())?;
    require("noderes.primarynic", primary.as_deref().unwrap_or_default())?;
    let name = install.or_else(|| image.nodebootif.clone()).or(primary);
    Ok(match name {
        Some(name) => Some(match name.parse() {
            Ok(mac) => Nic::Address(mac),
            Err(_) => Nic::Name(name),
        }),
        None if image.arch.contains("ppc") => known_as.mac.map(Nic::Address),
        None => None,
    })
}

fn addresses(site: &Site, node: &str, interfaces: &[Interface], lookup: Lookup) -> Vec<Ipv4Addr> {
    let others = interfaces
        .iter()
        .filter_map(|interface| interface.host.as_deref());
    let mut addresses = Vec::new();
    for name in std::iter::once(node).chain(others) {
        let address = lookup.address(site, name);
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    addresses
}
