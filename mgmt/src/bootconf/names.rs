//! Names that become file names below tftpdir, and the names boot loaders make of addresses.
//!
//! A boot loader asks for files that are named after the node's address or MAC. A node must not be called like one of
//! those files, or one node would boot another's configuration.

use super::BootError;
use std::net::Ipv4Addr;

/// An IPv4 address as pxelinux and GRUB ask for it: eight upper case hexadecimal digits.
#[must_use]
pub fn hexip(address: Ipv4Addr) -> String {
    format!("{:08X}", u32::from(address))
}

/// The same in lower case, as yaboot asks for it.
#[must_use]
pub fn hexip_lower(address: Ipv4Addr) -> String {
    format!("{:08x}", u32::from(address))
}

/// The address of such a name, in either case.
#[must_use]
pub fn address_of(hexip: &str) -> Option<Ipv4Addr> {
    let hex = hexip.len() == 8 && hexip.bytes().all(|b| b.is_ascii_hexdigit());
    let number = hex.then(|| u32::from_str_radix(hexip, 16).ok()).flatten();
    number.map(Ipv4Addr::from)
}

/// Checks that a name is one component of a path: letters, digits, `.`, `_`, `-`, `+`, beginning with a letter or digit.
///
/// # Errors
/// [`BootError::Name`].
pub fn component(name: &str) -> Result<(), BootError> {
    let bad = |why| {
        let name = name.escape_debug().to_string();
        Err(BootError::Name { name, why })
    };
    if name.is_empty() {
        return bad("it is empty");
    }
    // ext4 and most others allow 255 bytes; aliases add up to 20.
    if name.len() > 200 {
        return bad("it is longer than 200 bytes");
    }
    if name.contains('/') {
        return bad("it contains a slash");
    }
    if name.contains("..") {
        return bad("it contains two dots in a row");
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return bad("it does not begin with a letter or digit");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if !name.chars().all(allowed) {
        return bad("only letters, digits and . _ - + are allowed");
    }
    Ok(())
}

/// Checks that a node's name can name its boot files and is not the name of a file of another kind there.
///
/// # Errors
/// [`BootError::Name`].
pub fn node(name: &str) -> Result<(), BootError> {
    component(name)?;
    let lower = name.to_ascii_lowercase();
    let alias = address_of(name).is_some() || is_mac_alias(&lower);
    let reserved = lower == "default"
        || ["grub.cfg", "grub2.", "grub2-", "mac-"]
            .iter()
            .any(|prefix| lower.starts_with(prefix))
        || [".uefi", ".elilo", ".pxelinux", ".efi", ".0"]
            .iter()
            .any(|suffix| lower.ends_with(suffix));
    if alias || reserved {
        return Err(BootError::Name {
            name: name.to_owned(),
            why: "boot loaders use this name for something else",
        });
    }
    Ok(())
}

/// Whether a name is one by which firmware asks for the file of a node with an address or MAC.
#[must_use]
pub fn alias(name: &str) -> bool {
    let prefixes = ["grub.cfg-", "yaboot.conf-"];
    let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    let rest = rest.unwrap_or(name);
    address_of(rest).is_some() || is_mac_alias(&rest.to_ascii_lowercase())
}

/// `01-aa-bb-cc-dd-ee-ff`: hardware type and MAC, as boot loaders ask for it.
fn is_mac_alias(name: &str) -> bool {
    let parts: Vec<_> = name.split('-').collect();
    let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(parts.len(), 6 | 7) && parts.iter().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_as_boot_loaders_write_them() {
        let address = Ipv4Addr::new(172, 10, 0, 1);
        assert_eq!(hexip(address), "AC0A0001");
        assert_eq!(hexip_lower(address), "ac0a0001");
        assert_eq!(address_of("AC0a0001"), Some(address));
        for bad in ["", "AC0A001", "+C0A0001", "AC0A0001F", "AC0A000G"] {
            assert_eq!(address_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_that_would_leave_the_directory_are_refused() {
        for bad in [
            "",
            "/",
            "..",
            ".",
            "a/b",
            "../n01",
            "n01/..",
            "-n",
            ".n01",
            "n 1",
            "n\n1",
            "n\0",
            "n$1",
            "n;x",
            "n..1",
            "knoten\u{e4}",
        ] {
            assert!(node(bad).is_err(), "{bad:?}");
        }
        assert!(component(&"n".repeat(201)).is_err());
        for good in ["n01", "n01.cluster.net", "N-1_b", "7", "beef"] {
            assert_eq!(node(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn names_that_firmware_asks_for() {
        for name in [
            "AC0A0001",
            "ac0a0001",
            "grub.cfg-AC0A0001",
            "grub.cfg-01-52-54-00-12-34-56",
            "yaboot.conf-52-54-00-12-34-56",
            "01-52-54-00-AB-cd-ef",
        ] {
            assert!(alias(name), "{name}");
        }
        for name in [
            "n01",
            "grub.cfg",
            "grub.cfg-n01",
            "grub2-n01",
            "default",
            "",
        ] {
            assert!(!alias(name), "{name}");
        }
    }

    #[test]
    fn names_of_other_boot_files_are_refused() {
        for bad in [
            "default",
            "AC0A0001",
            "deadbeef",
            "grub.cfg-x",
            "grub2.ppc",
            "grub2-n01",
            "n01.uefi",
            "n01.elilo",
            "n01.pxelinux",
            "01-52-54-00-12-34-56",
            "52-54-00-12-34-56",
            "pxelinux.0",
        ] {
            assert!(node(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hexip_goes_both_ways(number in any::<u32>()) {
            let address = Ipv4Addr::from(number);
            for name in [hexip(address), hexip_lower(address)] {
                prop_assert_eq!(name.len(), 8);
                prop_assert_eq!(address_of(&name), Some(address));
                prop_assert!(node(&name).is_err());
            }
            prop_assert_eq!(hexip(address).to_lowercase(), hexip_lower(address));
        }

        #[test]
        fn an_accepted_name_stays_in_its_directory(name in "\\PC{0,12}") {
            if node(&name).is_ok() {
                let path = std::path::Path::new("/d").join(&name);
                prop_assert_eq!(path.parent(), Some(std::path::Path::new("/d")));
                let normal = path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
                prop_assert!(normal);
            }
        }
    }
}
