//! Link mode: what a stock statelite node does to its root at boot (facts §2, §6), as the baseline to compare with.
//!
//! The image was prepared by liteimg; it is mounted read-only with a tmpfs at `/.statelite`. For every litefile entry
//! the initial content is copied into the tmpfs (or the persistent store), and what is no link of the image gets a bind
//! mount. This is done in the stock order, with the stock copies and mounts and the stock's log lines; its quirks are
//! kept, for a comparison with something better than the original would be none:
//!
//! - of a directory in several trees every copy is made, and the last one wins; in a persistent store and on the local
//!   disk, where what is there is not copied over, the first one; each tree makes a bind mount of its own;
//! - if the last tree that has the directory gives nothing of it, the image's copy is made after the trees' own;
//! - a copy into a directory that is there drops top-level dot files, and without a trailing slash takes siblings that
//!   begin with the same name along;
//! - an entry that is nowhere is said on the console and passed over.
//!
//! | module | question |
//! |---|---|
//! | [`entry`] | which entries there are, and which lie in another one |
//! | [`step`] | what can be done, and its line in the log |
//! | [`place`] | where sources and targets are |
//! | [`current`], [`seed`] | what the options of the two dialects mean |
//! | [`archive`] | `cp -a` |
//! | [`finish`] | what is copied from the initramfs, and `mtab` |
//! | [`options`] | what image, trees and store are mounted with |

pub mod archive;
pub mod current;
pub mod entry;
pub mod finish;
pub mod options;
pub mod place;
pub mod seed;
pub mod step;

use entry::Entry;
use place::Places;
use statelite_policy::Dialect;
use std::io::Write;
use std::path::Path;
use step::Step;

/// Carries out mounts; everything else is done to files directly.
pub trait Hands {
    /// `mount --bind SOURCE TARGET`, read-only if asked.
    ///
    /// # Errors
    /// As `mount(2)`.
    fn bind(&mut self, source: &Path, target: &Path, read_only: bool) -> std::io::Result<()>;
    /// Tells the console.
    fn say(&mut self, message: &str);
}

/// The run over all entries.
pub struct Script<'a> {
    /// Where everything is.
    pub places: &'a Places,
    /// Mounts and console.
    pub hands: &'a mut dyn Hands,
    /// Gets a line for every command.
    pub log: &'a mut dyn Write,
}

impl std::fmt::Debug for Script<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Script({:?})", self.places)
    }
}

impl Script<'_> {
    /// Works through litefile lines (`OPTION PATH`) in their order: first what lies in no other entry, then the rest.
    ///
    /// Leaves the process in `/proc/self/fd`, through which attributes are copied.
    pub fn run(&mut self, lines: &[(String, String)], dialect: Dialect) {
        if let Err(error) = crate::sys::procfd::enter() {
            self.hands.say(&format!("/proc must be mounted: {error}"));
        }
        let entries = entry::sort(lines, dialect);
        for entry in &entries {
            match dialect {
                Dialect::Current => current::handle(self, entry),
                Dialect::Seed2010 => seed::handle(self, entry),
            }
        }
    }

    /// Does a step and logs its line. What fails is said on the console, and the run goes on, as the stock script does.
    pub(super) fn perform(&mut self, step: &Step) {
        if let Err(error) = writeln!(self.log, "{step}") {
            self.hands.say(&format!("statelite.log: {error}"));
        }
        if let Err(error) = step.perform(self.hands) {
            self.hands.say(&format!("{step}: {error}"));
        }
    }

    /// Makes the directory that holds `target`, unless it is there.
    pub(super) fn make_parent(&mut self, target: &str) {
        let Some(parent) = place::parent(target) else {
            return;
        };
        if !Path::new(parent).is_dir() {
            self.perform(&Step::MakeDir(parent.to_owned()));
        }
    }

    /// The same, but a link whatever it leads to counts as being there.
    pub(super) fn make_parent_or_link(&mut self, target: &str) {
        let is_link = |parent: &str| Path::new(parent).is_symlink();
        if !place::parent(target).is_some_and(is_link) {
            self.make_parent(target);
        }
    }

    /// Copies `source` to `target`, into it if it is a directory.
    pub(super) fn copy_into(&mut self, source: &str, target: &str, words: &'static str) {
        self.perform(&Step::Copy {
            words,
            source: source.to_owned(),
            target: target.to_owned(),
            glob: false,
        });
    }

    /// Copies `source` to `target` as the stock script does.
    pub(super) fn copy(&mut self, source: &str, target: &str, words: &'static str) {
        let glob = Path::new(target).is_dir();
        self.perform(&Step::Copy {
            words,
            source: source.to_owned(),
            target: target.to_owned(),
            glob,
        });
    }

    /// Says that an entry has no source.
    pub(super) fn nowhere(&mut self, entry: &Entry) {
        self.hands.say(&format!(
            "{} is in no tree and not in /.default: passed over",
            entry.path
        ));
    }
}

#[cfg(test)]
mod tests;
