//! The kernel's command line, in exactly the order and spacing of xCAT (facts §7): nodes' scripts look for some words by
//! the blanks around them.
//!
//! [`seed`] is the form of April 2010, [`redhat`] and [`sles`] are the current ones; [`parts`] are the pieces they share,
//! [`extra`] what an administrator adds.

pub mod extra;
pub mod parts;
pub mod redhat;
pub mod seed;
pub mod sles;

use super::facts::Facts;
use super::image::Family;
use super::{BootError, Era};

/// Where the words of linuximage.addkcmdline go, and how a loader has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Taken apart into words; those that begin with `R::` are for installed systems and left out. Each is followed by a
    /// blank (pxe, xnba, grub2).
    Words,
    /// As they are (petitboot, yaboot, and every loader of 2010).
    AsIs,
}

/// The command line of a node. `facing` takes the place of the address of this host that faces the node.
///
/// # Errors
/// [`BootError`] when an address is needed and not known, or a value is bad.
pub fn line(facts: &Facts<'_>, facing: Option<&str>, added: Added) -> Result<String, BootError> {
    let servers = facts.servers(facing)?;
    let mut line = match (facts.era, facts.image.family()) {
        (Era::Seed2010, _) => seed::line(facts, &servers),
        (Era::Current, Family::Sles) => sles::line(facts, &servers),
        (Era::Current, Family::RedHat | Family::Debian) => redhat::line(facts, &servers),
    };
    let words = extra::words(facts)?;
    line += &extra::mode(facts, &words);
    if !words.is_empty() {
        let added = if facts.era == Era::Seed2010 {
            Added::AsIs
        } else {
            added
        };
        line.push(' ');
        line += &match added {
            Added::Words => extra::volatile(&words),
            Added::AsIs => words,
        };
    }
    Ok(line)
}
