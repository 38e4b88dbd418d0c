//! Accounts of the management node for an image (`add_passwd`).
//!
//! xCAT copies `passwd`, `group` and `shadow` whole. That takes the image's own system accounts away: files of its
//! packages belong to numbers without names, and services do not start. Here the accounts of people come over, with
//! their passwords, groups and memberships, and root's password; the image's system accounts stay. The whole copy is
//! there for those who ask for it.

use super::root::{Attributes, Root, RootError};
use std::path::Path;

/// The files accounts are in, in the order they are written: an account shows in `passwd` last.
pub const FILES: [&str; 4] = ["group", "gshadow", "shadow", "passwd"];

/// Why accounts cannot be brought over.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// {0}
    #[error(transparent)]
    Root(#[from] RootError),
    /// {0} is missing
    #[error("{0} is missing on the management node or in the image")]
    Missing(String),
    /// several accounts collide
    #[error(
        "these accounts collide with the image's own:\n    {}\nGive them another number, or copy the files whole",
        .0.join("\n    ")
    )]
    Collide(Vec<String>),
}

/// The text of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    /// `group`.
    pub group: String,
    /// `gshadow`, where there is one.
    pub gshadow: Option<String>,
    /// `shadow`.
    pub shadow: String,
    /// `passwd`.
    pub passwd: String,
}

impl Accounts {
    /// Reads them below a root.
    ///
    /// # Errors
    /// When a file cannot be read, or one other than `gshadow` is missing.
    pub fn read(root: &Root) -> Result<Self, AccountError> {
        let text = |name: &str| {
            let path = format!("/etc/{name}");
            let text = root.text(&path)?;
            let missing = || AccountError::Missing(format!("{}{path}", root.path().display()));
            text.ok_or_else(missing)
        };
        Ok(Self {
            group: text("group")?,
            gshadow: root.text("/etc/gshadow")?,
            shadow: text("shadow")?,
            passwd: text("passwd")?,
        })
    }

    fn of(&self, name: &str) -> Option<&str> {
        match name {
            "group" => Some(&self.group),
            "gshadow" => self.gshadow.as_deref(),
            "shadow" => Some(&self.shadow),
            _ => Some(&self.passwd),
        }
    }
}

/// Writes the files into an image, each whole or not at all, keeping owner and mode of those that are there.
///
/// # Errors
/// As writing files.
pub fn write(root: &Root, accounts: &Accounts) -> Result<(), AccountError> {
    root.make_dir("/etc", 0o755)?;
    for name in FILES {
        let Some(text) = accounts.of(name) else {
            continue;
        };
        let path = format!("/etc/{name}");
        let attributes = match root.exists(&path) {
            true => None,
            false if name.ends_with("shadow") => Some(Attributes::root(0o600)),
            false => Some(Attributes::root(0o644)),
        };
        root.write(&path, text.as_bytes(), attributes)?;
    }
    Ok(())
}

/// The accounts of `node` (the management node) for the image whose accounts are `image`.
///
/// # Errors
/// [`AccountError::Collide`] when a name or number means something else in the image.
pub fn merge(node: &Accounts, image: &Accounts) -> Result<Accounts, AccountError> {
    let users: Vec<Entry<'_>> = entries(&node.passwd)
        .filter(|user| ordinary(user.number(2)))
        .collect();
    let is_user = |name: &str| users.iter().any(|user| user.name == name);
    let primary = |group: &Entry<'_>| users.iter().any(|user| user.number(3) == group.number(2));
    let groups: Vec<Entry<'_>> = entries(&node.group)
        .filter(|group| ordinary(group.number(2)) || primary(group))
        .collect();
    let mut collisions = Vec::new();
    collide(&users, &image.passwd, "user", &mut collisions);
    collide(&groups, &image.group, "group", &mut collisions);
    if !collisions.is_empty() {
        return Err(AccountError::Collide(collisions));
    }

    let mut merged = image.clone();
    for user in &users {
        put(&mut merged.passwd, user.name, user.line);
    }
    for entry in entries(&node.shadow).filter(|entry| entry.name == "root" || is_user(entry.name)) {
        put(&mut merged.shadow, entry.name, entry.line);
    }
    for group in &groups {
        if ordinary(group.number(2)) || entry(&merged.group, group.name).is_none() {
            put(&mut merged.group, group.name, group.line);
        }
    }
    // Memberships of people in groups both sides have, such as sudo.
    for group in entries(&node.group).filter(|group| !ordinary(group.number(2))) {
        let members = group.members().filter(|name| is_user(name));
        join(&mut merged.group, group.name, &members.collect::<Vec<_>>());
    }
    if let Some(gshadow) = &mut merged.gshadow {
        for group in entries(&merged.group) {
            let members: Vec<&str> = group.members().collect();
            if entry(gshadow, group.name).is_none() {
                put(
                    gshadow,
                    group.name,
                    &format!("{}:!::{}", group.name, members.join(",")),
                );
            } else {
                let people: Vec<&str> = members.into_iter().filter(|name| is_user(name)).collect();
                join(gshadow, group.name, &people);
            }
        }
    }
    Ok(merged)
}

