//! The commands' end of the control socket.

use super::{Answer, DIR, Request, socket_path};
use anyhow::{Context as _, bail};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Asks the mount at `mountpoint`.
///
/// # Errors
/// If no daemon serves that mount point, or it refuses the request.
pub fn ask(mountpoint: &Path, request: &Request) -> anyhow::Result<Answer> {
    let path = socket_path(mountpoint);
    let mut stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "no statelitefs answers for {} (socket {})",
            mountpoint.display(),
            path.display()
        )
    })?;
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    match serde_json::from_str(&line).context("the answer is not understood")? {
        Answer::Refused(why) => bail!("{why}"),
        answer => Ok(answer),
    }
}

/// Mount points of all running mounts (those whose kernel mount is a statelitefs).
///
/// # Errors
/// If `/proc/self/mountinfo` cannot be read.
pub fn mounts() -> anyhow::Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    Ok(parse_mountinfo(&text)
        .into_iter()
        .filter(|path| socket_path(path).exists())
        .collect())
}

/// Mount points of type `fuse.statelitefs` in the text of mountinfo.
fn parse_mountinfo(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let is_ours = after.split(' ').next() == Some("fuse.statelitefs");
            let path = before.split(' ').nth(4)?;
            is_ours.then(|| PathBuf::from(unescape(path)))
        })
        .collect()
}

/// Octal escapes as the kernel writes them: space, tab, newline and backslash.
pub(crate) fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// The mount a command means: the one given, or the only one there is.
///
/// # Errors
/// If none or several run and none is named.
pub fn the_mount(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.canonicalize().unwrap_or_else(|_| given.to_owned()));
    }
    let all = mounts()?;
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("no statelitefs is mounted (no socket in {DIR})"),
        several => bail!(
            "several are mounted, name one: {}",
            several
                .iter()
                .map(|p| p.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The mount that `path` (absolute) lies in, and the path in it.
///
/// # Errors
/// If it lies in none.
pub fn mount_of(path: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let mut best: Option<PathBuf> = None;
    for mount in mounts()? {
        if path.starts_with(&mount)
            && best
                .as_ref()
                .is_none_or(|b| b.as_os_str().len() < mount.as_os_str().len())
        {
            best = Some(mount);
        }
    }
    let mount = best.with_context(|| format!("{} lies in no statelitefs mount", path.display()))?;
    let inner = Path::new("/").join(path.strip_prefix(&mount)?);
    Ok((mount, inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_mounts_are_found() {
        let text = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n\
            40 35 0:50 / /mnt/my\\040root rw - fuse.statelitefs statelitefs rw,user_id=0\n";
        assert_eq!(parse_mountinfo(text), [PathBuf::from("/mnt/my root")]);
    }
}
