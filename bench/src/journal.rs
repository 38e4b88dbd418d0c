//! What is mounted and running, for the case that this program ends in a hurry.
//!
//! A measuring process that is interrupted, killed or aborted runs no destructors. So it starts a janitor: the same
//! program, in a process group of its own (a Ctrl-C does not reach it), holding the read end of a pipe. End of file
//! there means that the parent is gone; the janitor then unmounts and ends what the journal file lists as left over.
//! In the ordinary case the parent has cleaned up itself and nothing is left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::exec::Runner;
use crate::mounts;

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// About to mount something here.
    Mounted(&'a Path),
    /// Nothing is mounted here any more.
    Unmounted(&'a Path),
    /// A process group was started.
    Started(Pid),
    /// A process group has ended.
    Ended(Pid),
}

/// The journal file.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// A new journal at `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Journal {
            file: OpenOptions::new()
                .create_new(true)
                .append(true)
                .open(path)?,
        })
    }

    /// Adds a line. A journal that cannot be written only costs the janitor its knowledge, so that is just told.
    pub fn note(&self, entry: &Entry<'_>) {
        let line = match entry {
            Entry::Mounted(path) => format!("+m {}\n", path.display()),
            Entry::Unmounted(path) => format!("-m {}\n", path.display()),
            Entry::Started(pid) => format!("+p {}\n", pid.as_raw_nonzero()),
            Entry::Ended(pid) => format!("-p {}\n", pid.as_raw_nonzero()),
        };
        if let Err(error) = (&self.file).write_all(line.as_bytes()) {
            eprintln!("statelite-bench: cannot write the journal: {error}");
        }
    }
}

/// Starts the janitor; it wakes when the returned child's standard input is closed, at the latest with this process.
pub fn start_janitor(journal: &Path) -> Result<Child> {
    Command::new("/proc/self/exe")
        .arg("janitor")
        .arg(journal)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting the janitor")
}

/// The janitor itself.
pub fn clean_up_after_parent(journal: &Path) -> Result<()> {
    io::stdin()
        .read_to_end(&mut Vec::new())
        .context("waiting for the parent")?;
    let Ok(text) = fs::read_to_string(journal) else {
        return Ok(()); // the parent has cleaned up
    };
    let (mounted, groups) = left_over(&text);
    for group in groups.iter().filter_map(|raw| Pid::from_raw(*raw)) {
        // It may have ended a moment ago; only the group's own processes can be hit.
        let _gone = kill_process_group(group, Signal::KILL);
    }
    let runner = Runner::unnoted();
    for point in mounted.iter().rev() {
        eprintln!("statelite-bench: unmounting {}", point.display());
        mounts::detach(&runner, point);
    }
    if let Some(run) = journal.parent() {
        mounts::remove_run_dir(run);
    }
    Ok(())
}

/// Mountpoints and process groups that a journal leaves open, oldest first.
fn left_over(text: &str) -> (Vec<PathBuf>, Vec<i32>) {
    let mut mounted = Vec::new();
    let mut groups = Vec::new();
    for line in text.lines() {
        match line.split_at_checked(3) {
            Some(("+m ", path)) => mounted.push(PathBuf::from(path)),
            Some(("-m ", path)) => mounted.retain(|known| known != Path::new(path)),
            Some(("+p ", pid)) => groups.extend(pid.parse::<i32>().ok()),
            Some(("-p ", pid)) => groups.retain(|known| known.to_string() != pid),
            _ => {}
        }
    }
    (mounted, groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_is_left() {
        let text =
            "+m /run/store\n+m /run/mnt\n+p 41\n-p 41\n+p 42\n-m /run/mnt\n+m /run/mnt b\n+p x\n+";
        let (mounted, groups) = left_over(text);
        assert_eq!(
            mounted,
            [PathBuf::from("/run/store"), PathBuf::from("/run/mnt b")]
        );
        assert_eq!(groups, [42]);
    }
}
