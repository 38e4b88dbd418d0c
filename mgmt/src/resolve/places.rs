//! Where on this machine the directory of a `server:dir` is, if it is here at all.
//!
//! A source is here when its server is this machine, or when it, or a directory above it, is mounted. A source without a
//! server is a directory of the node itself and never here.

use crate::tables::Site;
use crate::tables::schema::HOSTS;
use statelite_policy::Source;
use std::net::{IpAddr, ToSocketAddrs as _, UdpSocket};
use std::path::PathBuf;

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this directory.
    Here(PathBuf),
    /// Not on this machine, and why.
    Elsewhere(&'static str),
}

/// What is mounted, and whether a server is this machine.
pub struct Places<'a> {
    mounts: Vec<Mount>,
    is_here: Box<dyn Fn(&str) -> bool + 'a>,
}

impl std::fmt::Debug for Places<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mounts = &self.mounts;
        f.debug_struct("Places").field("mounts", mounts).finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// `server:dir` of what shows at the mountpoint.
    source: Source,
    point: PathBuf,
}

impl<'a> Places<'a> {
    /// Those of this machine. Names are looked up in the hosts table, then by the system.
    #[must_use]
    pub fn of_this_machine(site: &'a Site) -> Self {
        // Without the list nothing is known to be mounted, which is said for each source.
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::new(&text, |server| is_this_machine(site, server))
    }

    /// From the text of `/proc/self/mountinfo` and a test for names of this machine.
    #[must_use]
    pub fn new(mountinfo: &str, is_here: impl Fn(&str) -> bool + 'a) -> Self {
        Self {
            mounts: mountinfo.lines().filter_map(mount).collect(),
            is_here: Box::new(is_here),
        }
    }

    /// Where a source is.
    #[must_use]
    pub fn find(&self, source: &Source) -> Place {
        let Some(server) = source.server.as_deref() else {
            return Place::Elsewhere("a directory of the node itself");
        };
        // Later mounts cover earlier ones.
        for mount in self.mounts.iter().rev() {
            if mount.source.server.as_deref() == Some(server)
                && let Some(below) = below(&source.path, &mount.source.path)
            {
                return Place::Here(mount.point.join(below));
            }
        }
        if (self.is_here)(server) {
            Place::Here(PathBuf::from(&source.path))
        } else {
            Place::Elsewhere("not mounted on this machine")
        }
    }
}

/// What of `path` is below `above`.
fn below<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(above.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

/// A mount with a source of the form `server:dir`.
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (left.next()?, left.next()?);
    let source = unescape(right.split(' ').nth(1)?);
    // What shows is `root` of what was mounted.
    let whole = format!("{}{}", source.trim_end_matches('/'), unescape(root));
    let whole = whole.trim_end_matches('/');
    let whole = if whole.ends_with(':') {
        format!("{whole}/")
    } else {
        whole.to_owned()
    };
    Some(Mount {
        source: whole.parse().ok()?,
        point: PathBuf::from(unescape(point)),
    })
    .filter(|mount| mount.source.server.is_some())
}

/// `\040` and its kind.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        match code {
            Some(byte) => {
                out.push(char::from(byte));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_this_machine(site: &Site, server: &str) -> bool {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    if server == "localhost" || server == host {
        return true;
    }
    if let Ok(address) = server.parse::<IpAddr>() {
        return is_ours(address);
    }
    if short(server) == short(&host) {
        return true;
    }
    let listed = site.node_value(server, &HOSTS, "ip");
    if let Some(address) = listed.and_then(|ip| ip.parse::<IpAddr>().ok()) {
        return is_ours(address);
    }
    let addresses = (server, 0).to_socket_addrs();
    addresses.is_ok_and(|mut addresses| addresses.any(|address| is_ours(address.ip())))
}

/// Whether an address is one of this machine's: nobody can have a socket at another's.
fn is_ours(address: IpAddr) -> bool {
    !address.is_unspecified() && UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/a rw shared:1 - nfs4 cnfs:/gpfs rw,vers=4.2
31 22 0:41 /dallas /mnt/with\\040space rw - nfs cnfs:/other/ rw
32 22 0:42 / /mnt/b rw - nfs cnfs:/gpfs/dallas rw
33 22 0:43 / /mnt/root rw - nfs4 all:/ rw
";

    #[test]
    fn mounts_are_found_by_their_source() {
        let places = Places::new(MOUNTS, |server| server == "us");
        for (source, wanted) in [
            ("cnfs:/gpfs/dallas/x/", Some("/mnt/b/x/")),
            ("cnfs:/gpfs", Some("/mnt/a/")),
            ("cnfs:/gpfs/austin", Some("/mnt/a/austin")),
            ("cnfs:/gpfs2", None),
            ("cnfs:/other/dallas/y", Some("/mnt/with space/y")),
            ("cnfs:/other/y", None),
            ("all:/x", Some("/mnt/root/x")),
            ("us:/srv/x", Some("/srv/x")),
            ("them:/srv/x", None),
            ("/srv/x", None),
        ] {
            let found = places.find(&source.parse().unwrap());
            match wanted {
                Some(dir) => assert_eq!(found, Place::Here(dir.into()), "{source}"),
                None => assert!(matches!(found, Place::Elsewhere(_)), "{source}"),
            }
        }
        let own = places.find(&"/srv/x".parse().unwrap());
        assert_eq!(own, Place::Elsewhere("a directory of the node itself"));
    }

    #[test]
    fn this_machine_knows_itself() {
        let site = Site::default();
        assert!(is_this_machine(&site, "localhost"));
        assert!(is_this_machine(&site, "127.0.0.1"));
        assert!(!is_this_machine(&site, "192.0.2.1"));
        assert!(!is_this_machine(&site, "0.0.0.0"));
    }
}
