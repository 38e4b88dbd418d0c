//! Options of NFS mounts: what is asked for, what is usual, and what the kernel is told.

use rustix::mount::MountAttrFlags;
use std::net::IpAddr;

/// A usual option and why it is.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// The option.
    pub option: &'static str,
    /// Why.
    pub why: &'static str,
}

/// Of image and trees.
pub const READ_ONLY: [Usual; 4] = [
    Usual {
        option: "ro",
        why: "nothing here writes to them",
    },
    Usual {
        option: "nolock",
        why: "a lock on a read-only file is kept on the node; needs no rpc.statd",
    },
    Usual {
        option: "proto=tcp",
        why: "UDP loses data silently under load",
    },
    Usual {
        option: "hard",
        why: "a root that answers with errors is worse than one that waits",
    },
];

/// Besides, of image and trees below the merged view; [`super::links::options`] has what link mode mounts with.
pub const MERGED: [Usual; 3] = [
    Usual {
        option: "nocto",
        why: "an open need not ask the server whether the file has changed: a third fewer calls at boot",
    },
    Usual {
        option: "actimeo=10",
        why: "edits and new names show within 10 s; the kernel's own values are 3 to 60 s and 30 to 60 s",
    },
    Usual {
        option: "readahead=512",
        why: "a third fewer reads at boot than with the kernel's 128 KiB, for a fifth more bytes",
    },
];

/// Of persistent stores.
pub const STORE: [Usual; 3] = [
    Usual {
        option: "nolock",
        why: "one node alone uses its store; needs no rpc.statd",
    },
    Usual {
        option: "proto=tcp",
        why: "as for the image",
    },
    Usual {
        option: "hard",
        why: "a write is never given up",
    },
];

/// Protocol versions that are tried where none is asked for. 4.2 is not among them: a client of
/// kernel 6.12 reads zeroes from some servers with it (READ_PLUS).
pub const VERSIONS: [&str; 3] = ["4.1", "3", "4.0"];

/// Options that only mount(8) understands; the kernel would refuse them.
const FOR_MOUNT_ONLY: [&str; 21] = [
    "bg", "fg", "auto", "noauto", "user", "nouser", "users", "owner", "noowner", "group",
    "nogroup", "defaults", "nofail", "_netdev", "intr", "nointr", "rw", "silent", "loud", "retry",
    "comment",
];

/// Options of the mount and not of the file system: what is set, and what it takes the place of.
const OF_MOUNT: [(&str, MountAttrFlags, MountAttrFlags); 14] = [
    ("nosuid", MountAttrFlags::MOUNT_ATTR_NOSUID, NOTHING),
    ("suid", NOTHING, MountAttrFlags::MOUNT_ATTR_NOSUID),
    ("nodev", MountAttrFlags::MOUNT_ATTR_NODEV, NOTHING),
    ("dev", NOTHING, MountAttrFlags::MOUNT_ATTR_NODEV),
    ("noexec", MountAttrFlags::MOUNT_ATTR_NOEXEC, NOTHING),
    ("exec", NOTHING, MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ("noatime", MountAttrFlags::MOUNT_ATTR_NOATIME, ATIME),
    ("atime", NOTHING, ATIME),
    ("relatime", NOTHING, ATIME),
    ("norelatime", NOTHING, ATIME),
    ("strictatime", MountAttrFlags::MOUNT_ATTR_STRICTATIME, ATIME),
    ("nostrictatime", NOTHING, ATIME),
    ("nodiratime", MountAttrFlags::MOUNT_ATTR_NODIRATIME, NOTHING),
    ("diratime", NOTHING, MountAttrFlags::MOUNT_ATTR_NODIRATIME),
];
const NOTHING: MountAttrFlags = MountAttrFlags::empty();
/// These exclude each other; none of them is `relatime`.
const ATIME: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOATIME.union(MountAttrFlags::MOUNT_ATTR_STRICTATIME);

/// Checks options as far as it can be done without the kernel. Names that are not known here are left to it: which
/// there are depends on its version, and it refuses those that it does not know.
///
/// # Errors
/// A value that cannot be.
pub fn check(given: &[String]) -> Result<(), String> {
    for option in given {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let expected = match key {
            "readahead" if value.parse::<u32>().is_err() => "a number of KiB",
            "vers" | "nfsvers" if !value.starts_with(['2', '3', '4']) => "3, 4.0, 4.1 or 4.2",
            _ if is_number(key) && value.parse::<u32>().is_err() => "a number",
            _ => continue,
        };
        return Err(format!("mount option {option}: expected {key}={expected}"));
    }
    Ok(())
}

/// Whether the value of an option is a number, by nfs(5).
fn is_number(key: &str) -> bool {
    const NUMBERS: [&str; 17] = [
        "acdirmax",
        "acdirmin",
        "acregmax",
        "acregmin",
        "actimeo",
        "bsize",
        "max_connect",
        "minorversion",
        "mountport",
        "mountvers",
        "namlen",
        "nconnect",
        "port",
        "retrans",
        "rsize",
        "timeo",
        "wsize",
    ];
    NUMBERS.contains(&key)
}

/// Mount options, without those that only mount(8) understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Without version, in order.
    list: Vec<String>,
    /// The version that is asked for.
    pub version: Option<String>,
    /// Kibibytes read ahead, an option of ours.
    pub readahead: Option<u32>,
    /// The mount is read-only.
    pub read_only: bool,
    /// What the mount forbids, and how it keeps times.
    attributes: MountAttrFlags,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            version: None,
            readahead: None,
            read_only: false,
            attributes: NOTHING,
        }
    }
}

