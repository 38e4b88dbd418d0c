//! liteimg: an image prepared for link mode.
//!
//! A path with a link option becomes a link into `.statelite/tmpfs`, where in the image a second link leads below
//! `.default`; there the thing itself is. At boot a fresh tmpfs hides `.statelite`, and the node decides for itself
//! what the first link finds. A path with a bind option stays, and is copied below `.default`.
//!
//! | module | what it answers |
//! |---|---|
//! | [`nesting`] | which rows may stand below which |
//! | [`look`] | what is in an image, as far as planning needs to know |
//! | [`world`] | what is there in the middle of a plan |
//! | [`plan`], `realise`, `revert`, `previous` | what has to be done: pure, no I/O |
//! | [`edit`], `edited` | files that are changed besides: the fstab, root's password, synchronised ones |
//! | [`step`] | one step, and its text |
//! | [`state`] | `litefile.save`, and what an exact undo needs besides |
//! | [`root`] | the image on disk, reached through a descriptor only, no link followed |
//! | [`tree`] | whole trees: copied, compared, removed |
//! | [`execute`] | a plan carried out so that a crash at any point is finished by the next run |

pub mod edit;
mod edited;
pub mod execute;
pub mod look;
pub mod nesting;
pub mod plan;
mod previous;
mod realise;
mod revert;
pub mod root;
pub mod state;
pub mod step;
pub mod tree;
pub mod world;

use nesting::Problem;
use plan::Last;
use root::Root;
use state::{SAVE, STATE};
use statelite_policy::{Dialect, Rule};
use std::io;
use std::path::{Path, PathBuf};
use step::{Plan, Step};

/// Why an image was not, or not wholly, prepared.
#[derive(Debug, thiserror::Error)]
pub enum LiteError {
    /// Rows that cannot be used in link mode.
    #[error("{}", .0.iter().filter(|p| p.refuses()).map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Problem>),
    /// The image cannot be opened.
    #[error("{}: {source}", .path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another run works on the image.
    #[error("{}: another liteimg is working on this image", .0.display())]
    Busy(PathBuf),
    /// Something in the image cannot be looked at.
    #[error("/{path} in the image: {source}")]
    Look {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A listed path leads through something that is no directory.
    #[error("/{path} cannot be listed: /{at} in the image is not a directory")]
    NotADirectory {
        /// The listed path.
        path: String,
        /// What is in the way.
        at: String,
    },
    /// A listed path leads in a circle.
    #[error("/{0} cannot be listed: it leads through a circle of links in the image")]
    Loop(String),
    /// A listed path leads to liteimg's own files.
    #[error(
        "/{path} cannot be listed: it leads to /{at} in the image, where liteimg keeps its own files"
    )]
    Reserved {
        /// The listed path.
        path: String,
        /// Where it leads.
        at: String,
    },
    /// A listed path leads through a link to where another row is done.
    #[error(
        "/{path} cannot be listed together with /{other}: a link in the image leads it to /{place}; list /{place} instead"
    )]
    Overlap {
        /// The listed path.
        path: String,
        /// Where it leads.
        place: String,
        /// The other row.
        other: String,
    },
    /// The image changed while it was looked at.
    #[error("/{0} in the image changed while liteimg looked at it: run liteimg again")]
    Planned(String),
    /// The state file is damaged.
    #[error(
        ".statelite/liteimg.state in the image cannot be read ({0}); put it back from a copy, or remove it: then what is below .default counts as having been in the image"
    )]
    State(String),
    /// The list of the last run is damaged, or of another dialect.
    #[error(
        ".statelite/litefile.save in the image, line {line}: {reason}; is it of the other dialect (--dialect)?"
    )]
    Save {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// An interrupted run left a journal that cannot be used.
    #[error(".statelite/journal in the image cannot be read ({0}); nothing was done")]
    Journal(String),
    /// A step failed.
    #[error(
        "{step}: {source}; the image is unfinished: mend this and run liteimg again, it goes on here"
    )]
    Step {
        /// The step.
        step: String,
        /// Why.
        source: io::Error,
    },
}

impl LiteError {
    /// Says at which path looking failed.
    fn at(path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.trim_start_matches('/').to_owned();
        move |source| Self::Look { path, source }
    }

