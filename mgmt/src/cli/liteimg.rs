//! `liteimg`: an image prepared for link mode, as xCAT's command does it.

mod edits;
pub mod target;

use super::{Context, report};
use crate::image::lite::step::Step;
use crate::image::lite::{self, Options, Report};
use crate::image::pack::exlist::Exlist;
use crate::image::pack::{self, Info};
use crate::resolve;
use crate::tables::schema::SITE;
use crate::tables::transfer::Bundle;
use crate::tables::{Row, Site};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use statelite_policy::{Dialect, Rule};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use target::{Named, Target};

/// Said after every run that changed something, on standard error.
const FUSE: &str =
    "Note: only nodes in link mode need this. Nodes in FUSE mode run from the image as it is.";

/// Prepare an image for link mode: replace what the litefile table lists by links, or keep copies of it
///
/// Each path with a link option becomes a link into .statelite/tmpfs, and what it was is kept below .default. Paths
/// with other options stay, with a copy below .default. A second run follows changes of the table; --undo gives the
/// image back as it was. A run that was interrupted is finished by the next one.
///
/// Nodes in FUSE mode need none of this: they run from an image as it is, prepared or not.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub struct Args {
    /// The image: its name in the osimage table, or OS-ARCH-PROFILE
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
    /// Operating system of the image
    #[arg(short = 'o', value_name = "OS")]
    pub os: Option<String>,
    /// Architecture of the image
    #[arg(short = 'a', value_name = "ARCH")]
    pub arch: Option<String>,
    /// Profile of the image
    #[arg(short = 'p', value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Form of the root: nfs, or ramdisk, which is also packed into rootimg-statelite.gz (default: osimage.rootfstype)
    #[arg(short = 't', value_name = "TYPE", value_parser = ["nfs", "ramdisk"])]
    pub rootfstype: Option<String>,
    /// Accepted for xCAT's sake: nothing is left out that the image would not need
    #[arg(long, hide = true)]
    pub tracker: bool,
    /// Print the version
    #[arg(short = 'v', long = "version")]
    pub version: bool,
    /// Print every step
    #[arg(short = 'V', long)]
    pub verbose: bool,
    /// Root of the image, in place of what the tables say
    #[arg(long, value_name = "DIR")]
    pub rootimg: Option<PathBuf>,
    /// Take the tables from a directory of CSV files (litefile.csv, ...), in place of the database
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
    /// Meaning of the option words: current or 2010 (default: site.statelitedialect, else current)
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Dialect>,
    /// Print what would be done
    #[arg(long, conflicts_with = "check")]
    pub dry_run: bool,
    /// Tell whether the image is as the tables say; exit status 1 if it is not
    #[arg(long, conflicts_with = "undo")]
    pub check: bool,
    /// Give the image back as it was before the first run
    #[arg(long)]
    pub undo: bool,
    /// Links and copies only: do not make the root of the fstab read-only, set root's password (passwd table, key system),
    /// or copy the files of osimage.synclists; what an earlier run did of it is given back
    #[arg(long)]
    pub links_only: bool,
    /// Files with what is left out of the ramdisk form (default: linuximage.exlist; for an image
    /// without a row in the osimage table the profile's own list, as for genimage)
    #[arg(long, value_name = "FILES")]
    pub exlist: Option<String>,
}