impl Options {
    /// `usual`, and over it each of `given`; of a key that is there twice the last counts.
    pub fn merge(usual: &[Usual], given: &[&[String]]) -> Options {
        let usual = usual.iter().map(|usual| usual.option);
        let given = given
            .iter()
            .flat_map(|list| list.iter().map(String::as_str));
        let mut options = Options::default();
        for option in usual.chain(given) {
            options.add(option);
        }
        options
    }

    fn add(&mut self, option: &str) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        if let Some((_, set, clear)) = OF_MOUNT.iter().find(|(name, ..)| *name == option) {
            self.attributes.remove(*clear);
            self.attributes.insert(*set);
            return;
        }
        match key {
            "vers" | "nfsvers" => self.version = Some(value.to_owned()),
            "v3" | "v4" | "v4.0" | "v4.1" | "v4.2" => {
                self.version = key.strip_prefix('v').map(str::to_owned);
            }
            "minorversion" if self.version.as_deref() == Some("4") => {
                self.version = Some(format!("4.{value}"));
            }
            // Else the kernel refuses it.
            "readahead" if value.parse::<u32>().is_ok() => self.readahead = value.parse().ok(),
            "ro" => self.read_only = true,
            _ if FOR_MOUNT_ONLY.contains(&key) => {}
            _ if key.starts_with("x-") || key.starts_with("X-") => {}
            _ => {
                let same = group(key);
                self.list
                    .retain(|old| group(old.split('=').next().unwrap_or(old)) != same);
                self.list.push(option.to_owned());
            }
        }
    }

    /// Versions to try, in order.
    pub fn versions(&self) -> Vec<String> {
        match &self.version {
            Some(version) => vec![version.clone()],
            None => VERSIONS.map(str::to_owned).to_vec(),
        }
    }

    /// What `fsmount(2)` is told.
    pub fn attributes(&self) -> MountAttrFlags {
        let mut attributes = self.attributes;
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, self.read_only);
        attributes
    }

    /// Whether an option without a value is there.
    pub fn has(&self, key: &str) -> bool {
        self.list.iter().any(|option| option == key)
    }

    /// The value of an option.
    pub fn value(&self, key: &str) -> Option<&str> {
        let pairs = self.list.iter().filter_map(|option| option.split_once('='));
        pairs
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .next_back()
    }

    /// What the kernel is told, as key and value.
    pub fn for_kernel(&self, version: &str, server: IpAddr) -> Vec<(String, Option<String>)> {
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        let mut pairs = vec![pair("vers", version), pair("addr", &server.to_string())];
        if version.starts_with('3') {
            // Where the mount service is; its port the kernel asks of the port mapper.
            pairs.push(pair("mountaddr", &server.to_string()));
            if !self.list.iter().any(|o| o.starts_with("mountproto=")) {
                pairs.push(pair("mountproto", "tcp"));
            }
        }
        for option in &self.list {
            match option.split_once('=') {
                Some((key, value)) => pairs.push(pair(key, value)),
                None => pairs.push((option.clone(), None)),
            }
        }
        pairs
    }
}