    /// Whether a test broke the run off.
    #[must_use]
    pub fn aborted(&self) -> bool {
        let (Self::Step { source, .. } | Self::Look { source, .. } | Self::Open { source, .. }) =
            self
        else {
            return false;
        };
        source.to_string() == root::ABORTED
    }
}

/// How to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Only plan.
    pub dry_run: bool,
    /// For tests: break off after this many changes, as a crash would.
    pub abort_after: Option<u64>,
    /// Do not wait for the disk at the barriers; for images that can be made again.
    pub no_sync: bool,
}

/// What a run did, or would do.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The steps.
    pub steps: Vec<Step>,
    /// Whether a run that was interrupted before was finished first (with `dry_run`: would be; the steps are then the
    /// ones that are left of it).
    pub resumed: bool,
    /// What an administrator should know.
    pub warnings: Vec<String>,
}

/// Prepares the image at `root` for link mode with these rules, or, without rules, gives it back as it was.
///
/// # Errors
/// [`LiteError`]. Rows that cannot be used are refused before anything is touched.
pub fn apply(
    root: &Path,
    image: &str,
    rules: &[Rule],
    dialect: Dialect,
    options: Options,
) -> Result<Report, LiteError> {
    apply_with(root, image, rules, dialect, options, &mut |_, _, _| {})
}

/// As [`apply`], and tells of each step: how many are done, how many there are, and the step.
///
/// # Errors
/// As [`apply`].
pub fn apply_with(
    root: &Path,
    image: &str,
    rules: &[Rule],
    dialect: Dialect,
    options: Options,
    progress: &mut dyn FnMut(usize, usize, &Step),
) -> Result<Report, LiteError> {
    apply_edited(root, image, (rules, &[]), dialect, options, progress)
}

/// As [`apply_with`], and changes these files too. Files that an earlier run changed and this one does not are given back.
///
/// # Errors
/// As [`apply`].
pub fn apply_edited(
    root: &Path,
    image: &str,
    (rules, edits): (&[Rule], &[edit::Edit]),
    dialect: Dialect,
    options: Options,
    progress: &mut dyn FnMut(usize, usize, &Step),
) -> Result<Report, LiteError> {
    let problems = nesting::check(rules);
    if problems.iter().any(Problem::refuses) {
        return Err(LiteError::Refused(problems));
    }
    let image_root = open(root, options)?;
    let unfinished = execute::unfinished(&image_root)?;
    let mut report = Report {
        resumed: unfinished.is_some(),
        ..Report::default()
    };
    if let (true, Some(plan)) = (options.dry_run, &unfinished) {
        report.steps.clone_from(&plan.steps);
        return Ok(report);
    }
    if !options.dry_run {
        execute::finish_last(&image_root, unfinished, progress)?;
    }
    loop {
        let plan = look(&image_root, image, (rules, edits), dialect)?;
        if !options.dry_run {
            execute::carry_out(&image_root, &plan, progress)?;
        }
        let done = plan.steps.is_empty() || options.dry_run || !plan.again;
        report.steps.extend(plan.steps);
        // A second plan after the first says what it still sees.
        let warnings = plan.warnings.into_iter();
        let new: Vec<String> = warnings
            .filter(|warning| !report.warnings.contains(warning))
            .collect();
        report.warnings.extend(new);
        if done {
            break;
        }
    }
    Ok(report)
}

fn open(path: &Path, options: Options) -> Result<Root, LiteError> {
    Root::open(path, !options.no_sync, options.abort_after).map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::WouldBlock => LiteError::Busy(path),
            _ => LiteError::Open { path, source },
        }
    })
}

fn look(
    root: &Root,
    image: &str,
    (rules, edits): (&[Rule], &[edit::Edit]),
    dialect: Dialect,
) -> Result<Plan, LiteError> {
    let save = root.read(SAVE).map_err(LiteError::at(SAVE))?;
    let state = root.read(STATE).map_err(LiteError::at(STATE))?;
    let last = Last {
        save: save.as_deref(),
        state: state.as_deref(),
    };
    plan::plan(image, rules, edits, dialect, root, last)
}
