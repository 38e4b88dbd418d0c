//! The mac table: `MAC[!HOST][|MAC[!HOST]...]`.
//!
//! The host says which name that interface has; without one it is the node's own. `*NOIP*` stands for an interface
//! without an address.

use std::fmt;
use std::str::FromStr;

/// A MAC address. Displays with colons in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

/// "{0}" is no MAC address (six pairs of hexadecimal digits)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no MAC address (six pairs of hexadecimal digits)")]
pub struct BadMac(pub String);

impl Mac {
    /// `aa-bb-cc-dd-ee-ff`, as boot loaders write it.
    #[must_use]
    pub fn dashes(&self) -> String {
        self.to_string().replace(':', "-")
    }

    /// `01-aa-bb-cc-dd-ee-ff`: with the hardware type of Ethernet before it.
    #[must_use]
    pub fn with_type(&self) -> String {
        format!("01-{}", self.dashes())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = BadMac;

    /// Reads colons, dashes or nothing between the pairs.
    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.to_owned());
        let digits: String = match text.len() {
            12 => text.to_owned(),
            17 => {
                let mark = if text.contains(':') { ':' } else { '-' };
                let pairs: Vec<_> = text.split(mark).collect();
                if pairs.len() != 6 || pairs.iter().any(|pair| pair.len() != 2) {
                    return Err(bad());
                }
                pairs.concat()
            }
            _ => return Err(bad()),
        };
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let number = u64::from_str_radix(&digits, 16).map_err(|_| bad())?;
        let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
        Ok(Self([a, b, c, d, e, f]))
    }
}

/// One interface of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC address.
    pub mac: Mac,
    /// The host name of that interface; `None` for the node's own.
    pub host: Option<String>,
    /// Whether it has an address at all (`*NOIP*` has none).
    pub has_address: bool,
}

/// Reads a value of mac.mac.
///
/// # Errors
/// [`BadMac`] for the first part that is none.
pub fn interfaces(value: &str) -> Result<Vec<Interface>, BadMac> {
    let parts = value.split('|').map(str::trim).filter(|p| !p.is_empty());
    parts
        .map(|part| {
            let (mac, host) = match part.split_once('!') {
                Some((mac, host)) => (mac, Some(host)),
                None => (part, None),
            };
            let has_address = host != Some("*NOIP*");
            let host = host.filter(|host| has_address && !host.is_empty());
            Ok(Interface {
                mac: mac.parse()?,
                host: host.map(str::to_owned),
                has_address,
            })
        })
        .collect()
}

/// The interface a node boots over: the one with its own name or none, else the first.
#[must_use]
pub fn own<'a>(interfaces: &'a [Interface], node: &str) -> Option<&'a Interface> {
    let own = |i: &&Interface| i.has_address && i.host.as_deref().is_none_or(|host| host == node);
    interfaces.iter().find(own).or_else(|| interfaces.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mac_table_is_read() {
        let value = "52:54:00:12:34:56!*NOIP*|52-54-00-12-34-57!n01-ib|525400123458!n01";
        let list = interfaces(value).unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list[1].host.as_deref(), Some("n01-ib"));
        assert!(!list[0].has_address);
        let mac = own(&list, "n01").unwrap().mac;
        assert_eq!(mac.to_string(), "52:54:00:12:34:58");
        assert_eq!(mac.dashes(), "52-54-00-12-34-58");
        assert_eq!(mac.with_type(), "01-52-54-00-12-34-58");
        assert_eq!(own(&list, "n02").unwrap().mac, list[0].mac);
        assert_eq!(interfaces("").unwrap(), []);
    }

    #[test]
    fn what_is_no_mac_is_refused() {
        for bad in [
            "52:54:00:12:34",
            "52:54:00:12:34:5g",
            "52:54-00:12:34:56",
            "5254.0012.3456",
            "+25400123456",
            "52:54:00:12:34:567",
            "x",
            "52:5400:12:34:5:6",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
            assert!(interfaces(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_form_of_a_mac_reads_the_same(bytes in any::<[u8; 6]>(), upper in any::<bool>()) {
            let mac = Mac(bytes);
            let colons = mac.to_string();
            for form in [colons.clone(), mac.dashes(), colons.replace(':', "")] {
                let form = if upper { form.to_uppercase() } else { form };
                prop_assert_eq!(form.parse(), Ok(mac));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,20}") {
            let _ = text.parse::<Mac>().is_ok();
            let _ = interfaces(&text).is_ok();
        }
    }
}
