//! The names and addresses of this machine.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name of the machine.
#[must_use]
pub fn machine() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// Names and addresses the server is reached by: the machine's name with and without domain, its addresses, loopback.
#[must_use]
pub fn machine_names() -> BTreeSet<String> {
    let machine = machine();
    let mut names = BTreeSet::from(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.extend(machine.split('.').next().map(str::to_owned));
    names.insert(machine);
    names.retain(|name| !name.is_empty());
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let v4 = local_v4(&read("/proc/net/fib_trie"))
        .into_iter()
        .map(IpAddr::V4);
    let v6 = local_v6(&read("/proc/net/if_inet6"))
        .into_iter()
        .map(IpAddr::V6);
    names.extend(v4.chain(v6).map(|address| address.to_string()));
    names
}

/// The machine's own addresses in the kernel's routing tree: a leaf line with the address, then its kind.
fn local_v4(text: &str) -> BTreeSet<Ipv4Addr> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.filter(|address| !address.is_loopback()));
        }
    }
    found
}

/// Addresses of interfaces: 32 hexadecimal digits first. Those that count on one link only are left out.
fn local_v6(text: &str) -> BTreeSet<Ipv6Addr> {
    let address = |line: &str| {
        let digits = line.split_whitespace().next()?;
        let address = Ipv6Addr::from(u128::from_str_radix(digits, 16).ok()?);
        let wide = !address.is_loopback() && !address.is_unicast_link_local();
        wide.then_some(address)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), BTreeSet::from([Ipv4Addr::new(10, 0, 0, 7)]));
        let v6 = "fe800000000000000000000000000001 02 40 20 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n\
                  20010db8000000000000000000000007 02 40 00 80 eth0\n";
        assert_eq!(
            local_v6(v6)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["2001:db8::7"]
        );
    }

    #[test]
    fn this_machine_has_a_name() {
        let names = machine_names();
        assert!(names.contains("localhost") && names.contains(&machine()));
    }
}
