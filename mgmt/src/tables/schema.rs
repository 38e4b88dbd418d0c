//! Every table, defined once: columns in the order of `tabdump`, keys, what must be given, and what it means.
//!
//! Names and order are those of current xCAT (facts §1), so that its dumps load and ours load there. `mntopts` and
//! `nfsrootopts` do not exist in older releases; a dump without them is read all the same.

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The name, as in the header of a dump.
    pub name: &'static str,
    /// Whether a row must have a value here.
    pub required: bool,
    /// What it means, in a line.
    pub help: &'static str,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The name.
    pub name: &'static str,
    /// The columns in the order of a dump.
    pub columns: &'static [Column],
    /// The columns that together tell rows apart.
    pub keys: &'static [&'static str],
    /// What it is for, in a line.
    pub help: &'static str,
}

impl Table {
    /// The place of a column.
    #[must_use]
    pub fn index(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// Whether its rows are about nodes and groups, with the node's own row before its groups'.
    #[must_use]
    pub fn by_node(&self) -> bool {
        self.keys == ["node"]
    }
}

/// The table of this name.
#[must_use]
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().copied().find(|table| table.name == name)
}

const fn need(name: &'static str, help: &'static str) -> Column {
    Column {
        name,
        required: true,
        help,
    }
}

const fn may(name: &'static str, help: &'static str) -> Column {
    Column {
        name,
        required: false,
        help,
    }
}

const COMMENTS: Column = may("comments", "for people");
const DISABLE: Column = may("disable", "blank, 0 and no keep the row live");

/// Every table.
pub const TABLES: &[&Table] = &[
    &LITEFILE,
    &LITETREE,
    &STATELITE,
    &POLICY,
    &NODELIST,
    &NODEGROUP,
    &NODERES,
    &NODETYPE,
    &NODEHM,
    &MAC,
    &HOSTS,
    &NODEPOS,
    &OSIMAGE,
    &LINUXIMAGE,
    &POSTSCRIPTS,
    &PASSWD,
    &SITE,
];

/// Which paths live where.
pub const LITEFILE: Table = Table {
    name: "litefile",
    columns: &[
        need(
            "image",
            "osimage name, osimage group, ALL, or blank for every image",
        ),
        need(
            "file",
            "absolute path; a trailing slash makes it a directory rule",
        ),
        may(
            "options",
            "option words of the dialect in force; blank means tmpfs,rw",
        ),
        COMMENTS,
        DISABLE,
    ],
    keys: &["image", "file"],
    help: "Which paths live where",
};

