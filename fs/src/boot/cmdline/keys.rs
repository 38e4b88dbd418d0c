//! The words of the kernel command line that mean something here, each defined once: help and
//! manual are made from this table.

/// Who gave a word its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// xCAT's first release with statelite.
    Seed2010,
    /// xCAT since, and dracut.
    Current,
    /// This program.
    Own,
}

/// One word.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The word before `=`.
    pub name: &'static str,
    /// What stands after `=`; empty for a bare word.
    pub value: &'static str,
    /// Who gave it its meaning.
    pub era: Era,
    /// What it does.
    pub help: &'static str,
}

const fn key(name: &'static str, value: &'static str, era: Era, help: &'static str) -> Key {
    Key {
        name,
        value,
        era,
        help,
    }
}

/// All words.
pub const KEYS: [Key; 29] = [
    key(
        "NFSROOT",
        "SERVER:DIR",
        Era::Seed2010,
        "the image is DIR/rootimg on SERVER",
    ),
    key(
        "STATEMNT",
        "SERVER:DIR",
        Era::Seed2010,
        "persistent files of this node are in DIR/NODE on SERVER; blank: there are none",
    ),
    key(
        "XCAT",
        "HOST[:PORT]",
        Era::Seed2010,
        "the management server; port 3001 unless given",
    ),
    key(
        "shell",
        "",
        Era::Seed2010,
        "a shell at three places: before the stores are mounted, after, and before the node's own init",
    ),
    key(
        "root",
        "nfs:SERVER:DIR[:OPTIONS]",
        Era::Current,
        "the image and its mount options; also nfs4: (NFS 4.1 unless vers= is there), SERVER:DIR, or /dev/nfs with nfsroot=",
    ),
    key(
        "nfsroot",
        "SERVER:DIR[,OPTIONS]",
        Era::Current,
        "the image, as the kernel's own NFS root has it",
    ),
    key(
        "NODE",
        "NAME",
        Era::Current,
        "this node's name; else its host name up to the first dot",
    ),
    key(
        "MNTOPTS",
        "OPTIONS",
        Era::Current,
        "mount options of the persistent store, over the usual ones, one by one",
    ),
    key(
        "nonodestatus",
        "",
        Era::Current,
        "the management server is not told that this node boots",
    ),
    key(
        "XCATHTTPPORT",
        "PORT",
        Era::Current,
        "read and not needed here",
    ),
    key(
        "PARTITION_RH",
        "",
        Era::Current,
        "partition the local disk: not done here, a warning says so",
    ),
    key("PARTITION_SLES", "", Era::Current, "the same"),
    key(
        "BOOTIF",
        "[01-]MAC",
        Era::Current,
        "the network card with this address",
    ),
    key(
        "netdev",
        "NAME",
        Era::Current,
        "the network card with this name",
    ),
    key(
        "ip",
        "dhcp | off | NAME:dhcp | ADDRESS::GATEWAY:MASK:HOST:NAME:none",
        Era::Current,
        "how the network is configured (bare initramfs only); off: it is left as it is, and not waited for",
    ),
    key(
        "nameserver",
        "ADDRESS",
        Era::Current,
        "a name server (repeatable)",
    ),
    key(
        "init",
        "PATH",
        Era::Current,
        "the program that becomes process 1 of the node (bare initramfs only) [/sbin/init]",
    ),
    key(
        "statelite.mode",
        "fuse | links",
        Era::Own,
        "merge with FUSE, or link and bind-mount as xCAT does [fuse]",
    ),
    key(
        "statelite.dialect",
        "current | 2010",
        Era::Own,
        "meaning of the option words [current]",
    ),
    key(
        "statelite.root",
        "SERVER:DIR",
        Era::Own,
        "the image itself (no rootimg is added); wins over root= and NFSROOT=",
    ),
    key(
        "statelite.nfsopts",
        "OPTIONS",
        Era::Own,
        "mount options of image and trees, over those of root=",
    ),
    key(
        "statelite.image",
        "NAME",
        Era::Own,
        "name of the image, for rows of embedded tables",
    ),
    key(
        "statelite.freshness",
        "live | published",
        Era::Own,
        "how soon edits on the server show [live]",
    ),
    key(
        "statelite.implied",
        "systemd | none",
        Era::Own,
        "what is volatile without a row: what systemd writes while it boots [systemd]",
    ),
    key(
        "statelite.policy",
        "server | file:DIR",
        Era::Own,
        "ask the management server, or read tables in the initramfs [server]",
    ),
    key(
        "statelite.volatile",
        "SIZE",
        Era::Own,
        "most memory that volatile files may take, e.g. 512m or 20% [25%; in link mode half of it, as in xCAT]",
    ),
    key(
        "statelite.timeout",
        "SECONDS",
        Era::Own,
        "give up on a server after this time; without it a node waits for image and persistent store for ever, and for a policy 120 seconds if it has saved one, else for ever",
    ),
    key(
        "statelite.reboot",
        "SECONDS",
        Era::Own,
        "when booting has failed and there is no shell, start again after this time [60]",
    ),
    key("statelite.debug", "", Era::Own, "tell everything"),
];

/// The table as lines of text, for `--help`.
pub fn help() -> String {
    let mut text = String::from("Words on the kernel command line:\n");
    for key in &KEYS {
        let word = match key.value {
            "" => key.name.to_owned(),
            value => format!("{}={value}", key.name),
        };
        text.push_str(&format!("\n  {word}\n          {}\n", key.help));
    }
    text
}
