//! A plan carried out.
//!
//! The whole plan is written to `.statelite/journal` and brought to the disk before its first step. A run that finds
//! a journal carries that out first, from the last barrier on: every step can be done again, wholly or in part done
//! as it may be (see [`Step`]). At a barrier everything before is on the disk, and `.statelite/journal.at` says so.
//!
//! `.statelite` itself comes and goes by renaming, with the journal in it. Meanwhile an attribute of the root keeps
//! the modification time of the root, so that this can be given back after a crash too.

use super::edit::Content;
use super::look::{Kind, Look as _, below, split};
use super::plan::{OWN, STORE};
use super::root::Root;
use super::state::digest;
use super::step::{Plan, Step};
use super::{LiteError, tree};
use rustix::io::Errno;
use std::io;

const JOURNAL: &str = ".statelite/journal";
const PROGRESS: &str = ".statelite/journal.at";
/// Where copies are made, and what is removed goes first.
const WORK: &str = ".statelite/work";
/// Names of a `.statelite` that comes, and of one that goes.
const COMING: &str = ".statelite.new";
const GOING: &str = ".statelite.gone";

/// Told how many steps are done, how many there are, and which one comes.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize, &Step);

/// The plan of a run that was interrupted, if there is one.
///
/// # Errors
/// [`LiteError::Journal`] if it cannot be read.
pub fn unfinished(root: &Root) -> Result<Option<Plan>, LiteError> {
    let Some(text) = root.read(JOURNAL).map_err(LiteError::at(JOURNAL))? else {
        return Ok(None);
    };
    let bad = |reason: &str| LiteError::Journal(reason.to_owned());
    let (sum, body) = text.split_once('\n').ok_or_else(|| bad("cut off"))?;
    if digest(body) != sum {
        return Err(bad("its checksum is wrong"));
    }
    serde_json::from_str(body)
        .map(Some)
        .map_err(|error| bad(&error.to_string()))
}

/// Finishes what an interrupted run left.
///
/// # Errors
/// [`LiteError::Step`].
pub fn finish_last(
    root: &Root,
    plan: Option<Plan>,
    progress: Progress<'_>,
) -> Result<(), LiteError> {
    leftovers(root, plan.is_some()).map_err(failed("tidying up"))?;
    let Some(plan) = plan else { return Ok(()) };
    let at = root.read(PROGRESS).map_err(LiteError::at(PROGRESS))?;
    let at = at.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    steps(root, &plan, at, true, progress)
}

/// Carries out a plan.
///
/// # Errors
/// [`LiteError::Step`]; the next run goes on.
pub fn carry_out(root: &Root, plan: &Plan, progress: Progress<'_>) -> Result<(), LiteError> {
    if plan.steps.is_empty() {
        return Ok(());
    }
    begin(root, plan).map_err(failed("writing the journal"))?;
    steps(root, plan, 0, false, progress)
}

fn failed(step: &str) -> impl FnOnce(io::Error) -> LiteError {
    let step = step.to_owned();
    move |source| LiteError::Step { step, source }
}

/// Removes what a crash before or after the steps left, and a half-made copy.
fn leftovers(root: &Root, journal: bool) -> io::Result<()> {
    for path in [COMING, GOING] {
        if root.stat(path)?.is_some() {
            tree::remove(root, root.dir("")?, path.as_bytes())?;
        }
    }
    root.release_mtime()?;
    let mut files = vec![WORK, ".statelite/journal.new", ".statelite/journal.at.new"];
    if !journal {
        files.push(PROGRESS);
    }
    for path in files {
        if root.stat(path)?.is_some() {
            tree::remove(root, root.dir(OWN)?, split(path).1.as_bytes())?;
        }
    }
    Ok(())
}

/// Writes the journal.
fn begin(root: &Root, plan: &Plan) -> io::Result<()> {
    let body = serde_json::to_string(plan).map_err(io::Error::other)?;
    let text = format!("{}\n{body}", digest(&body));
    if root.stat(OWN)?.is_some() {
        return root.write(JOURNAL, text.as_bytes());
    }
    root.hold_mtime()?;
    root.mkdir(COMING, 0o755)?;
    root.write(&format!("{COMING}/journal"), text.as_bytes())?;
    root.rename(COMING, OWN)?;
    root.release_mtime()
}

/// Carries out the steps from number `at` on.
fn steps(
    root: &Root,
    plan: &Plan,
    at: usize,
    again: bool,
    progress: Progress<'_>,
) -> Result<(), LiteError> {
    let count = plan.steps.len();
    for (index, step) in plan.steps.iter().enumerate().skip(at) {
        progress(index, count, step);
        let done = match step {
            Step::Barrier => barrier(root, index + 1),
            step => carry(root, step, again),
        };
        done.map_err(failed(&step.to_string()))?;
    }
    end(root, plan).map_err(failed("finishing"))
}

fn barrier(root: &Root, next: usize) -> io::Result<()> {
    root.sync()?;
    root.write(PROGRESS, next.to_string().as_bytes())
}

/// Everything is done: the journal goes, and `.statelite` if nothing else needs it.
fn end(root: &Root, plan: &Plan) -> io::Result<()> {
    if root.stat(WORK)?.is_some() {
        tree::remove(root, root.dir(OWN)?, b"work")?;
    }
    root.sync()?;
    if plan.leave {
        root.hold_mtime()?;
        root.rename(OWN, GOING)?;
        tree::remove(root, root.dir("")?, GOING.as_bytes())?;
        return root.release_mtime();
    }
    root.unlink(JOURNAL, false)?;
    if root.stat(PROGRESS)?.is_some() {
        root.unlink(PROGRESS, false)?;
    }
    match plan.own_mtime {
        Some(time) => root.set_mtime(OWN, time),
        None => Ok(()),
    }
}