/// Read-only trees that initial content comes from.
pub const LITETREE: Table = Table {
    name: "litetree",
    columns: &[
        need("priority", "number; the smallest is searched first"),
        may(
            "image",
            "osimage name, osimage group, ALL, or blank for every image",
        ),
        need(
            "directory",
            "server:dir, with $node, $table.column, $site.key and #CMD=...#",
        ),
        may("mntopts", "mount options, comma separated"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["priority"],
    help: "Read-only trees that initial content comes from",
};

/// Where a node's persistent state is kept.
pub const STATELITE: Table = Table {
    name: "statelite",
    columns: &[
        need("node", "node or group"),
        may("image", "ignored"),
        need(
            "statemnt",
            "server:dir; the node's data is in the directory NODE below it",
        ),
        may("mntopts", "mount options, comma separated"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Where a node's persistent state is kept",
};

/// Who may ask what.
pub const POLICY: Table = Table {
    name: "policy",
    columns: &[
        need("priority", "number; the first row that matches decides"),
        may(
            "name",
            "user; blank is anyone, also without a name; * needs a name",
        ),
        may("host", "host the request comes from"),
        may(
            "commands",
            "command names, comma separated; blank or * is every command",
        ),
        may("noderange", "nodes the command may name"),
        may("parameters", "arguments the command may have"),
        may("time", "time of day"),
        may("rule", "allow, accept, trusted or deny"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["priority"],
    help: "Who may ask what",
};

/// Every node and its groups.
pub const NODELIST: Table = Table {
    name: "nodelist",
    columns: &[
        need("node", "node name"),
        may("groups", "groups in order of precedence, comma separated"),
        may("status", "state last reported"),
        may("statustime", "when"),
        may("appstatus", "state of applications"),
        may("appstatustime", "when"),
        may("primarysn", "service node in charge"),
        may("hidden", "kept out of listings"),
        may("updatestatus", "state of the last update"),
        may("updatestatustime", "when"),
        may("zonename", "zone for ssh keys"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Every node and its groups",
};

/// Groups besides those of the nodelist table.
pub const NODEGROUP: Table = Table {
    name: "nodegroup",
    columns: &[
        need("groupname", "name of the group"),
        may(
            "grouptype",
            "dynamic: the nodes for which wherevals holds; static or blank: the nodes of nodelist.groups, members and \
             membergroups",
        ),
        may(
            "members",
            "static group: more nodes, comma separated; the words static and dynamic, which xCAT puts here, name none",
        ),
        may(
            "membergroups",
            "static group: groups whose nodes belong to it, comma separated",
        ),
        may(
            "wherevals",
            "dynamic group: ATTR==VALUE, !=, =~REGEX or !~REGEX; A::B needs both, A||B one of them; ATTR is \
             table.column, or a column's name alone",
        ),
        COMMENTS,
        DISABLE,
    ],
    keys: &["groupname"],
    help: "Groups besides those of the nodelist table",
};

/// What a node boots with and from.
pub const NODERES: Table = Table {
    name: "noderes",
    columns: &[
        need("node", "node or group"),
        may("servicenode", "service nodes, comma separated"),
        may(
            "netboot",
            "boot loader: pxe, xnba, grub2, grub2-http, grub2-tftp, petitboot, yaboot",
        ),
        may("tftpserver", "server of boot files"),
        may("tftpdir", "root of boot files"),
        may("nfsserver", "server of the image"),
        may("monserver", "server of monitoring"),
        may("nfsdir", "directory of the image on its server"),
        may("installnic", "interface to boot over"),
        may("primarynic", "interface for everything else"),
        may("discoverynics", "interfaces for discovery"),
        may("cmdinterface", "not used"),
        may("xcatmaster", "the node's master as the node sees it"),
        may("current_osimage", "not used"),
        may("next_osimage", "not used"),
        may("nimserver", "not used"),
        may("routenames", "routes"),
        may("nameservers", "name servers"),
        may("proxydhcp", "whether proxy DHCP answers"),
        may("syslog", "whether logs go to the master"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "What a node boots with and from",
};

/// Operating system and image of a node.
pub const NODETYPE: Table = Table {
    name: "nodetype",
    columns: &[
        need("node", "node or group"),
        may("os", "operating system and version"),
        may("arch", "architecture"),
        may("profile", "profile"),
        may("provmethod", "osimage name, or install, netboot, statelite"),
        may("supportedarchs", "architectures it could run"),
        may("nodetype", "kind of node"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Operating system and image of a node",
};

/// Power and console of a node.
pub const NODEHM: Table = Table {
    name: "nodehm",
    columns: &[
        need("node", "node or group"),
        may("power", "power method"),
        may("mgt", "management method"),
        may("cons", "console method"),
        may("termserver", "terminal server"),
        may("termport", "its port"),
        may("conserver", "host of the console server"),
        may("serialport", "serial port of the console, from 0"),
        may("serialspeed", "its speed, baud"),
        may("serialflow", "hard or none"),
        may("getmac", "how MAC addresses are found"),
        may("cmdmapping", "command mapping file"),
        may("consoleondemand", "whether consoles connect on demand"),
        may("consoleenabled", "whether the console is configured"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Power and console of a node",
};

/// Addresses on the wire.
pub const MAC: Table = Table {
    name: "mac",
    columns: &[
        need("node", "node or group"),
        may("interface", "interface"),
        may("mac", "MAC addresses: MAC[!HOST][|...]"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Addresses on the wire",
};

/// Addresses of nodes.
pub const HOSTS: Table = Table {
    name: "hosts",
    columns: &[
        need("node", "node or group"),
        may("ip", "IP address"),
        may("hostnames", "other names"),
        may("otherinterfaces", "NAME:ADDRESS, comma separated"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Addresses of nodes",
};

/// Where a node stands.
pub const NODEPOS: Table = Table {
    name: "nodepos",
    columns: &[
        need("node", "node or group"),
        may("rack", "rack"),
        may("u", "unit"),
        may("chassis", "chassis"),
        may("slot", "slot"),
        may("room", "room"),
        may("height", "height in units"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Where a node stands",
};

/// Images.
pub const OSIMAGE: Table = Table {
    name: "osimage",
    columns: &[
        need("imagename", "name"),
        may("groups", "groups, compared as one string by litefile"),
        may("profile", "profile"),
        may("imagetype", "linux"),
        may("description", "for people"),
        may("provmethod", "statelite, netboot or install"),
        may("rootfstype", "nfs or ramdisk"),
        may("osdistroname", "distribution"),
        may("osupdatename", "updates"),
        may("cfmdir", "directory of configuration"),
        may("osname", "Linux"),
        may("osvers", "operating system and version"),
        may("osarch", "architecture"),
        may("synclists", "file of synchronised files"),
        may("postscripts", "scripts"),
        may("postbootscripts", "scripts after boot"),
        may("serverrole", "role"),
        may("isdeletable", "whether it may go"),
        may("kitcomponents", "kits"),
        may("environvar", "environment"),
        may("nfsrootopts", "mount options of the root, comma separated"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["imagename"],
    help: "Images",
};

/// What a Linux image is made of.
pub const LINUXIMAGE: Table = Table {
    name: "linuximage",
    columns: &[
        need("imagename", "name"),
        may("template", "install template"),
        may("boottarget", "boot target"),
        may("addkcmdline", "more kernel arguments"),
        may("pkglist", "file of packages"),
        may("pkgdir", "directory or URL of packages"),
        may("otherpkglist", "file of other packages"),
        may("otherpkgdir", "directory of other packages"),
        may("exlist", "file of paths left out of a packed image"),
        may("postinstall", "script run after installation"),
        may(
            "rootimgdir",
            "directory that holds rootimg, kernel and initrd",
        ),
        may("kerneldir", "directory of kernels"),
        may("nodebootif", "interface the node boots over"),
        may("otherifce", "more interfaces"),
        may("netdrivers", "network drivers for the initrd"),
        may("kernelver", "kernel version"),
        may("krpmver", "kernel package"),
        may("permission", "mode of the root of the volatile store"),
        may("dump", "dump target"),
        may("crashkernelsize", "memory for the crash kernel"),
        may("partitionfile", "layout of the local disk"),
        may("driverupdatesrc", "driver updates"),
        may("usercomment", "for people"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["imagename"],
    help: "What a Linux image is made of",
};

/// Scripts a node runs.
pub const POSTSCRIPTS: Table = Table {
    name: "postscripts",
    columns: &[
        need("node", "node or group, xcatdefaults or service"),
        may("postscripts", "scripts, comma separated"),
        may("postbootscripts", "scripts after boot, comma separated"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["node"],
    help: "Scripts a node runs",
};

/// Passwords; liteimg reads that of root for the key `system`.
pub const PASSWD: Table = Table {
    name: "passwd",
    columns: &[
        need("key", "what it is for; system is root of an image"),
        may("username", "user"),
        may(
            "password",
            "hash as in a shadow file, made by openssl passwd -6; clear text is not used",
        ),
        may("cryptmethod", "not used"),
        may("authdomain", "not used"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["key", "username"],
    help: "Passwords; liteimg reads that of root for the key system",
};

/// Settings of the site.
pub const SITE: Table = Table {
    name: "site",
    columns: &[
        need("key", "setting"),
        may("value", "value"),
        COMMENTS,
        DISABLE,
    ],
    keys: &["key"],
    help: "Settings of the site",
};
