//! Why a path of a node is what it is: the row, the layers searched, the files that answer, what a write would do.
//!
//! Nothing is asked of the node. What is not on this machine is named as such, and the answer says what it could
//! change.

use super::look::{Seen, look, look_image};
use super::places::{Place, Places};
use super::{ResolveError, dialect, image_of, litefile_row, policy, servers};
use crate::tables::Site;
use serde::Serialize;
use statelite_policy::{Origin, Placement, Policy, Rule, Source, implied};
use std::path::{Path, PathBuf};

/// A layer that was searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// What it is: `store`, `tree 1`, `image`, with the priority of a tree.
    pub layer: String,
    /// Where it comes from.
    pub source: String,
    /// The file looked at, when it is on this machine.
    pub file: Option<PathBuf>,
    /// What is there.
    pub seen: Seen,
}

/// Everything about one path of one node.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The node.
    pub node: String,
    /// Its image.
    pub image: String,
    /// The path asked for, normalised.
    pub path: String,
    /// The rule that governs it; none: the image alone.
    pub rule: Option<Rule>,
    /// Who asked for the rule, for people.
    pub origin: Option<String>,
    /// Where the path lives.
    pub placement: Placement,
    /// In the order in which they are searched.
    pub searched: Vec<Candidate>,
    /// The files that answer, as far as this machine can tell.
    pub answers: Vec<PathBuf>,
    /// What could not be looked at and would come before the answer.
    pub unless: Vec<String>,
    /// What a write would do.
    pub write: String,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// Why a path is not explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// "{0}" is no path: it begins with a slash and has no "." or ".." in it
    #[error("\"{0}\" is no path: it begins with a slash and has no \".\" or \"..\" in it")]
    Path(String),
    /// {0}
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

/// Explains a path of a node.
///
/// # Errors
/// [`ExplainError`].
pub fn explain(
    site: &Site,
    places: &Places<'_>,
    node: &str,
    path: &str,
) -> Result<Explanation, ExplainError> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if !path.starts_with('/') || names.iter().any(|name| matches!(*name, "." | "..")) {
        return Err(ExplainError::Path(path.to_owned()));
    }
    let path = format!("/{}", names.join("/"));
    let policy = policy(site, node)?;
    let rule = policy.tree.governing(path.as_bytes()).cloned();
    let placement = rule
        .as_ref()
        .map_or(Placement::Image, |rule| rule.placement);
    let system = servers::system(site, node)?;
    let image = image_of(site, node)?;
    let rootimg = PathBuf::from(servers::rootimgdir(site, &image, &system)).join("rootimg");
    let mut search = Search {
        places,
        policy: &policy,
        node,
        path: &path,
        searched: Vec::new(),
    };
    let stored = search.run(rule.as_ref(), placement, &rootimg);
    let searched = search.searched;
    let (answers, unless) = answers(&searched, placement, stored);
    Ok(Explanation {
        notes: notes(&policy, rule.as_ref(), &path, dialect(site)),
        write: write(&policy, node, placement, &path),
        origin: rule.as_ref().map(|rule| origin(site, &rule.origin)),
        node: node.to_owned(),
        image,
        path,
        rule,
        placement,
        searched,
        answers,
        unless,
    })
}

/// Who asked for a rule.
fn origin(site: &Site, origin: &Origin) -> String {
    let row = match origin {
        Origin::Row { line, .. } => litefile_row(site, *line),
        _ => None,
    };
    row.unwrap_or_else(|| origin.to_string())
}

struct Search<'a> {
    places: &'a Places<'a>,
    policy: &'a Policy,
    node: &'a str,
    path: &'a str,
    searched: Vec<Candidate>,
}

impl Search<'_> {
    /// Looks at the layers of a placement. Returns whether the node's store has been filled and so answers alone.
    fn run(&mut self, rule: Option<&Rule>, placement: Placement, rootimg: &Path) -> bool {
        let mut stored = false;
        match placement {
            Placement::Persistent => {
                if let Some(store) = &self.policy.statemnt {
                    // The node's directory is made when the node first needs it.
                    let path = format!("/{}{}", self.node, self.path);
                    self.add("store", store, &path);
                    let begun = rule.map(|rule| match self.places.find(store) {
                        Place::Here(dir) => {
                            let root = format!("/{}{}", self.node, rule.path);
                            look(&dir, &root).is_there()
                        }
                        Place::Elsewhere(_) => false,
                    });
                    stored = begun.unwrap_or(false);
                }
            }
            Placement::Local => self.searched.push(Candidate {
                layer: "local disk".into(),
                source: format!("the disk of {}", self.node),
                file: None,
                seen: Seen::Unknown("it is in the node".into()),
            }),
            _ => {}
        }
        if stored {
            return true;
        }
        if placement != Placement::Image {
            for layer in &self.policy.layers {
                self.add(
                    &format!("tree {}", layer.priority),
                    &layer.source,
                    self.path,
                );
            }
        }
        let (file, seen) = look_image(rootimg, self.path);
        self.searched.push(Candidate {
            layer: "image".into(),
            source: rootimg.display().to_string(),
            file: Some(file),
            seen,
        });
        false
    }

    fn add(&mut self, layer: &str, source: &Source, path: &str) {
        let (file, seen) = match self.places.find(source) {
            Place::Here(dir) => {
                let file = dir.join(path.trim_start_matches('/'));
                let seen = look(&dir, path);
                (Some(file), seen)
            }
            Place::Elsewhere(why) => (None, Seen::Unknown(why.into())),
        };
        self.searched.push(Candidate {
            layer: layer.to_owned(),
            source: source.to_string(),
            file,
            seen,
        });
    }
}