/// Says what to do when something cannot be renamed within the image.
fn mounted(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::XDEV) => io::Error::other(
            "it is on another file system than the root of the image: unmount it, or, if the image is on an overlay, copy the image first",
        ),
        Some(Errno::BUSY) => io::Error::other("something is mounted there: unmount it"),
        _ => error,
    }
}

/// Whether the thing with this name is the one meant.
fn is(root: &Root, path: &str, ino: u64) -> io::Result<bool> {
    Ok(root.stat(path)?.is_some_and(|stat| stat.st_ino == ino))
}

fn carry(root: &Root, step: &Step, again: bool) -> io::Result<()> {
    match step {
        Step::Mkdir {
            path,
            mode,
            uid,
            gid,
        } => {
            match root.mkdir(path, *mode) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => {}
                result => result?,
            }
            root.own(path, *mode, *uid, *gid)
        }
        Step::Rmdir { path } => match root.stat(path)? {
            Some(_) => root.unlink(path, true),
            None => Ok(()),
        },
        Step::Move { from, to, ino } => {
            if is(root, from, *ino)? {
                root.rename(from, to).map_err(mounted)
            } else if is(root, to, *ino)? {
                Ok(())
            } else {
                Err(io::Error::other("it is not there any more"))
            }
        }
        Step::Symlink { path, text } => match root.meta(path)? {
            Some(meta) if meta.link.as_deref() == Some(text.as_bytes()) => Ok(()),
            _ => root.symlink(path, text),
        },
        Step::Unlink { path, text } => match root.meta(path)? {
            Some(meta) if meta.link.as_deref() == Some(text.as_bytes()) => root.unlink(path, false),
            _ => Ok(()),
        },
        Step::Touch { path } => touch(root, path),
        Step::RemoveEmpty { path, ino } => match root.meta(path)? {
            Some(meta) if meta.ino == *ino && meta.kind == Kind::File && meta.size == 0 => {
                root.unlink(path, false)
            }
            _ => Ok(()),
        },
        Step::Copy { from, to } => copy(root, from, to, again),
        Step::Discard { path, ino } => match is(root, path, *ino)? {
            true => discard(root, path),
            false => Ok(()),
        },
        Step::Content { path, file, like } => content(root, path, file, like.as_deref()),
        Step::Withdraw { path, ino } => match is(root, path, *ino)? {
            true => root.unlink(path, false),
            false => Ok(()),
        },
        Step::Write { path, text } => root.write(path, text.as_bytes()),
        Step::Remove { path } => match root.stat(path)? {
            Some(_) => root.unlink(path, false),
            None => Ok(()),
        },
        Step::Times {
            path,
            seconds,
            nanos,
        } => root.set_mtime(path, (*seconds, *nanos)),
        Step::Barrier => Ok(()),
    }
}

fn touch(root: &Root, path: &str) -> io::Result<()> {
    use rustix::fs::OFlags;
    if root
        .meta(path)?
        .is_some_and(|meta| meta.kind == Kind::File && meta.size == 0)
    {
        return Ok(());
    }
    root.tick()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let file = root.open_at(path, flags, 0o644)?;
    Ok(rustix::fs::fchmod(
        file,
        rustix::fs::Mode::from_raw_mode(0o644),
    )?)
}

/// A fresh directory below the work directory.
fn work(root: &Root) -> io::Result<()> {
    match root.stat(WORK)? {
        Some(_) => Ok(()),
        None => root.mkdir(WORK, 0o700),
    }
}

/// Makes the copy beside its place, then renames it. When a run is finished, a copy that is there is made anew: a
/// power cut may have left it without its content.
fn copy(root: &Root, from: &str, to: &str, again: bool) -> io::Result<()> {
    if again && root.stat(to)?.is_some() {
        discard(root, to)?;
    }
    work(root)?;
    let (dir, name) = split(from);
    let place = root.dir(WORK)?;
    tree::copy(root, root.dir(dir)?, name.as_bytes(), &place, b"copy")?;
    root.rename(&format!("{WORK}/copy"), to)
}

/// Makes the file in the work directory, then renames it, so that no half of it is ever seen.
fn content(root: &Root, path: &str, file: &Content, like: Option<&str>) -> io::Result<()> {
    if root.stat(path)?.is_some() {
        // A run that is finished may have come this far.
        return match root.content(path)? == file.bytes {
            true => Ok(()),
            false => Err(io::Error::other("something else is there by now")),
        };
    }
    work(root)?;
    let new = format!("{WORK}/content");
    if root.stat(&new)?.is_some() {
        root.unlink(&new, false)?;
    }
    root.create(&new, file, like)?;
    root.rename(&new, path)
}

/// Removes a copy: first it loses its name, so that no half of it is ever seen.
fn discard(root: &Root, path: &str) -> io::Result<()> {
    if below(path, STORE).is_none_or(str::is_empty) {
        return Err(io::Error::other("only copies below .default are removed"));
    }
    work(root)?;
    root.rename(path, &format!("{WORK}/old"))?;
    tree::remove(root, root.dir(WORK)?, b"old")
}
