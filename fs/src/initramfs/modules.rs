//! Names of kernel modules to files, in the order in which they are loaded.
//!
//! What `depmod` wrote beside the modules is read: `modules.dep`, `modules.alias`,
//! `modules.softdep`, `modules.builtin`. In names `-` and `_` are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Why a module cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The lists are not there.
    #[error("{file}: {error}; it is written by `depmod -b ROOT VERSION`")]
    Lists {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Neither a module, nor an alias, nor built in.
    #[error("the kernel of {dir} has no module {name}")]
    Unknown {
        /// The modules' directory.
        dir: PathBuf,
        /// The name asked for.
        name: String,
    },
}

/// The modules of one kernel.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    dir: PathBuf,
    /// Module name to file and the files it needs, the deepest last.
    files: BTreeMap<String, (String, Vec<String>)>,
    /// Device patterns and other aliases, with the module's name.
    aliases: Vec<(String, String)>,
    /// Modules to load before, by name.
    before: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

impl Tree {
    /// Reads the lists in `dir`, for instance `/lib/modules/6.12.0`.
    ///
    /// # Errors
    /// [`ModuleError::Lists`] without `modules.dep`; the other lists may be missing.
    pub fn read(dir: &Path) -> Result<Tree, ModuleError> {
        let file = dir.join("modules.dep");
        let dep =
            std::fs::read_to_string(&file).map_err(|error| ModuleError::Lists { file, error })?;
        let other = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let mut tree = Tree::parse(
            &dep,
            &other("modules.alias"),
            &other("modules.softdep"),
            &other("modules.builtin"),
        );
        tree.dir = dir.to_owned();
        Ok(tree)
    }

    /// Reads the text of the lists.
    pub fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str) -> Tree {
        let mut tree = Tree::default();
        for line in dep.lines() {
            if let Some((file, needs)) = line.split_once(':') {
                let needs = needs.split_whitespace().map(str::to_owned).collect();
                tree.files.insert(name_of(file), (file.to_owned(), needs));
            }
        }
        for line in alias.lines() {
            let mut words = line.split_whitespace();
            if let (Some("alias"), Some(pattern), Some(name)) =
                (words.next(), words.next(), words.next())
            {
                tree.aliases.push((pattern.to_owned(), plain(name)));
            }
        }
        for line in softdep.lines() {
            let mut words = line.split_whitespace();
            let (Some("softdep"), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            let before = words
                .skip_while(|word| *word != "pre:")
                .skip(1)
                .take_while(|word| *word != "post:")
                .map(plain);
            tree.before.entry(plain(name)).or_default().extend(before);
        }
        tree.builtin = builtin.lines().map(name_of).collect();
        tree
    }

    /// Files of the module or alias `name` and all it needs, relative to the directory, in the
    /// order of loading. Empty if it is built into the kernel.
    ///
    /// # Errors
    /// [`ModuleError::Unknown`].
    pub fn resolve(&self, name: &str) -> Result<Vec<String>, ModuleError> {
        let mut files = Vec::new();
        let mut names = vec![plain(name)];
        if !self.files.contains_key(&plain(name)) {
            names = self
                .aliases
                .iter()
                .filter(|(pattern, _)| matches(pattern, name))
                .map(|(_, module)| module.clone())
                .collect();
        }
        for module in &names {
            self.collect(module, &mut files, &mut BTreeSet::new());
        }
        if files.is_empty() && !self.builtin.contains(&plain(name)) {
            return Err(ModuleError::Unknown {
                dir: self.dir.clone(),
                name: name.to_owned(),
            });
        }
        Ok(files)
    }

    /// Patterns of the devices that module `name` drives.
    pub fn patterns(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = plain(name);
        self.aliases
            .iter()
            .filter(move |(pattern, module)| *module == name && pattern.contains(':'))
            .map(|(pattern, _)| pattern.as_str())
    }

    fn collect(&self, name: &str, files: &mut Vec<String>, seen: &mut BTreeSet<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        for before in self.before.get(name).into_iter().flatten() {
            self.collect(before, files, seen);
        }
        let Some((file, needs)) = self.files.get(name) else {
            return;
        };
        for need in needs.iter().rev() {
            // The list is complete, but what is wished for softly stands with each module.
            self.collect(&name_of(need), files, seen);
        }
        if !files.contains(file) {
            files.push(file.clone());
        }
    }
}