/// Which candidates answer, and which unknown ones come before them.
fn answers(
    searched: &[Candidate],
    placement: Placement,
    stored: bool,
) -> (Vec<PathBuf>, Vec<String>) {
    let mut answers: Vec<PathBuf> = Vec::new();
    let mut unless = Vec::new();
    let mut directories = false;
    for candidate in searched {
        let image = candidate.layer == "image";
        if !candidate.seen.is_known() {
            if answers.is_empty() || directories || (placement == Placement::Concat && !image) {
                unless.push(candidate.layer.clone());
            }
            continue;
        }
        if !candidate.seen.is_there() || (directories && candidate.seen != Seen::Directory) {
            continue;
        }
        let more = match placement {
            // Joined from all trees; the image counts when no tree has it.
            Placement::Concat => answers.is_empty() || !image,
            _ => answers.is_empty() || directories,
        };
        if !more {
            break;
        }
        answers.extend(candidate.file.clone());
        // Directories are merged, files are not.
        directories = candidate.seen == Seen::Directory && !stored;
    }
    (answers, unless)
}

fn write(policy: &Policy, node: &str, placement: Placement, path: &str) -> String {
    match placement {
        Placement::Image => "is refused (EROFS): no row makes the path writable".into(),
        Placement::Tree => {
            "is refused (EROFS): change the file in its tree, the node sees it at once".into()
        }
        Placement::Volatile => "goes to the node's RAM and is gone at reboot".into(),
        Placement::Concat => {
            "turns the file into an ordinary one in the node's RAM; gone at reboot".into()
        }
        Placement::Local => "goes to the node's local disk and stays".into(),
        Placement::Persistent => match &policy.statemnt {
            Some(store) => {
                let place = store.to_string();
                let place = place.trim_end_matches('/');
                format!("goes to {place}/{node}{path} and stays")
            }
            None => "is not possible: the node has no statemnt, and refuses a persistent path without one".into(),
        },
    }
}

fn notes(
    policy: &Policy,
    rule: Option<&Rule>,
    path: &str,
    dialect: statelite_policy::Dialect,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(rule) = rule {
        if rule.path != path && !rule.directory {
            notes.push(format!(
                "{} is written without a trailing slash: it governs what is below only if it is a directory there",
                rule.path
            ));
        }
        if matches!(rule.placement, Placement::Volatile | Placement::Concat) {
            notes.push("what the node has changed itself since it booted comes first".into());
        }
        if matches!(rule.placement, Placement::Persistent | Placement::Local) {
            notes.push(
                "the path is copied once, at first use; from then on the copy alone answers".into(),
            );
        }
        if rule.path == "/etc/mtab" && path == rule.path {
            notes.push(
                "/etc/mtab shows a link to /proc/self/mounts unless the image has one".into(),
            );
        }
        notes.push(format!(
            "link mode ({dialect} dialect) does it with a {} ({})",
            match rule.flavour {
                statelite_policy::Flavour::Link => "symbolic link",
                statelite_policy::Flavour::Bind => "bind mount",
            },
            rule.option
        ));
    }
    let implied = |rule: &Rule| Path::new(path).starts_with(&rule.path);
    if implied::for_systemd(&policy.tree).any(|rule| implied(&rule)) {
        notes.push(format!(
            "a node in FUSE mode has it volatile all the same, unless statelite.implied=none is on its kernel command line: {}",
            implied::FOR_SYSTEMD
        ));
    }
    let inside = format!("{}/", path.trim_end_matches('/'));
    let below: Vec<&str> = policy
        .tree
        .rules()
        .map(|rule| rule.path.as_str())
        .filter(|other| other.starts_with(&inside) && *other != path)
        .collect();
    if let Some(first) = below.first() {
        let more = match below.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        notes.push(format!(
            "paths below it have rules of their own: {first}{more}"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
