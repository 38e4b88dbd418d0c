//! The boot loaders: each defined once, in a file of its own; [`LOADERS`] is all of them.
//!
//! A loader says which values of noderes.netboot mean it, which files a node has and what is in them, and under which
//! other names firmware asks for them. Paths are relative to tftpdir. What is the same for all (replacing files, removing
//! what is stale, reading the state) is done by [`super::write`] from these definitions.

pub mod grub2;
pub mod httpboot;
pub mod ipxe;
pub mod petitboot;
pub mod pxe;
pub mod xnba;
pub mod yaboot;

use super::BootError;
use super::cmdline::Added;
use super::facts::{Facts, KnownAs};

/// A boot loader.
#[derive(Debug)]
pub struct Loader {
    /// Its name.
    pub name: &'static str,
    /// The values of noderes.netboot that mean it.
    pub netboot: &'static [&'static str],
    /// What it is, in a line.
    pub help: &'static str,
    /// The directory of its files.
    pub dir: &'static str,
    /// What follows the node's name in the names of its files; the first is the file that has the state.
    pub suffixes: &'static [&'static str],
    /// The line of that file with the state after `#`, from 0.
    pub state_line: usize,
    /// The state of a node that has no file.
    pub absent: &'static str,
    /// The directories of the aliases, where stale ones are looked for.
    pub alias_dirs: &'static [&'static str],
    /// The files of a node that boots an image.
    pub files: fn(&Boot<'_>) -> Result<Vec<BootFile>, BootError>,
    /// The text of its file when the node boots from its own disk.
    pub local: fn() -> String,
    /// The other names of a node's file, for a node that boots an image; those that need what is not known are left out.
    pub aliases: fn(&KnownAs) -> Vec<Alias>,
    /// What must be known of a node for firmware to find its file.
    pub needs: Needs,
    /// How it has the words of linuximage.addkcmdline.
    pub added: Added,
    /// Why it would not hand these kernel arguments to the kernel as they are.
    pub misreads: Misreads,
}

/// Why a loader would not hand kernel arguments to the kernel as they are.
pub type Misreads = fn(&str) -> Option<&'static str>;

/// For loaders that take a line as it is.
fn as_is(_: &str) -> Option<&'static str> {
    None
}

/// For loaders with the arguments between double quotes, in the language of LILO.
fn quoted(arguments: &str) -> Option<&'static str> {
    let why =
        "this loader has the command line between double quotes, so it can hold neither \" nor \\";
    arguments.contains(['"', '\\']).then_some(why)
}

/// For iPXE, whose scripts end a command at some words and fill in settings.
fn ipxe_script(arguments: &str) -> Option<&'static str> {
    let mut words = arguments.split_whitespace();
    let own = |word: &str| matches!(word, "||" | "&&" | ";") || word.starts_with('#');
    let taken = words.any(own) || arguments.contains("${");
    taken.then_some(
        "iPXE takes the words || && ; and those that begin with # as its own, and fills in ${...}",
    )
}

/// What must be known of a node for firmware to find its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but its name: the DHCP server names the file.
    Name,
    /// An IPv4 address.
    Address,
}

impl Needs {
    /// Checks that it is known.
    ///
    /// # Errors
    /// [`BootError::NoAddress`].
    pub fn met(self, loader: &'static str, known_as: &KnownAs) -> Result<(), BootError> {
        match self {
            Self::Address if known_as.addresses.is_empty() => Err(BootError::NoAddress(loader)),
            Self::Name | Self::Address => Ok(()),
        }
    }
}

/// What a loader's functions get.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// The node.
    pub facts: &'a Facts<'a>,
    /// The state, which is the first line: `statelite OS-ARCH-PROFILE`.
    pub state: &'a str,
    /// The value of noderes.netboot.
    pub netboot: &'a str,
}

/// A file below tftpdir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFile {
    /// What follows the node's name.
    pub suffix: &'static str,
    /// All of its text.
    pub text: String,
}

