//! Which network cards there are, and which one is meant.

use crate::boot::cmdline::address::Mac;
use std::path::Path;

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Name, for instance `eth0`.
    pub name: String,
    /// Address.
    pub mac: Mac,
}

/// `ARPHRD_ETHER`.
const ETHERNET: &str = "1";

/// The Ethernet cards of this machine, by name.
pub fn all() -> Vec<Card> {
    in_dir(Path::new("/sys/class/net"))
}

fn in_dir(dir: &Path) -> Vec<Card> {
    let mut cards: Vec<Card> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let read = |file: &str| {
                let text = std::fs::read_to_string(entry.path().join(file)).ok()?;
                Some(text.trim().to_owned())
            };
            let mac = Mac::parse(&read("address")?)?;
            (read("type")? == ETHERNET).then(|| Card {
                name: entry.file_name().to_string_lossy().into_owned(),
                mac,
            })
        })
        .collect();
    cards.sort_by(|a, b| a.name.cmp(&b.name));
    cards
}

/// The cards that may be meant, the surest first: the one with this address, else the one with
/// this name, else all.
pub fn meant(cards: Vec<Card>, mac: Option<Mac>, name: Option<&str>) -> Vec<Card> {
    let by_mac = cards.iter().find(|card| Some(card.mac) == mac);
    let by_name = cards.iter().find(|card| Some(card.name.as_str()) == name);
    match by_mac.or(by_name) {
        Some(card) => vec![card.clone()],
        None if mac.is_some() || name.is_some() => Vec::new(),
        None => cards,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_cards_are_found_and_chosen() {
        let dir = tempfile::tempdir().unwrap();
        for (name, kind, mac) in [
            ("lo", "772", "00:00:00:00:00:00"),
            ("eth1", "1", "52:54:00:00:00:01"),
            ("eth0", "1", "52:54:00:00:00:00"),
            ("ib0", "32", "80:00:02:08:fe:80"),
        ] {
            let card = dir.path().join(name);
            std::fs::create_dir(&card).unwrap();
            std::fs::write(card.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(card.join("address"), format!("{mac}\n")).unwrap();
        }
        let cards = in_dir(dir.path());
        let names = |mac: Option<&str>, name: Option<&str>| -> Vec<String> {
            let mac = mac.map(|mac| Mac::parse(mac).unwrap());
            let cards = meant(cards.clone(), mac, name);
            cards.into_iter().map(|card| card.name).collect()
        };
        assert_eq!(names(None, None), ["eth0", "eth1"]);
        assert_eq!(names(Some("01-52-54-00-00-00-01"), None), ["eth1"]);
        assert_eq!(names(Some("52:54:00:00:00:01"), Some("eth0")), ["eth1"]);
        assert_eq!(names(None, Some("eth0")), ["eth0"]);
        assert!(names(None, Some("eth7")).is_empty());
    }
}