/// Options that exclude each other have the same group.
fn group(key: &str) -> &str {
    match key {
        "soft" | "hard" | "softerr" => "hard",
        "nolock" | "lock" => "lock",
        "cto" | "nocto" => "cto",
        "ac" | "noac" => "ac",
        "tcp" | "udp" | "proto" => "proto",
        "rdirplus" | "nordirplus" => "rdirplus",
        "acl" | "noacl" => "acl",
        "sharecache" | "nosharecache" => "sharecache",
        "resvport" | "noresvport" => "resvport",
        key => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',')
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn told(options: &Options, version: &str) -> String {
        let pairs = options.for_kernel(version, "10.0.0.1".parse().unwrap());
        let text: Vec<String> = pairs
            .into_iter()
            .map(|(key, value)| value.map_or(key.clone(), |value| format!("{key}={value}")))
            .collect();
        text.join(",")
    }

    #[test]
    fn what_is_given_wins_over_what_is_usual() {
        for (given, version, kernel) in [
            (
                "",
                "4.1",
                "vers=4.1,addr=10.0.0.1,nolock,proto=tcp,hard,nocto,actimeo=10",
            ),
            (
                "",
                "3",
                "vers=3,addr=10.0.0.1,mountaddr=10.0.0.1,mountproto=tcp,nolock,proto=tcp,hard,nocto,actimeo=10",
            ),
            (
                "ro,soft,timeo=30",
                "4.1",
                "vers=4.1,addr=10.0.0.1,nolock,proto=tcp,nocto,actimeo=10,soft,timeo=30",
            ),
            (
                "udp,port=12049,cto,actimeo=60",
                "4.1",
                "vers=4.1,addr=10.0.0.1,nolock,hard,udp,port=12049,cto,actimeo=60",
            ),
            (
                "rw,bg,retry=5,x-systemd.a=b,_netdev,actimeo=1,actimeo=2",
                "4.0",
                "vers=4.0,addr=10.0.0.1,nolock,proto=tcp,hard,nocto,actimeo=2",
            ),
        ] {
            let usual = [&READ_ONLY[..], &MERGED].concat();
            let options = Options::merge(&usual, &[&words(given)]);
            assert_eq!(told(&options, version), kernel, "{given}");
            assert!(options.read_only);
        }
    }

    #[test]
    fn versions_and_our_own_options() {
        for (given, versions) in [
            ("", &["4.1", "3", "4.0"][..]),
            ("nfsvers=3", &["3"]),
            ("vers=4.2", &["4.2"]),
            ("vers=4,minorversion=2", &["4.2"]),
            ("v3", &["3"]),
            ("vers=3,vers=4.1", &["4.1"]),
        ] {
            let options = Options::merge(&STORE, &[&words(given)]);
            assert_eq!(options.versions(), versions, "{given}");
        }
        let options = Options::merge(&STORE, &[&words("readahead=1024"), &words("readahead=64")]);
        assert_eq!((options.readahead, options.read_only), (Some(64), false));
    }

    #[test]
    fn options_of_the_mount_are_not_for_the_file_system() {
        use MountAttrFlags as F;
        for (given, attributes) in [
            ("", NOTHING),
            (
                "nosuid,nodev,noexec",
                F::MOUNT_ATTR_NOSUID | F::MOUNT_ATTR_NODEV | F::MOUNT_ATTR_NOEXEC,
            ),
            ("nosuid,nodev,suid", F::MOUNT_ATTR_NODEV),
            ("noatime", F::MOUNT_ATTR_NOATIME),
            ("noatime,strictatime", F::MOUNT_ATTR_STRICTATIME),
            ("noatime,nodiratime,relatime", F::MOUNT_ATTR_NODIRATIME),
        ] {
            let store = Options::merge(&STORE, &[&words(given)]);
            assert_eq!(store.attributes(), attributes, "{given}");
            assert_eq!(
                told(&store, "4.1"),
                "vers=4.1,addr=10.0.0.1,nolock,proto=tcp,hard",
                "{given}"
            );
            let image = Options::merge(&READ_ONLY, &[&words(given)]);
            assert_eq!(image.attributes(), attributes | F::MOUNT_ATTR_RDONLY);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_what_is_not_known_is_for_the_kernel() {
        for (given, says) in [
            (
                "ro,readahead=abc",
                "readahead=abc: expected readahead=a number of KiB",
            ),
            ("readahead", "a number of KiB"),
            ("timeo=soon", "timeo=soon: expected timeo=a number"),
            ("vers=", "4.1"),
            ("nfsvers=tcp", "4.1"),
        ] {
            let error = check(&words(given)).unwrap_err();
            assert!(error.contains(says), "{given}: {error}");
        }
        // All of nfs(5), and what there may be one day.
        let known = "soft,softreval,nosoftreval,softerr,hard,timeo=600,retrans=2,rsize=32768,wsize=32768,ac,noac,\
            acregmin=1,acregmax=2,acdirmin=3,acdirmax=4,actimeo=5,bg,fg,nconnect=4,max_connect=4,rdirplus,nordirplus,\
            rdirplus=force,retry=3,sec=krb5p,sharecache,nosharecache,resvport,noresvport,lookupcache=pos,fsc,nofsc,\
            fsc=x,sloppy,xprtsec=none,proto=tcp6,tcp,udp,rdma,port=2049,mountport=1,mountproto=tcp,mounthost=h,\
            mountvers=3,namlen=255,lock,nolock,cto,nocto,acl,noacl,local_lock=all,minorversion=1,clientaddr=1.2.3.4,\
            migration,nomigration,trunkdiscovery,notrunkdiscovery,write=eager,context=a:b,vers=4.2,v4.1,banana=1";
        check(&words(known)).unwrap();
        let banana = Options::merge(&STORE, &[&words("banana=1,readahead=x")]);
        assert!(told(&banana, "3").ends_with(",banana=1,readahead=x"));
    }
}
