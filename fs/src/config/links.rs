//! Listed directories that are symlinks in the image.
//!
//! The old tables list `/var/run/` and `/var/lock/`; distributions made these links to `/run` and
//! `/run/lock`. The link stays as it is (so that package verification stays clean), and the rule
//! also holds for the directory it leads to, unless that is listed itself.

use crate::overlay::layer::Layer;
use crate::overlay::lower::is_absent;
use crate::sys::{Result, lease};
use anyhow::Context as _;
use rustix::fs::FileType;
use rustix::io::Errno;
use statelite_policy::{Origin, Rule};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Links followed before a path is given up as circular, as in the kernel.
const MAX_LINKS: usize = 40;

/// Adds a rule for the target of each listed directory that is a link.
///
/// # Errors
/// A path that cannot be looked at: without its rule it could never be written.
pub fn follow(rules: &mut Vec<Rule>, layers: &[Arc<Layer>]) -> anyhow::Result<()> {
    let mut listed: BTreeSet<String> = rules.iter().map(|rule| rule.path.clone()).collect();
    let mut added = Vec::new();
    for rule in rules.iter().filter(|rule| rule.directory) {
        let target = target(&rule.path, layers)
            .with_context(|| format!("{}: cannot see where it leads", rule.path))?;
        let Some(target) = target else {
            continue;
        };
        if listed.insert(target.clone()) {
            added.push(Rule {
                path: target,
                origin: Origin::Implied("a listed directory is a link to it in the image"),
                ..rule.clone()
            });
        }
    }
    rules.extend(added);
    Ok(())
}

/// Where `path` leads if a link is at or above it; none if there is no link, or a circle of them.
fn target(path: &str, layers: &[Arc<Layer>]) -> Result<Option<String>> {
    let mut todo: Vec<String> = names(path);
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while !todo.is_empty() {
        let name = todo.remove(0);
        if name == ".." {
            done.pop();
            continue;
        }
        done.push(name);
        let Some(link) = read_link(&done.join("/"), layers)? else {
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Ok(None);
        }
        done.pop();
        if link.starts_with('/') {
            done.clear();
        }
        todo.splice(0..0, names(&link));
    }
    Ok((links > 0 && !done.is_empty()).then(|| format!("/{}", done.join("/"))))
}

fn names(path: &str) -> Vec<String> {
    let real = |name: &&str| !name.is_empty() && *name != ".";
    path.split('/').filter(real).map(str::to_owned).collect()
}

/// The link at `path` in the first layer that has anything there.
fn read_link(path: &str, layers: &[Arc<Layer>]) -> Result<Option<String>> {
    use rustix::fs::OFlags;
    for layer in layers {
        let fd = match layer.open_at(path.as_bytes(), OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => fd,
            Err(e) if is_absent(e) => continue,
            // What this daemon may not look at it cannot show either.
            Err(Errno::ACCESS | Errno::PERM | Errno::XDEV) => continue,
            Err(e) => return Err(e),
        };
        let stat = crate::sys::stat::stat_fd(&fd)?;
        if stat.kind != FileType::Symlink {
            return Ok(None);
        }
        let Ok(link) = String::from_utf8(lease::readlinkat(&fd, b"")?) else {
            return Ok(None);
        };
        if layer.processed && link.contains(".statelite/tmpfs/") {
            continue;
        }
        return Ok(Some(link));
    }
    Ok(None)
}
