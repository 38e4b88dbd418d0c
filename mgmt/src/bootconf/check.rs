//! Which values can be put into a boot file at all.
//!
//! A value with a line break would add lines of its own to a boot file, one with a blank would add kernel arguments. The
//! same rules judge a value when it is set and when it is used.

use super::image::Image;
use super::{BootError, mac};

/// What a server column holds when it means "not set".
pub(crate) const MASTER_WORD: &str = "<xcatmaster>";

/// A rule: what is wrong with a value, if anything is.
pub type Rule = fn(&str) -> Option<String>;

/// The columns that reach boot files, and the rule for each.
pub const RULES: &[(&str, &str, Rule)] = &[
    ("osimage", "nfsrootopts", nfsrootopts),
    ("osimage", "rootfstype", rootfstype),
    ("linuximage", "addkcmdline", arguments),
    ("linuximage", "nodebootif", word),
    ("linuximage", "dump", word),
    ("linuximage", "crashkernelsize", word),
    ("linuximage", "rootimgdir", directory),
    ("noderes", "nfsserver", host),
    ("noderes", "tftpserver", host),
    ("noderes", "xcatmaster", host),
    ("noderes", "nfsdir", directory),
    ("noderes", "tftpdir", tftpdir),
    ("noderes", "installnic", word),
    ("noderes", "primarynic", word),
    ("noderes", "netboot", loader),
    ("nodehm", "serialport", number),
    ("nodehm", "serialspeed", number),
    ("mac", "mac", macs),
    ("statelite", "mntopts", word),
    ("site", "httpport", port),
    ("site", "xcatdport", port),
    ("site", "httpmethod", httpmethod),
    ("site", "useflowcontrol", word),
    ("site", "tftpdir", tftpdir),
    ("site", "installdir", directory),
    ("site", "master", host),
    ("site", "statelitemode", mode),
];

/// What is wrong with a value of a column (for the site table: of a setting) that reaches boot files; `None` when
/// nothing is, or no boot file depends on it. An empty value is never wrong, and neither is a substitution, which is
/// judged when it is applied.
#[must_use]
pub fn value(table: &str, column: &str, value: &str) -> Option<String> {
    let (_, _, rule) = RULES.iter().find(|(t, c, _)| (*t, *c) == (table, column))?;
    let substitution = value.starts_with('|') && value.ends_with('|');
    if value.is_empty() || substitution {
        return None;
    }
    rule(value)
}

/// The same as an error.
///
/// # Errors
/// [`BootError::Value`].
pub fn require(column: &'static str, text: &str) -> Result<(), BootError> {
    let parts = column.split_once('.');
    match parts.and_then(|(table, name)| value(table, name, text)) {
        Some(why) => Err(BootError::Value {
            column,
            value: text.escape_debug().to_string(),
            why,
        }),
        None => Ok(()),
    }
}

