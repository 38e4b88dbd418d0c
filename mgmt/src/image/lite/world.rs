//! The image as it will be in the middle of a plan: what is there, and on top of it what the steps so far change.

mod content;

use super::LiteError;
use super::look::{Kind, Look, below, join, split};
use super::step::Step;
use std::collections::{BTreeMap, BTreeSet};

/// Links followed on one path before it counts as circular, as in the kernel.
const MAX_LINKS: usize = 40;

/// What the plan so far makes of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Over {
    /// Nothing.
    Gone,
    /// What the image has under this other name.
    Base(String),
    /// A new directory.
    Dir,
    /// A new empty file.
    File,
    /// A new link.
    Link(String),
    /// A copy of a tree.
    Copy,
}

/// What has a name in the middle of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// Its inode number, unless the plan makes it.
    pub ino: Option<u64>,
    /// Mode, owner and group.
    pub owner: (u32, u32, u32),
    /// Bytes.
    pub size: u64,
    /// Where a link leads.
    pub link: Option<String>,
}

impl Seen {
    fn made(kind: Kind, link: Option<String>) -> Self {
        Self {
            kind,
            ino: None,
            owner: (0o755, 0, 0),
            size: 0,
            link,
        }
    }

    /// Whether it is one of liteimg's links: a link into `.statelite/tmpfs`.
    #[must_use]
    pub fn ours(&self) -> bool {
        let text = self.link.as_deref().unwrap_or_default();
        self.kind == Kind::Link && text.contains(".statelite/tmpfs/")
    }
}

/// An image in the middle of a plan, and the plan.
#[derive(Debug)]
pub struct World<'a, L: ?Sized> {
    look: &'a L,
    over: BTreeMap<String, Over>,
    /// Directories of the image in which something changes, by the names they have in the image, and their times.
    touched: BTreeMap<String, (i64, i64)>,
    /// Directories that liteimg made, in this run or an earlier one.
    pub dirs: BTreeSet<String>,
    /// The steps so far.
    pub steps: Vec<Step>,
}

impl<'a, L: Look + ?Sized> World<'a, L> {
    /// An image before the first step.
    pub fn new(look: &'a L, dirs: BTreeSet<String>) -> Self {
        Self {
            look,
            over: BTreeMap::new(),
            touched: BTreeMap::new(),
            dirs,
            steps: Vec::new(),
        }
    }

    /// The names below a directory that the plan so far changes.
    fn inside(&self, dir: &str) -> Vec<String> {
        if dir.is_empty() {
            return self
                .over
                .keys()
                .filter(|path| !path.is_empty())
                .cloned()
                .collect();
        }
        // All names below `dir` come after `dir/` and before `dir0`, the next character.
        let range = self.over.range(format!("{dir}/")..format!("{dir}0"));
        range.map(|(path, _)| path.clone()).collect()
    }

    /// The name in the image of what now has this name; none if the plan made it.
    fn base(&self, path: &str) -> Option<String> {
        let mut dir = path;
        loop {
            if let Some(over) = self.over.get(dir) {
                let Over::Base(base) = over else { return None };
                let rest = below(path, dir)?;
                return Some(if rest.is_empty() {
                    base.clone()
                } else {
                    join(base, rest)
                });
            }
            if dir.is_empty() {
                return Some(path.to_owned());
            }
            dir = split(dir).0;
        }
    }

    /// What has this name.
    ///
    /// # Errors
    /// As looking at the image; a link that is not UTF-8 is one.
    pub fn seen(&self, path: &str) -> Result<Option<Seen>, LiteError> {
        match self.over.get(path) {
            Some(Over::Gone) => return Ok(None),
            Some(Over::Dir | Over::Copy) => return Ok(Some(Seen::made(Kind::Dir, None))),
            Some(Over::File) => return Ok(Some(Seen::made(Kind::File, None))),
            Some(Over::Link(text)) => {
                return Ok(Some(Seen::made(Kind::Link, Some(text.clone()))));
            }
            Some(Over::Base(_)) | None => {}
        }
        let Some(base) = self.base(path) else {
            return Ok(None);
        };
        let meta = self.look.meta(&base).map_err(LiteError::at(path))?;
        let Some(meta) = meta else { return Ok(None) };
        let lossy = |text: Vec<u8>| String::from_utf8_lossy(&text).into_owned();
        let link = meta.link.map(lossy);
        Ok(Some(Seen {
            kind: meta.kind,
            ino: Some(meta.ino),
            owner: (meta.mode, meta.uid, meta.gid),
            size: meta.size,
            link,
        }))
    }