/// The module's name that a file stands for.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    plain(name.split('.').next().unwrap_or(name))
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether `text` fits a shell pattern with `*`, `?` and `[...]`, as the kernel's aliases use them.
pub fn matches(pattern: &str, text: &str) -> bool {
    fits(pattern.as_bytes(), text.as_bytes())
}

fn fits(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Where to go on if it does not fit: after the last star, one character later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match pattern.split_first() {
            None if text.is_empty() => return true,
            None => None,
            Some((b'*', rest)) => {
                retry = Some((rest, text));
                pattern = rest;
                continue;
            }
            Some((first, rest)) => text.split_first().and_then(|(c, after)| {
                let rest = one(*first, rest, *c)?;
                Some((rest, after))
            }),
        };
        if let Some((rest, after)) = step {
            (pattern, text) = (rest, after);
            continue;
        }
        match retry.and_then(|(rest, from)| Some((rest, from.split_first()?.1))) {
            Some((rest, from)) => {
                retry = Some((rest, from));
                (pattern, text) = (rest, from);
            }
            None => return false,
        }
    }
}

/// Rest of the pattern after `first` if that fits `c`.
fn one(first: u8, rest: &[u8], c: u8) -> Option<&[u8]> {
    if first != b'[' {
        return (first == b'?' || first == c).then_some(rest);
    }
    let end = rest.iter().position(|b| *b == b']')?;
    let (set, rest) = rest.split_at_checked(end)?;
    let mut found = false;
    let mut at = set.iter().copied().peekable();
    while let Some(low) = at.next() {
        let mut high = low;
        if at.peek() == Some(&b'-') {
            at.next();
            high = at.next().unwrap_or(low);
        }
        found |= (low..=high).contains(&c);
    }
    found.then(|| rest.get(1..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/nfs/nfsv4.ko.xz: kernel/net/dns_resolver.ko.xz kernel/fs/nfs/nfs.ko.xz \
        kernel/fs/lockd/lockd.ko.xz kernel/net/sunrpc/sunrpc.ko.xz\n\
        kernel/fs/nfs/nfs.ko.xz: kernel/fs/lockd/lockd.ko.xz kernel/net/sunrpc/sunrpc.ko.xz\n\
        kernel/fs/lockd/lockd.ko.xz: kernel/net/sunrpc/sunrpc.ko.xz\n\
        kernel/net/sunrpc/sunrpc.ko.xz:\nkernel/net/dns_resolver.ko.xz:\n\
        kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko\nkernel/net/core/failover.ko:\n\
        kernel/drivers/char/virtio-rng.ko:\nkernel/crypto/soft.ko:\n";
    const ALIAS: &str = "# comment\nalias virtio:d00000001v* virtio_net\nalias fs-nfs4 nfs\n\
        alias pci:v00008086d0000100[EF]sv*sd*bc*sc*i* virtio_net\n";
    const SOFT: &str = "softdep lockd pre: soft post: failover\n";
    const BUILTIN: &str = "kernel/fs/fuse/fuse.ko\n";

    fn names(name: &str) -> Vec<String> {
        let tree = Tree::parse(DEP, ALIAS, SOFT, BUILTIN);
        let files = tree.resolve(name).unwrap();
        files.iter().map(|file| name_of(file)).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        assert_eq!(
            names("nfsv4"),
            ["sunrpc", "soft", "lockd", "nfs", "dns_resolver", "nfsv4"]
        );
        assert_eq!(names("virtio-net"), ["failover", "virtio_net"]);
        assert_eq!(names("virtio_rng"), ["virtio_rng"]);
        assert_eq!(names("fs-nfs4"), ["sunrpc", "soft", "lockd", "nfs"]);
        assert_eq!(
            names("pci:v00008086d0000100Esv1sd2bc3sc4i5"),
            ["failover", "virtio_net"]
        );
        assert!(names("fuse").is_empty(), "built in");
    }

    #[test]
    fn unknown_modules_are_refused_by_name() {
        let tree = Tree::parse(DEP, ALIAS, SOFT, BUILTIN);
        let error = tree.resolve("xfs").unwrap_err().to_string();
        assert!(error.contains("no module xfs"), "{error}");
    }

    #[test]
    fn patterns() {
        for (pattern, text, fit) in [
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("x[0-3]y", "x2y", true),
            ("x[0-3]y", "x4y", false),
            ("a*b*c", "aXbYbZc", true),
            ("x[", "x[", false),
        ] {
            assert_eq!(matches(pattern, text), fit, "{pattern} {text}");
        }
    }
}
