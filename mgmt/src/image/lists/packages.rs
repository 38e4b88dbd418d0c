//! Package lists, xCAT's `pkglist` and `otherpkgs.pkglist` (facts §8).
//!
//! One package or `@group` per line; commas separate too. A line that begins with `#` is a comment, unless it is one
//! of the directives:
//!
//! - `#INCLUDE:file#` is replaced by what the file lists. A relative name counts from the directory of the list that
//!   was asked for, also inside included files, as in xCAT. A list that includes itself is an error.
//! - `#NEW_INSTALL_LIST#` begins a new pass: what follows is installed by a command of its own.
//! - `#ENV:name=value#` is a variable in the environment of the pass's commands. Commas in the value are kept.
//!
//! In lists of other packages `-x` is removed before the pass, `--x` after it, and `dir/x` is taken from the
//! directory `dir` below the directory of other packages. In the main list these three are ignored, with a warning.
//! Text after ` #` on a line is a comment as well.

use std::io;
use std::path::{Path, PathBuf};

/// Why a list is refused.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// cannot read the package list {file}: {why}
    #[error("cannot read the package list {}{}: {why}", file.display(), place(by.as_deref()))]
    Read {
        /// The list.
        file: PathBuf,
        /// Where it is included.
        by: Option<String>,
        /// Why.
        why: io::Error,
    },
    /// {file}:{line}: includes itself
    #[error("{}:{line}: {} includes itself; remove one of the #INCLUDE: lines", file.display(), again.display())]
    Loop {
        /// The list with the directive.
        file: PathBuf,
        /// Its line.
        line: usize,
        /// The list that is being read already.
        again: PathBuf,
    },
    /// {file}:{line}: {what}
    #[error("{}:{line}: {what}", file.display())]
    Line {
        /// The list.
        file: PathBuf,
        /// Its line.
        line: usize,
        /// What is wrong and what would be right.
        what: String,
    },
}

fn place(by: Option<&str>) -> String {
    by.map(|by| format!(" (included by {by})"))
        .unwrap_or_default()
}

/// What a list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The distribution's packages.
    Main,
    /// Other packages: removals and subdirectories count.
    Other,
}

/// A package of a pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The directory below that of other packages; `None` for the directory itself.
    pub dir: Option<String>,
    /// The package, or `@group`.
    pub name: String,
}

/// What is installed by one command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// Variables in the environment.
    pub env: Vec<(String, String)>,
    /// Packages removed before.
    pub remove_before: Vec<String>,
    /// Packages to install, each once, in the order of the list.
    pub install: Vec<Entry>,
    /// Packages removed after.
    pub remove_after: Vec<String>,
}

impl Pass {
    /// The names of the packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.install.iter().map(|entry| entry.name.as_str())
    }

    /// The directories packages come from, each once.
    #[must_use]
    pub fn dirs(&self) -> Vec<Option<&str>> {
        let mut dirs: Vec<_> = self
            .install
            .iter()
            .map(|entry| entry.dir.as_deref())
            .collect();
        dirs.sort_unstable();
        dirs.dedup();
        dirs
    }
}

/// A list with everything included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageList {
    /// The passes that do something, in order.
    pub passes: Vec<Pass>,
    /// What was ignored.
    pub warnings: Vec<String>,
}

impl PackageList {
    /// Reads a list, or several (their passes are joined by number, as xCAT does); `read` gives a file's text.
    ///
    /// # Errors
    /// [`ListError`] with file and line.
    pub fn read(
        files: &[PathBuf],
        used: Use,
        read: &dyn Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, ListError> {
        let mut list = Self::default();
        for file in files {
            let mut reader = Reader {
                base: file.parent().unwrap_or(Path::new(".")),
                used,
                read,
                stack: Vec::new(),
                pass: 0,
                list: &mut list,
            };
            reader.file(file, None)?;
        }
        list.passes.retain(|pass| *pass != Pass::default());
        Ok(list)
    }
}

struct Reader<'a> {
    base: &'a Path,
    used: Use,
    read: &'a dyn Fn(&Path) -> io::Result<String>,
    stack: Vec<PathBuf>,
    pass: usize,
    list: &'a mut PackageList,
}