/// Reads, merges and writes; `whole` takes the management node's files as they are.
///
/// # Errors
/// [`AccountError`]; nothing is written when the accounts collide.
pub fn bring(from: &Path, into: &Path, whole: bool) -> Result<(), AccountError> {
    let (from, into) = (Root::open_source(from)?, Root::open(into)?);
    let node = Accounts::read(&from)?;
    let accounts = if whole {
        let gshadow = into.exists("/etc/gshadow");
        Accounts {
            gshadow: node.gshadow.clone().filter(|_| gshadow),
            ..node
        }
    } else {
        merge(&node, &Accounts::read(&into)?)?
    };
    write(&into, &accounts)
}

/// Whether a number is one of a person's, as Debian and Red Hat give them: from 1000, without `nobody` and without
/// those systemd gives to services for a while.
fn ordinary(number: Option<u32>) -> bool {
    number.is_some_and(|n| {
        n >= 1000 && !(61184..=65519).contains(&n) && n != 65534 && n < u32::MAX - 1
    }) && number != Some(65535)
}

#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    name: &'a str,
    line: &'a str,
}

impl<'a> Entry<'a> {
    fn number(&self, field: usize) -> Option<u32> {
        self.line.split(':').nth(field)?.parse().ok()
    }

    /// The members of a group, its last field.
    fn members(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let last = self.line.rsplit(':').next().unwrap_or_default();
        last.split(',').filter(|name| !name.is_empty())
    }
}

/// The lines that are accounts; comments and the `+` lines of NIS are none.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    text.lines().filter_map(|line| {
        let (name, _) = line.split_once(':')?;
        let usual = !name.is_empty() && !name.starts_with(['#', '+', '-']);
        usual.then_some(Entry { name, line })
    })
}

fn entry<'a>(text: &'a str, name: &str) -> Option<Entry<'a>> {
    entries(text).find(|entry| entry.name == name)
}

fn collide(ours: &[Entry<'_>], image: &str, what: &str, collisions: &mut Vec<String>) {
    for theirs in entries(image) {
        let (number, name) = (theirs.number(2), theirs.name);
        for ours in ours {
            let (our_number, our_name) = (ours.number(2), ours.name);
            let same_name = our_name == name && our_number != number && !ordinary(number);
            let same_number = our_name != name && our_number == number;
            if same_name || same_number {
                let number = |n: Option<u32>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
                collisions.push(format!(
                    "{what} {our_name} ({}) and the image's {name} ({})",
                    number(our_number),
                    number(theirs.number(2))
                ));
            }
        }
    }
}

/// Puts a line in the place of the account's old one, or at the end.
fn put(text: &mut String, name: &str, line: &str) {
    let mut found = false;
    let mut lines: Vec<&str> = Vec::new();
    for old in text.lines() {
        let same = old.split_once(':').is_some_and(|(first, _)| first == name);
        match (same, found) {
            (true, false) => lines.push(line),
            (true, true) => {}
            (false, _) => lines.push(old),
        }
        found |= same;
    }
    if !found {
        // Lines after a NIS "+" would count only after everything NIS has.
        let end = lines.iter().position(|line| line.starts_with('+'));
        lines.insert(end.unwrap_or(lines.len()), line);
    }
    *text = lines.join("\n") + "\n";
}

/// Adds members to a group that is there.
fn join(text: &mut String, group: &str, people: &[&str]) {
    let Some(old) = entry(text, group) else {
        return;
    };
    let mut members: Vec<&str> = old.members().collect();
    let before = members.len();
    for name in people {
        if !members.contains(name) {
            members.push(name);
        }
    }
    if members.len() > before
        && let Some((head, _)) = old.line.rsplit_once(':')
    {
        let line = format!("{head}:{}", members.join(","));
        put(text, group, &line);
    }
}

#[cfg(test)]
mod tests;