    /// The time of something that was in the image before the plan.
    ///
    /// # Errors
    /// As looking.
    pub fn mtime(&self, path: &str) -> Result<Option<(i64, i64)>, LiteError> {
        let meta = self.look.meta(path).map_err(LiteError::at(path))?;
        Ok(meta.map(|meta| meta.mtime))
    }

    /// Whether a directory has nothing in it.
    ///
    /// # Errors
    /// As reading it.
    pub fn is_empty(&self, dir: &str) -> Result<bool, LiteError> {
        let inside = self.inside(dir);
        let there =
            |path: &String| split(path).0 == dir && self.over.get(path) != Some(&Over::Gone);
        if inside.iter().any(there) {
            return Ok(false);
        }
        let Some(base) = self.base(dir) else {
            return Ok(true);
        };
        let names = self.look.names(&base).map_err(LiteError::at(dir))?;
        let gone = |name: &[u8]| {
            let path = std::str::from_utf8(name).map(|name| join(dir, name));
            path.is_ok_and(|path| self.over.get(&path) == Some(&Over::Gone))
        };
        Ok(names.iter().all(|name| gone(name)))
    }

    /// Whether `copy` is what a copy of `from` would be: neither has anything planned in it, and they are the same.
    ///
    /// # Errors
    /// As reading both.
    pub fn same(&self, from: &str, copy: &str) -> Result<bool, LiteError> {
        let changed = |dir: &str| self.over.contains_key(dir) || !self.inside(dir).is_empty();
        if changed(from) || changed(copy) {
            return Ok(false);
        }
        match (self.base(from), self.base(copy)) {
            (Some(from), Some(copy)) => {
                let same = self.look.same(&from, &copy);
                same.map_err(LiteError::at(&copy))
            }
            _ => Ok(false),
        }
    }

    /// The place a listed path means: links on the way are followed inside the image (an absolute one starts at the
    /// root of the image, and nothing is above that), the last name is not. A link on the way must not be at the place
    /// or below it.
    ///
    /// # Errors
    /// [`LiteError::NotADirectory`], [`LiteError::Loop`].
    pub fn place(&self, path: &str) -> Result<String, LiteError> {
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links: Vec<String> = Vec::new();
        while let Some(name) = todo.pop() {
            match &*name {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(name),
            }
            if todo.is_empty() {
                break;
            }
            let here = done.join("/");
            let Some(seen) = self.seen(&here)? else {
                continue;
            };
            match (seen.kind, seen.link) {
                (Kind::Dir, _) => {}
                (Kind::Link, Some(text)) => {
                    links.push(here);
                    if links.len() > MAX_LINKS {
                        return Err(LiteError::Loop(path.to_owned()));
                    }
                    done.pop();
                    if text.starts_with('/') {
                        done.clear();
                    }
                    todo.extend(text.split('/').rev().map(str::to_owned));
                }
                _ => {
                    return Err(LiteError::NotADirectory {
                        path: path.to_owned(),
                        at: here,
                    });
                }
            }
        }
        let place = done.join("/");
        // What is done at the place would change the way to it.
        if links.iter().any(|link| below(link, &place).is_some()) {
            return Err(LiteError::Loop(path.to_owned()));
        }
        Ok(place)
    }

    /// Notes that a name in this directory changes.
    fn touch_dir(&mut self, dir: &str) -> Result<(), LiteError> {
        let Some(base) = self.base(dir) else {
            return Ok(());
        };
        if self.touched.contains_key(&base) {
            return Ok(());
        }
        if let Some(meta) = self.look.meta(&base).map_err(LiteError::at(dir))? {
            self.touched.insert(base, meta.mtime);
        }
        Ok(())
    }

    fn put(&mut self, path: &str, over: Over) -> Result<(), LiteError> {
        self.touch_dir(split(path).0)?;
        let inside = self.inside(path);
        if !inside.is_empty() && over != Over::Gone {
            // What earlier steps did below this name must not be repeated on what now gets it.
            self.barrier();
        }
        for name in inside {
            self.over.remove(&name);
        }
        self.over.insert(path.to_owned(), over);
        Ok(())
    }

