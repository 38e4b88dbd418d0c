//! Hosts, network cards and addresses as words of the command line give them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Port of the management server where none is given.
pub const XCAT_PORT: u16 = 3001;

/// A host with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name or address, without brackets.
    pub name: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// `HOST[:PORT]`, an IPv6 address in brackets.
pub(super) fn host(text: &str) -> Result<Host, String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or("\"]\" is missing")?;
            (name, rest.strip_prefix(':').unwrap_or_default())
        }
        None if text.matches(':').count() > 1 => {
            return Err("an IPv6 address is written in brackets".into());
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = match port {
        "" => XCAT_PORT,
        port => port.parse().map_err(|_| "the port is no number")?,
    };
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.:%".contains(c));
    if name.is_empty() || name.contains(odd) {
        return Err("expected HOST:PORT".into());
    }
    Ok(Host {
        name: name.to_owned(),
        port,
    })
}

/// An address, with or without brackets.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .map_err(|_| "not an address".into())
}

/// Address of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `52:54:00:12:34:56`, with dashes, or with the leading `01-` of boot loaders.
    pub fn parse(text: &str) -> Option<Mac> {
        let mut parts: Vec<&str> = text.split([':', '-']).collect();
        if parts.len() == 7 && parts.first() == Some(&"01") {
            parts.remove(0);
        }
        let bytes: Vec<u8> = parts
            .iter()
            .map(|part| {
                u8::from_str_radix(part, 16)
                    .ok()
                    .filter(|_| part.len() == 2)
            })
            .collect::<Option<_>>()?;
        bytes.try_into().ok().map(Mac)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What `ip=` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// DHCP, on this card if one is named.
    Dhcp(Option<String>),
    /// A fixed address.
    Fixed(Fixed),
    /// The network is left as it is.
    Off,
}

/// A fixed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The card; none for the only one.
    pub card: Option<String>,
    /// Own address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
    /// Router.
    pub gateway: Option<Ipv4Addr>,
    /// Own name.
    pub host: Option<String>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
}

impl Ip {
    /// Reads the value of `ip=`; none if it asks for nothing that is done here: IPv6 alone, or a way that other
    /// programs of an initramfs know.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Option<Ip>, String> {
        match text {
            "" => return Ok(None),
            _ if !text.contains(':') => {
                return how(text).ok_or_else(|| {
                    "expected dhcp or ADDRESS::GATEWAY:MASK:HOST:NAME:none".to_owned()
                });
            }
            _ => {}
        }
        if text.starts_with('[') {
            // IPv6: the kernel configures itself from router advertisements.
            return Ok(None);
        }
        let fields: Vec<&str> = text.split(':').collect();
        let field = |n: usize| fields.get(n).copied().filter(|f| !f.is_empty());
        let on = |ip: Option<Ip>, card: Option<&str>| match ip {
            Some(Ip::Dhcp(_)) => Some(Ip::Dhcp(card.map(str::to_owned))),
            other => other,
        };
        // CARD:HOW, and in dracut its MTU and address after that.
        if let (Some(card), Some(word)) = (field(0), field(1)) {
            match how(word) {
                Some(ip) => return Ok(on(ip, Some(card))),
                None if fields.len() <= 3 => {
                    return Err(format!("\"{word}\" is not known: expected {card}:dhcp"));
                }
                None => {}
            }
        }
        if let (None, Some(ip)) = (field(0), field(6).and_then(how)) {
            return Ok(on(ip, field(5)));
        }
        let card = field(5).map(str::to_owned);
        let Some(address) = field(0) else {
            return Ok(Some(Ip::Dhcp(card)));
        };
        // The last field says how; an address before it is then what the server may give, not what counts.
        if let Some(Some(Ip::Dhcp(_))) = field(6).and_then(how) {
            return Ok(Some(Ip::Dhcp(card)));
        }
        let quad = |text: &str| -> Result<Ipv4Addr, String> {
            text.parse()
                .map_err(|_| format!("\"{text}\" is no address"))
        };
        let (address, prefix) = match address.split_once('/') {
            Some((address, bits)) => (quad(address)?, Some(prefix(bits)?)),
            None => (quad(address)?, field(3).map(prefix).transpose()?),
        };
        Ok(Some(Ip::Fixed(Fixed {
            card,
            address,
            prefix: prefix.ok_or("the network mask is missing")?,
            gateway: field(2).map(quad).transpose()?,
            host: field(4).map(str::to_owned),
            nameservers: [field(7), field(8)]
                .into_iter()
                .flatten()
                .filter_map(|dns| dns.parse().ok())
                .collect(),
        })))
    }
}

/// What a single word of `ip=` asks for: none if it is not known, and none in it if others follow it.
fn how(word: &str) -> Option<Option<Ip>> {
    const DHCP: [&str; 8] = [
        "dhcp",
        "dhcp4",
        "on",
        "any",
        "auto",
        "both",
        "either6",
        "single-dhcp",
    ];
    const OTHERS: [&str; 7] = [
        "dhcp6",
        "auto6",
        "link6",
        "ibft",
        "link-local",
        "bootp",
        "rarp",
    ];
    match word {
        "off" | "none" => Some(Some(Ip::Off)),
        _ if DHCP.contains(&word) => Some(Some(Ip::Dhcp(None))),
        _ if OTHERS.contains(&word) => Some(None),
        _ => None,
    }
}

/// Bits of a network: `24` or `255.255.255.0`.
fn prefix(text: &str) -> Result<u8, String> {
    if let Ok(bits @ 0..=32) = text.parse() {
        return Ok(bits);
    }
    let mask: Ipv4Addr = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no network mask"))?;
    let bits = mask.to_bits();
    if bits.leading_ones() + bits.trailing_zeros() < 32 {
        return Err(format!("\"{text}\" is no network mask"));
    }
    Ok(bits.leading_ones() as u8)
}
