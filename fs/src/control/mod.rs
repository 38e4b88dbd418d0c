//! The control socket of a running mount.
//!
//! One socket per mount lies in `/run/statelitefs`, readable by root only. A request is one line
//! of JSON ([`Request`]), the answer is one line ([`Answer`]); see [`server`] and [`client`].

pub mod client;
pub mod server;
pub mod status;

use crate::config::args::PolicyArgs;
use crate::overlay::explain::Explanation;
use crate::overlay::plan::Plan;
use crate::overlay::reload::ReloadReport;
use serde::{Deserialize, Serialize};
use status::Status;
use std::path::{Path, PathBuf};

/// Where the sockets are.
pub const DIR: &str = "/run/statelitefs";

/// What a running mount is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// How it is doing.
    Status,
    /// Why paths (absolute in the mount) look as they do.
    Explain(Vec<String>),
    /// What another policy would do.
    Plan(Box<PolicyArgs>),
    /// Put another policy in force.
    Reload {
        /// Settings that replace those of the mount; what is empty stays.
        policy: Box<PolicyArgs>,
        /// Announce a new generation of published layers: forget all caches.
        new_generation: bool,
    },
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Explain`].
    Explained(Vec<Explanation>),
    /// To [`Request::Plan`], with what is odd in the new tables.
    Planned(Plan, Vec<String>),
    /// To [`Request::Reload`], with what is odd in the new tables.
    Reloaded(ReloadReport, Vec<String>),
    /// The request was refused; nothing has changed.
    Refused(String),
}

/// Socket of the mount at `mountpoint`: the path with `/` as `-` and `-` doubled, so that
/// different paths have different sockets.
pub fn socket_path(mountpoint: &Path) -> PathBuf {
    socket_path_in(Path::new(DIR), mountpoint, "sock")
}

/// Log file of the mount at `mountpoint`.
pub fn log_path(mountpoint: &Path) -> PathBuf {
    socket_path_in(Path::new(DIR), mountpoint, "log")
}

fn socket_path_in(dir: &Path, mountpoint: &Path, extension: &str) -> PathBuf {
    let text = mountpoint.to_string_lossy();
    let mut name: String = text.trim_matches('/').replace('-', "--").replace('/', "-");
    if name.is_empty() {
        name.push_str("root");
    }
    // Names of sockets are short (108 bytes); long ones keep their end and a hash of the whole.
    if name.len() > 80 {
        let hash = crate::overlay::ident::of_path(text.as_bytes());
        let end: String = name
            .chars()
            .rev()
            .take(48)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        name = format!("{hash:016x}{end}");
    }
    dir.join(format!("{name}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_different_mounts_differ() {
        let path = |p: &str| socket_path(Path::new(p));
        assert_eq!(path("/"), Path::new("/run/statelitefs/root.sock"));
        assert_ne!(path("/a/b"), path("/a-b"));
        let long = format!("/{}", "x/".repeat(100));
        assert!(path(&long).as_os_str().len() < 108);
        assert_ne!(path(&long), path(&format!("{long}y")));
    }
}