/// Checks what the tables say about an image.
///
/// # Errors
/// [`BootError::Value`].
pub fn image(image: &Image) -> Result<(), BootError> {
    require("linuximage.rootimgdir", &image.rootimgdir)?;
    for (column, value) in [
        ("osimage.nfsrootopts", &image.nfsrootopts),
        ("linuximage.addkcmdline", &image.addkcmdline),
        ("linuximage.nodebootif", &image.nodebootif),
        ("linuximage.dump", &image.dump),
        ("linuximage.crashkernelsize", &image.crashkernelsize),
    ] {
        require(column, value.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

fn odd(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`\\".contains(c)
}

fn word(value: &str) -> Option<String> {
    let bad = value.contains(odd);
    bad.then(|| {
        "blanks, quotes and control characters cannot be part of a kernel argument".to_owned()
    })
}

fn arguments(value: &str) -> Option<String> {
    let bad = value.contains(|c: char| c.is_control());
    bad.then(|| "line breaks and control characters would break the boot file".to_owned())
}

fn nfsrootopts(value: &str) -> Option<String> {
    if let Some(why) = word(value) {
        return Some(why);
    }
    for option in value.split(',') {
        match option {
            "" => return Some("mount options are separated by single commas".to_owned()),
            "rw" => return Some("rw would let nodes write to the shared image".to_owned()),
            "defaults" => return Some("defaults includes rw".to_owned()),
            _ => {}
        }
    }
    None
}

fn rootfstype(value: &str) -> Option<String> {
    let known = ["nfs", "ramdisk"].contains(&value);
    (!known).then(|| "it is nfs or ramdisk".to_owned())
}

fn host(value: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c);
    let good = value == MASTER_WORD || value.chars().all(allowed);
    (!good).then(|| "it is no host name or address".to_owned())
}

fn directory(value: &str) -> Option<String> {
    if let Some(why) = word(value) {
        return Some(why);
    }
    if !value.starts_with('/') {
        return Some("it is no absolute path".to_owned());
    }
    let dots = value.split('/').any(|part| part == "..");
    dots.then(|| "\"..\" is not allowed in it".to_owned())
}

/// Below it files of nodes are written and removed, also in a directory `etc`.
fn tftpdir(value: &str) -> Option<String> {
    if value.split('/').all(|part| matches!(part, "" | ".")) {
        return Some("it is the root of this host".to_owned());
    }
    directory(value)
}

fn number(value: &str) -> Option<String> {
    let good = value.len() <= 8 && value.bytes().all(|b| b.is_ascii_digit());
    (!good).then(|| "it is no number".to_owned())
}

fn port(value: &str) -> Option<String> {
    let good = value.parse::<u16>().is_ok_and(|port| port != 0);
    (!good).then(|| "it is no port (1 to 65535)".to_owned())
}

fn httpmethod(value: &str) -> Option<String> {
    let good = ["http", "https"].contains(&value);
    (!good).then(|| "it is http or https".to_owned())
}

fn mode(value: &str) -> Option<String> {
    let good = ["fuse", "links"].contains(&value);
    (!good).then(|| "it is fuse or links".to_owned())
}

fn macs(value: &str) -> Option<String> {
    mac::interfaces(value).err().map(|error| error.to_string())
}

fn loader(value: &str) -> Option<String> {
    let known = super::loader::find(value).is_some();
    (!known).then(|| format!("known boot loaders: {}", super::loader::known()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema;

    #[test]
    fn every_rule_is_about_a_column_that_exists() {
        for (table, column, _) in RULES {
            let table = schema::table(table).unwrap();
            assert!(
                table.name == "site" || table.index(column).is_some(),
                "{}.{column}",
                table.name
            );
        }
    }

    #[test]
    fn bad_values_are_refused_with_a_reason() {
        for (table, column, bad, reason) in [
            ("osimage", "nfsrootopts", "rw", "write to the shared image"),
            (
                "osimage",
                "nfsrootopts",
                "nolock,rw",
                "write to the shared image",
            ),
            ("osimage", "nfsrootopts", "defaults", "includes rw"),
            ("osimage", "nfsrootopts", "a, b", "blanks"),
            ("osimage", "nfsrootopts", "a,,b", "single commas"),
            ("osimage", "nfsrootopts", "a,", "single commas"),
            ("osimage", "rootfstype", "ext4", "nfs or ramdisk"),
            (
                "linuximage",
                "addkcmdline",
                "quiet\nLABEL x",
                "break the boot file",
            ),
            ("linuximage", "dump", "a b", "blanks"),
            ("noderes", "nfsserver", "srv init=/bin/sh", "no host name"),
            ("noderes", "nfsdir", "install", "absolute"),
            ("noderes", "tftpdir", "/tftpboot/../etc", "\"..\""),
            ("noderes", "tftpdir", "/./", "root of this host"),
            ("noderes", "netboot", "lilo", "pxe"),
            ("nodehm", "serialport", "ttyS0", "no number"),
            ("mac", "mac", "52:54:00", "no MAC address"),
            ("statelite", "mntopts", "soft hard", "blanks"),
            ("site", "httpport", "0", "no port"),
            ("site", "httpport", "99999", "no port"),
            ("site", "httpmethod", "ftp", "http or https"),
            ("site", "statelitemode", "symlinks", "fuse or links"),
        ] {
            let why = value(table, column, bad)
                .unwrap_or_else(|| panic!("{table}.{column} {bad:?} is taken"));
            assert!(why.contains(reason), "{table}.{column} {bad:?}: {why}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        for (table, column, good) in [
            ("osimage", "nfsrootopts", "nfsvers=3,nolock,actimeo=600"),
            (
                "linuximage",
                "addkcmdline",
                "quiet R::x=1 #NODEATTRIB:nodetype:os#",
            ),
            ("noderes", "nfsserver", "<xcatmaster>"),
            ("noderes", "nfsserver", "[fe80::1%eth0]"),
            ("noderes", "nfsserver", "|n(\\d+)|10.0.0.$1|"),
            ("noderes", "nfsdir", "//vol/images"),
            ("noderes", "netboot", "grub2-http"),
            ("nodehm", "serialport", "0"),
            (
                "mac",
                "mac",
                "52:54:00:12:34:56!n01|52:54:00:12:34:57!*NOIP*",
            ),
            ("nodelist", "status", "any thing"),
            ("site", "httpport", ""),
        ] {
            assert_eq!(
                value(table, column, good),
                None,
                "{table}.{column} {good:?}"
            );
        }
    }
}