impl Reader<'_> {
    fn file(&mut self, file: &Path, by: Option<String>) -> Result<(), ListError> {
        let text = (self.read)(file).map_err(|why| ListError::Read {
            file: file.to_owned(),
            by,
            why,
        })?;
        self.stack.push(file.to_owned());
        for (index, line) in text.lines().enumerate() {
            self.line(file, index + 1, line)?;
        }
        self.stack.pop();
        Ok(())
    }

    fn line(&mut self, file: &Path, number: usize, line: &str) -> Result<(), ListError> {
        let mut rest = line.trim();
        while !rest.is_empty() {
            if let Some((word, value, after)) = directive(rest) {
                self.directive(file, number, word, value)?;
                rest = after.trim_start_matches([',', ' ', '\t']);
                continue;
            }
            if rest.starts_with('#') {
                return Ok(());
            }
            // Up to a comma, or to a directive without one.
            let end = rest.find([',', '#']).unwrap_or(rest.len());
            let (item, after) = rest.split_at(end);
            self.item(file, number, item.trim())?;
            rest = after.trim_start_matches([',', ' ', '\t']);
        }
        Ok(())
    }

    fn directive(
        &mut self,
        file: &Path,
        number: usize,
        word: Word,
        value: &str,
    ) -> Result<(), ListError> {
        let wrong = |what: &str| ListError::Line {
            file: file.to_owned(),
            line: number,
            what: what.to_owned(),
        };
        match word {
            Word::NewList => self.pass += 1,
            Word::Env => {
                let pair = value.split_once('=').filter(|(name, _)| {
                    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    !name.is_empty() && name.chars().all(good)
                });
                let (name, value) =
                    pair.ok_or_else(|| wrong("#ENV: should be written #ENV:name=value#"))?;
                let pair = (name.to_owned(), value.to_owned());
                self.edit(|pass| pass.env.push(pair));
            }
            Word::Include => {
                if value.is_empty() {
                    return Err(wrong("#INCLUDE: should be written #INCLUDE:file#"));
                }
                let path = self.base.join(value);
                if self.stack.contains(&path) {
                    return Err(ListError::Loop {
                        file: file.to_owned(),
                        line: number,
                        again: path,
                    });
                }
                self.file(&path, Some(format!("{}:{number}", file.display())))?;
            }
        }
        Ok(())
    }

    fn item(&mut self, file: &Path, number: usize, item: &str) -> Result<(), ListError> {
        if item.is_empty() {
            return Ok(());
        }
        let wrong = |what: String| ListError::Line {
            file: file.to_owned(),
            line: number,
            what,
        };
        // Groups have names with blanks: "@Development Tools".
        let blank = item.contains(char::is_whitespace) && !item.starts_with('@');
        if blank || item.contains(['\'', '"', '$', '`', ';', '|', '&', '<', '>', '\0']) {
            return Err(wrong(format!(
                "\"{item}\" is no package name; write one package on a line, or separate them by commas"
            )));
        }
        let main = self.used == Use::Main;
        if let Some(name) = item.strip_prefix('-') {
            let after = name.strip_prefix('-');
            let name = after.unwrap_or(name);
            if name.is_empty() || name.starts_with('-') {
                return Err(wrong(format!("\"{item}\" is no package to remove")));
            }
            if main {
                let what = "removals count only in lists of other packages; ignored";
                self.warn(file, number, &format!("\"{item}\": {what}"));
                return Ok(());
            }
            let name = name.rsplit('/').next().unwrap_or(name).to_owned();
            self.edit(|pass| {
                let names = match after {
                    Some(_) => &mut pass.remove_after,
                    None => &mut pass.remove_before,
                };
                if !names.contains(&name) {
                    names.push(name);
                }
            });
            return Ok(());
        }
        let (dir, name) = match item.rsplit_once('/') {
            Some((dir, name)) => (Some(dir), name),
            None => (None, item),
        };
        let outside = |dir: &str| dir.starts_with('/') || dir.split('/').any(|part| part == "..");
        if name.is_empty() || dir.is_some_and(outside) {
            return Err(wrong(format!(
                "\"{item}\" is no package in a directory below that of other packages"
            )));
        }
        if main && dir.is_some() {
            let what = "directories count only in lists of other packages; the package is installed without";
            self.warn(file, number, &format!("\"{item}\": {what}"));
        }
        let dir = dir.filter(|dir| !main && *dir != "." && !dir.is_empty());
        let entry = Entry {
            dir: dir.map(str::to_owned),
            name: name.to_owned(),
        };
        self.edit(|pass| {
            if !pass.install.contains(&entry) {
                pass.install.push(entry);
            }
        });
        Ok(())
    }

    /// Changes the current pass.
    fn edit(&mut self, edit: impl FnOnce(&mut Pass)) {
        let passes = &mut self.list.passes;
        if passes.len() <= self.pass {
            passes.resize(self.pass + 1, Pass::default());
        }
        if let Some(pass) = passes.get_mut(self.pass) {
            edit(pass);
        }
    }

    fn warn(&mut self, file: &Path, number: usize, what: &str) {
        let warning = format!("{}:{number}: {what}", file.display());
        self.list.warnings.push(warning);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Include,
    NewList,
    Env,
}

/// The directive at the start of a text, its value, and what follows it.
fn directive(text: &str) -> Option<(Word, &str, &str)> {
    if let Some(after) = text.strip_prefix("#NEW_INSTALL_LIST#") {
        return Some((Word::NewList, "", after));
    }
    for (start, word) in [("#INCLUDE:", Word::Include), ("#ENV:", Word::Env)] {
        if let Some((value, after)) = text
            .strip_prefix(start)
            .and_then(|rest| rest.split_once('#'))
        {
            return Some((word, value.trim(), after));
        }
    }
    None
}

#[cfg(test)]
mod tests;
