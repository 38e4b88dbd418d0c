//! How one rule is done: two links, a copy, or only a name inside of what another rule did.

use super::LiteError;
use super::look::{Kind, Look, split};
use super::plan::{OWN, Planner, STORE, VIA};
use super::state::Record;
use super::world::Seen;

/// The one file that is left alone when it leads where it should.
const MTAB: &str = "etc/mtab";

/// `..` for each directory between the root and a name, `.` for none.
fn up(path: &str) -> String {
    match path.matches('/').count() {
        0 => ".".to_owned(),
        count => vec![".."; count].join("/"),
    }
}

/// The text of the link in the image: it stands at `at` and is for the row `path`.
pub(super) fn link_text(at: &str, path: &str) -> String {
    format!("{}/{VIA}/{path}", up(at))
}

/// The text of the second link, below `.statelite/tmpfs`.
pub(super) fn via_text(path: &str) -> String {
    format!("../../{}/{STORE}/{path}", up(path))
}

impl<L: Look + ?Sized> Planner<'_, L> {
    /// Whether the row is `/etc/mtab` and that leads to the kernel's table already.
    pub(super) fn proc_mtab(&self, record: &Record) -> Result<bool, LiteError> {
        if record.path != MTAB {
            return Ok(false);
        }
        let link = self.world.seen(&record.at)?.and_then(|seen| seen.link);
        let link = link.unwrap_or_default();
        let target = link.trim_start_matches("../").trim_start_matches('/');
        Ok(matches!(target, "proc/self/mounts" | "proc/mounts"))
    }

    /// Two links: the path leads below `.statelite/tmpfs`, which in the image leads below `.default`.
    pub(super) fn link(&mut self, record: &mut Record) -> Result<(), LiteError> {
        let Record { path, at, .. } = &*record;
        let store = format!("{STORE}/{path}");
        let text = link_text(at, path);
        let seen = self.world.seen(at)?;
        self.second_link(path)?;
        match &seen {
            Some(seen) if seen.ours() => {
                let old = seen.link.as_deref().unwrap_or_default();
                if old != text {
                    self.world.unlink(at, old)?;
                    self.world.symlink(at, &text)?;
                }
            }
            Some(seen) => {
                self.expect(record, seen);
                self.put_away(&store, record.made)?;
                self.world.rename(&record.at, &store)?;
                self.world.symlink(&record.at, &text)?;
                record.made = false;
            }
            None => self.world.symlink(at, &text)?,
        }
        if self.world.seen(&store)?.is_none() {
            self.world.make(&store, record.directory)?;
            record.made = true;
        }
        Ok(())
    }

    fn second_link(&mut self, path: &str) -> Result<(), LiteError> {
        let (via, text) = (format!("{VIA}/{path}"), via_text(path));
        match self.world.seen(&via)? {
            Some(seen) if seen.link.as_deref() == Some(&*text) => return Ok(()),
            Some(Seen {
                link: Some(old), ..
            }) => self.world.unlink(&via, &old)?,
            Some(_) => self.put_away(&via, true)?,
            None => {}
        }
        self.world.symlink(&via, &text)
    }

    /// The thing stays where it is, and is made if it is not there. The copy comes later.
    pub(super) fn bind(&mut self, record: &mut Record) -> Result<(), LiteError> {
        match self.world.seen(&record.at)? {
            Some(seen) if seen.ours() => {
                self.back(&record.path, &record.at, record.made, record.directory)?;
                if self.world.seen(&record.at)?.is_none() {
                    self.make(record)?;
                }
            }
            Some(seen) => self.expect(record, &seen),
            None => self.make(record)?,
        }
        Ok(())
    }

    /// The copy of a bind rule, if it is not what it should be. `known` if liteimg made the one that is there.
    pub(super) fn store_copy(&mut self, record: &Record, known: bool) -> Result<(), LiteError> {
        let store = format!("{STORE}/{}", record.path);
        if self.world.seen(&store)?.is_some() {
            if self.world.same(&record.at, &store)? {
                return Ok(());
            }
            if known {
                self.world.discard(&store)?;
            } else {
                self.put_away(&store, true)?;
            }
        }
        self.world.copy(&record.at, &store)
    }

    /// Only the name has to exist.
    pub(super) fn inside(&mut self, record: &mut Record) -> Result<(), LiteError> {
        match self.world.seen(&record.at)? {
            Some(seen) => self.expect(record, &seen),
            None => self.make(record)?,
        }
        Ok(())
    }

    fn make(&mut self, record: &mut Record) -> Result<(), LiteError> {
        self.world.make(&record.at, record.directory)?;
        record.made = true;
        Ok(())
    }

    /// Warns when a thing is not what its row says.
    fn expect(&mut self, record: &Record, seen: &Seen) {
        let path = &record.path;
        match (seen.kind, &seen.link) {
            (Kind::Link, Some(text)) if !text.starts_with('/') => self.warnings.push(format!(
                "/{path} is a relative link ({text}) in the image: at its new place it leads elsewhere; list what it leads to instead"
            )),
            (Kind::Link, _) | (Kind::Dir, _) => {}
            _ if record.directory => self.warnings.push(format!(
                "/{path} is listed as a directory, but is none in the image"
            )),
            _ => {}
        }
    }

    /// Clears a name that something new will have. Nothing is lost: what has content goes to `.statelite/replaced`.
    pub(super) fn put_away(&mut self, path: &str, made: bool) -> Result<(), LiteError> {
        if self.world.seen(path)?.is_none() || made && self.world.remove_empty(path)? {
            return Ok(());
        }
        let mut number = 1;
        let to = loop {
            let to = format!("{OWN}/replaced/{number}");
            if self.world.seen(&to)?.is_none() {
                break to;
            }
            number += 1;
        };
        let to = format!("{to}/{}", split(path).1);
        self.warnings
            .push(format!("{path} was in the way and is now {to}"));
        self.world.rename(path, &to)
    }
}