/// Another name of a node's first file, or a link that the loader needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alias {
    /// A hard link: some firmware's TFTP servers do not follow symbolic ones.
    Hard(String),
    /// A symbolic link with this target.
    Symbolic(String, String),
    /// A symbolic link that is there while an image is booted, and not when the node boots from its own disk.
    Loader(String, String),
    /// A symbolic link that all nodes share: it stays when a node goes.
    Shared(String, String),
}

impl Alias {
    /// Its path below tftpdir.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Hard(path)
            | Self::Symbolic(path, _)
            | Self::Loader(path, _)
            | Self::Shared(path, _) => path,
        }
    }
}

impl Loader {
    /// A file of a node, below tftpdir.
    #[must_use]
    pub fn path(&self, node: &str, suffix: &str) -> String {
        format!("{}/{node}{suffix}", self.dir)
    }

    /// The state that the text of a node's first file says.
    #[must_use]
    pub fn state(&self, text: &str) -> String {
        let line = text.lines().nth(self.state_line).unwrap_or_default();
        line.strip_prefix('#').unwrap_or(line).trim().to_owned()
    }
}

/// Every loader.
pub static LOADERS: &[&Loader] = &[
    &pxe::LOADER,
    &xnba::LOADER,
    &ipxe::LOADER,
    &grub2::LOADER,
    &httpboot::LOADER,
    &petitboot::LOADER,
    &yaboot::LOADER,
];

/// The loader of a value of noderes.netboot.
#[must_use]
pub fn find(netboot: &str) -> Option<&'static Loader> {
    let mut loaders = LOADERS.iter().copied();
    loaders.find(|loader| loader.netboot.contains(&netboot))
}

/// The values of noderes.netboot, for messages.
#[must_use]
pub fn known() -> String {
    let names = LOADERS.iter().flat_map(|loader| loader.netboot);
    names.copied().collect::<Vec<_>>().join(", ")
}

/// The hexadecimal names of a node's addresses.
fn hexips(known_as: &KnownAs) -> impl Iterator<Item = String> {
    known_as.addresses.iter().map(|ip| super::names::hexip(*ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_value_of_netboot_means_one_loader() {
        let all: Vec<_> = LOADERS.iter().flat_map(|loader| loader.netboot).collect();
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), different.len());
        for loader in LOADERS {
            assert!(loader.netboot.contains(&loader.name), "{}", loader.name);
            assert_eq!(loader.suffixes.first(), Some(&""), "{}", loader.name);
            assert!(known().contains(loader.name));
        }
        assert!(find("lilo").is_none());
    }

    #[test]
    fn arguments_that_a_loader_would_take_as_its_own() {
        for (text, wanted) in [
            ("quiet a=b,c -- x=(1) a#b *", ""),
            ("a\"b", "grub2 httpboot petitboot yaboot"),
            ("it's", "grub2 httpboot"),
            ("$x", "grub2 httpboot"),
            ("a\\", "grub2 httpboot yaboot"),
            ("#x", "xnba ipxe grub2 httpboot"),
            ("a=1 #x", "xnba ipxe grub2 httpboot"),
            ("|| sh", "xnba ipxe grub2 httpboot"),
            ("a && b", "xnba ipxe grub2 httpboot"),
            ("a ; b", "xnba ipxe grub2 httpboot"),
            ("a;b", "grub2 httpboot"),
            ("x={", "grub2 httpboot"),
            ("${net0/ip}", "xnba ipxe grub2 httpboot"),
        ] {
            let names = LOADERS
                .iter()
                .filter(|loader| (loader.misreads)(text).is_some())
                .map(|loader| loader.name);
            assert_eq!(names.collect::<Vec<_>>().join(" "), wanted, "{text}");
        }
    }

    #[test]
    fn the_state_is_read_from_its_line() {
        assert_eq!(
            pxe::LOADER.state("#statelite a-b-c\nDEFAULT"),
            "statelite a-b-c"
        );
        assert_eq!(xnba::LOADER.state("#!gpxe\n#boot\nexit\n"), "boot");
        assert_eq!(xnba::LOADER.state("#!gpxe"), "");
    }
}