/// Runs it.
///
/// # Errors
/// What cannot be done, and why.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<ExitCode> {
    if args.version {
        report::print(concat!("statelite ", env!("CARGO_PKG_VERSION"), "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let named = Named {
        image: args.image.clone(),
        os: args.os.clone(),
        arch: args.arch.clone(),
        profile: args.profile.clone(),
        rootimg: args.rootimg.clone(),
    };
    if named == Named::default() {
        report::print(
            "liteimg -h # this help message\nliteimg -v # version\nliteimg -V # verbose\nliteimg -p <profile> -a <architecture> -o <OS>\nliteimg imagename\n",
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let site = tables(context, args)?;
    let target = target::find(&site, &named, &|path| path.is_file())?;
    let dialect = args.dialect.unwrap_or_else(|| resolve::dialect(&site));
    let rules = match args.undo {
        true => Vec::new(),
        false => rules(&site, &target.image, dialect)?,
    };
    let (edits, warnings) = match args.undo || args.links_only {
        true => (Vec::new(), Vec::new()),
        false => edits::edits(&site, &target)?,
    };
    for warning in warnings {
        eprintln!("Warning: {warning}");
    }
    let options = Options {
        dry_run: args.dry_run || args.check,
        ..Options::default()
    };
    let json = context.global.json;
    let quiet = options.dry_run || json;
    let root = target.root.display();
    if !quiet {
        report::print(&format!("Modifying {root} ...\n"))?;
    }
    let bar = bar(quiet);
    let done = lite::apply_edited(
        &target.root,
        &target.image,
        (&rules, &edits),
        dialect,
        options,
        &mut |done, all, step| show(&bar, args.verbose && !quiet, &target.root, done, all, step),
    );
    bar.finish_and_clear();
    let done = done?;
    for warning in &done.warnings {
        eprintln!("Warning: {warning}");
    }
    if json {
        report::json(&as_json(&target, args, &done))?;
    } else if args.check {
        tell(&target, args, &done)?;
    } else if args.dry_run {
        let lines: Vec<String> = done.steps.iter().map(|step| format!("{step}\n")).collect();
        report::print(&lines.concat())?;
    } else {
        report::print(&format!("Modifying {root} done.\n"))?;
        eprintln!("{FUSE}");
    }
    let matches = done.steps.is_empty() && !done.resumed;
    if args.check && !matches {
        return Ok(ExitCode::FAILURE);
    }
    let form = args.rootfstype.as_ref().or(target.rootfstype.as_ref());
    if form.is_some_and(|form| form == "ramdisk") && !options.dry_run && !args.undo {
        ramdisk(&target, args, json)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tables(context: &Context, args: &Args) -> anyhow::Result<Site> {
    let Some(dir) = &args.tables else {
        return context.site();
    };
    let mut site = Site::default();
    Bundle::read(dir, |_| {})?.put(&mut site);
    Ok(site)
}

fn rules(site: &Site, image: &str, dialect: Dialect) -> anyhow::Result<Vec<Rule>> {
    let mut site = site.clone();
    let key = "statelitedialect";
    let mut settings = site.rows(&SITE).to_vec();
    settings.retain(|row| row.get(&SITE, "key") != Some(key));
    let row = Row::new(&SITE).with(&SITE, "key", key);
    settings.push(row.with(&SITE, "value", &dialect.to_string()));
    site.put(&SITE, settings);
    let policy = resolve::image_policy(&site, image)?;
    for warning in &policy.warnings {
        eprintln!("Warning: {warning}");
    }
    Ok(policy.tree.rules().cloned().collect())
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show(bar: &ProgressBar, verbose: bool, root: &Path, done: usize, all: usize, step: &Step) {
    bar.set_length(all as u64);
    bar.set_position(done as u64);
    bar.set_message(step.to_string());
    let made = matches!(step, Step::Mkdir { path, .. } if path == ".statelite");
    bar.suspend(|| {
        // A closed standard output must not leave the image half done.
        if made {
            let _ = report::print(&format!("creating {}/.statelite\n", root.display()));
        } else if verbose {
            let _ = report::print(&format!("{step}\n"));
        }
    });
}

fn tell(target: &Target, args: &Args, done: &Report) -> anyhow::Result<()> {
    let root = target.root.display();
    let steps: Vec<&Step> = done.steps.iter().collect();
    let line = match (done.resumed, steps.len()) {
        (true, _) => "an interrupted run is to be finished: run liteimg".to_owned(),
        (false, 0) => "as the tables say".to_owned(),
        (false, count) => format!("not as the tables say ({count} steps): run liteimg"),
    };
    report::print(&format!("{root}: {line}\n"))?;
    if args.verbose {
        let lines: Vec<String> = steps.iter().map(|step| format!("{step}\n")).collect();
        report::print(&lines.concat())?;
    }
    Ok(())
}

fn as_json(target: &Target, args: &Args, done: &Report) -> serde_json::Value {
    serde_json::json!({
        "image": target.image,
        "rootimg": target.root,
        "dry_run": args.dry_run || args.check,
        "matches": done.steps.is_empty() && !done.resumed,
        "resumed": done.resumed,
        "steps": done.steps.iter().map(step_as_json).collect::<Vec<_>>(),
        "warnings": done.warnings,
    })
}

/// A step without the content of files: it may be a shadow file.
fn step_as_json(step: &Step) -> serde_json::Value {
    match step {
        Step::Content { path, file, .. } => {
            serde_json::json!({"do": "content", "path": path, "bytes": file.bytes.len()})
        }
        step => serde_json::json!(step),
    }
}

fn ramdisk(target: &Target, args: &Args, json: bool) -> anyhow::Result<()> {
    let root = target.root.display();
    let say = |text: String| match json {
        true => Ok(()),
        false => report::print(&text),
    };
    say(format!(
        "Packing contents of {root} ...\ncompress method: gzip\n"
    ))?;
    let files = args.exlist.as_ref().or(target.exlist.as_ref());
    let list = match files {
        Some(files) => Exlist::read(files).context("exlist")?,
        None => Exlist::default(),
    };
    let now = jiff::Zoned::now();
    let info = Info {
        name: target.image.clone(),
        uuid: uuid(),
        timestamp: now.strftime("%a %b %e %H:%M:%S %Z %Y").to_string(),
    };
    let bar = bar(json);
    let packed = pack::pack(&target.root, &list, &info, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    for warning in packed?.warnings {
        eprintln!("Warning: {warning}");
    }
    say(format!("Packing contents of {root} done.\n"))
}

/// A random name (UUID version 4).
fn uuid() -> String {
    let number = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let hex = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts = parts.map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}