    /// Makes a directory and those above it. Below `.default` and for new ones elsewhere, mode and owner are those
    /// of the directory of that name in the image, if there is one.
    ///
    /// # Errors
    /// [`LiteError::NotADirectory`] when something else is in the way.
    pub fn mkdirs(&mut self, path: &str) -> Result<(), LiteError> {
        if path.is_empty() {
            return Ok(());
        }
        match self.seen(path)? {
            Some(seen) if seen.kind == Kind::Dir => return Ok(()),
            Some(_) => {
                return Err(LiteError::NotADirectory {
                    path: path.to_owned(),
                    at: path.to_owned(),
                });
            }
            None => {}
        }
        self.mkdirs(split(path).0)?;
        let mut owner = (0o755, 0, 0);
        if let Some(name) = below(path, ".default").filter(|name| !name.is_empty()) {
            let like = self.seen(&self.place(name)?)?;
            if let Some(seen) = like.filter(|seen| seen.kind == Kind::Dir) {
                owner = seen.owner;
            }
        }
        self.put(path, Over::Dir)?;
        self.dirs.insert(path.to_owned());
        let (mode, uid, gid) = owner;
        self.steps.push(Step::Mkdir {
            path: path.to_owned(),
            mode,
            uid,
            gid,
        });
        Ok(())
    }

