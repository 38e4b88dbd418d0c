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
use super::loader::{Loader, Misreads};
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

impl Added {
    /// The words as the loader has them in that era.
    #[must_use]
    pub fn of(self, words: &str, era: Era) -> String {
        match (self, era) {
            (Self::Words, Era::Current) => extra::volatile(words),
            _ => words.to_owned(),
        }
    }
}

/// The command line of a node, as a loader has it. `facing` takes the place of the address of this host that faces the node.
///
/// # Errors
/// [`BootError`] when an address is needed and not known, or a value is bad or not for this loader.
pub fn line(facts: &Facts<'_>, facing: Option<&str>, loader: &Loader) -> Result<String, BootError> {
    let servers = facts.servers(facing)?;
    let mut line = match (facts.era, facts.image.family()) {
        (Era::Seed2010, _) => seed::line(facts, &servers),
        (Era::Current, Family::Sles) => sles::line(facts, &servers),
        (Era::Current, Family::RedHat | Family::Debian) => redhat::line(facts, &servers),
    };
    let words = extra::words(facts)?;
    line += &extra::mode(facts, &words);
    let words = loader.added.of(&words, facts.era);
    // What stands for an address is meant for the loader.
    let own = match facing {
        Some(facing) => line.replace(facing, ""),
        None => line.clone(),
    };
    readable(&words, &own, loader.misreads)?;
    if !words.is_empty() {
        line.push(' ');
        line += &words;
    }
    Ok(line)
}

/// Checks that the loader hands these words of addkcmdline, and the rest of a line, to the kernel as they are.
///
/// # Errors
/// [`BootError::Value`] with the words, or the part of the line that it is about.
pub fn readable(words: &str, line: &str, misreads: Misreads) -> Result<(), BootError> {
    let refused = |column, value: &str, why: &str| BootError::Value {
        column,
        value: value.trim_end().escape_debug().to_string(),
        why: why.to_owned(),
    };
    if let Some(why) = misreads(words) {
        return Err(refused("linuximage.addkcmdline", words, why));
    }
    for word in line.split_whitespace() {
        if let Some(why) = misreads(word) {
            return Err(refused("a part of the kernel's command line", word, why));
        }
    }
    Ok(())
}