    /// Moves something, with what the plan did below it.
    ///
    /// # Errors
    /// As looking.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), LiteError> {
        self.mkdirs(split(to).0)?;
        let Some(ino) = self.seen(from)?.and_then(|seen| seen.ino) else {
            return Err(LiteError::Planned(from.to_owned()));
        };
        let base = self.base(from).unwrap_or_else(|| from.to_owned());
        self.touch_dir(split(from).0)?;
        let inside = self.inside(from);
        if !inside.is_empty() {
            // The earlier steps below it cannot be repeated once it has another name.
            self.barrier();
        }
        let mut moved = Vec::new();
        for path in inside {
            if let (Some(rest), Some(over)) = (below(&path, from), self.over.remove(&path)) {
                moved.push((join(to, rest), over));
            }
        }
        self.over.insert(from.to_owned(), Over::Gone);
        self.put(to, Over::Base(base))?;
        self.over.extend(moved);
        let renamed = |dir: String| match below(&dir, from) {
            Some("") => to.to_owned(),
            Some(rest) => join(to, rest),
            None => dir,
        };
        self.dirs = std::mem::take(&mut self.dirs)
            .into_iter()
            .map(renamed)
            .collect();
        self.steps.push(Step::Move {
            from: from.to_owned(),
            to: to.to_owned(),
            ino,
        });
        Ok(())
    }

    /// Ends what is repeated together when an interrupted run is finished.
    pub fn barrier(&mut self) {
        if !matches!(self.steps.last(), None | Some(Step::Barrier)) {
            self.steps.push(Step::Barrier);
        }
    }

    /// Makes a link.
    ///
    /// # Errors
    /// As looking.
    pub fn symlink(&mut self, path: &str, text: &str) -> Result<(), LiteError> {
        self.mkdirs(split(path).0)?;
        self.put(path, Over::Link(text.to_owned()))?;
        self.steps.push(Step::Symlink {
            path: path.to_owned(),
            text: text.to_owned(),
        });
        Ok(())
    }

    /// Makes something empty. An empty directory counts as made by liteimg through its row, not by itself.
    ///
    /// # Errors
    /// As looking.
    pub fn make(&mut self, path: &str, directory: bool) -> Result<(), LiteError> {
        self.mkdirs(split(path).0)?;
        if directory {
            self.put(path, Over::Dir)?;
            self.steps.push(Step::Mkdir {
                path: path.to_owned(),
                mode: 0o755,
                uid: 0,
                gid: 0,
            });
        } else {
            self.put(path, Over::File)?;
            let path = path.to_owned();
            self.steps.push(Step::Touch { path });
        }
        Ok(())
    }

    /// Removes a link.
    ///
    /// # Errors
    /// As looking.
    pub fn unlink(&mut self, path: &str, text: &str) -> Result<(), LiteError> {
        self.put(path, Over::Gone)?;
        self.steps.push(Step::Unlink {
            path: path.to_owned(),
            text: text.to_owned(),
        });
        Ok(())
    }

    /// Removes something if it is an empty file or directory, and says whether it did.
    ///
    /// # Errors
    /// As looking.
    pub fn remove_empty(&mut self, path: &str) -> Result<bool, LiteError> {
        let Some(seen) = self.seen(path)? else {
            return Ok(false);
        };
        let path = path.to_owned();
        let step = match (seen.kind, seen.ino) {
            (Kind::Dir, _) if self.is_empty(&path)? => Step::Rmdir { path: path.clone() },
            (Kind::File, Some(ino)) if seen.size == 0 => Step::RemoveEmpty {
                path: path.clone(),
                ino,
            },
            _ => return Ok(false),
        };
        self.put(&path, Over::Gone)?;
        self.steps.push(step);
        Ok(true)
    }

    /// Removes a directory that liteimg made and those above it, as far as nothing is in them any more.
    ///
    /// # Errors
    /// As looking.
    pub fn prune(&mut self, path: &str) -> Result<(), LiteError> {
        let mut dir = path;
        while self.dirs.contains(dir) && dir != ".statelite" && self.remove_empty(dir)? {
            self.dirs.remove(dir);
            dir = split(dir).0;
        }
        Ok(())
    }

    /// Copies a tree.
    ///
    /// # Errors
    /// As looking.
    pub fn copy(&mut self, from: &str, to: &str) -> Result<(), LiteError> {
        self.mkdirs(split(to).0)?;
        // The copy is to have the times that the original will have in the end.
        let inside =
            |step: &Step| matches!(step, Step::Times { path, .. } if below(path, from).is_some());
        let times: Vec<Step> = self.times().into_iter().filter(inside).collect();
        self.steps.extend(times);
        self.put(to, Over::Copy)?;
        self.steps.push(Step::Copy {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Ok(())
    }

    /// Removes a copy below `.default`.
    ///
    /// # Errors
    /// As looking.
    pub fn discard(&mut self, path: &str) -> Result<(), LiteError> {
        let Some(ino) = self.seen(path)?.and_then(|seen| seen.ino) else {
            return Ok(());
        };
        self.put(path, Over::Gone)?;
        let path = path.to_owned();
        self.steps.push(Step::Discard { path, ino });
        Ok(())
    }

    /// Puts one of liteimg's own files into the state it should have; none removes it.
    ///
    /// # Errors
    /// As looking.
    pub fn keep(&mut self, path: &str, text: Option<String>) -> Result<(), LiteError> {
        let path = path.to_owned();
        match text {
            Some(text) => {
                self.mkdirs(split(&path).0)?;
                self.put(&path, Over::File)?;
                self.steps.push(Step::Write { path, text });
            }
            None if self.seen(&path)?.is_some() => {
                self.put(&path, Over::Gone)?;
                self.steps.push(Step::Remove { path });
            }
            None => {}
        }
        Ok(())
    }

    /// Removes the directories liteimg made (and `more`) that have nothing in them any more, the deepest first, but
    /// not those in `keep`.
    ///
    /// # Errors
    /// As looking.
    pub fn sweep(
        &mut self,
        more: &BTreeSet<String>,
        keep: &BTreeSet<String>,
    ) -> Result<(), LiteError> {
        let mut dirs: Vec<String> = self.dirs.union(more).cloned().collect();
        dirs.sort_by_key(|dir| std::cmp::Reverse((dir.matches('/').count(), dir.clone())));
        let mut barrier = false;
        for dir in dirs.into_iter().filter(|dir| !keep.contains(dir)) {
            match self.seen(&dir)? {
                Some(seen) if seen.kind == Kind::Dir => {
                    if self.is_empty(&dir)? {
                        if !barrier {
                            self.barrier();
                            barrier = true;
                        }
                        self.put(&dir, Over::Gone)?;
                        self.dirs.remove(&dir);
                        self.steps.push(Step::Rmdir { path: dir });
                    }
                }
                _ => {
                    self.dirs.remove(&dir);
                }
            }
        }
        Ok(())
    }

    /// The steps that give the image's directories their times back, by the names they have in the end.
    #[must_use]
    pub fn times(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (base, (seconds, nanos)) in &self.touched {
            if base == ".statelite" {
                continue;
            }
            let moved = self.over.iter().filter_map(|(to, over)| match over {
                Over::Base(from) => match below(base, from)? {
                    "" => Some(to.clone()),
                    rest => Some(join(to, rest)),
                },
                _ => None,
            });
            let mut names = moved.chain([base.clone()]);
            if let Some(path) = names.find(|path| self.base(path).as_ref() == Some(base)) {
                steps.push(Step::Times {
                    path,
                    seconds: *seconds,
                    nanos: *nanos,
                });
            }
        }
        steps
    }
}
