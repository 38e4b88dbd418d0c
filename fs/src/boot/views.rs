//! What shows at `/.statelite`: lines or tables, the log, and the stores.

use super::cmdline::CommandLine;
use super::saved::Lines;
use crate::config::args::MountArgs;
use crate::config::assemble::Assembled;
use anyhow::{Context as _, bail};
use statelite_policy::{NodeIdentity, Placement, Source};
use std::path::Path;

/// Names of the tables that a node needs.
const NAMES: [&str; 3] = ["litefile.csv", "litetree.csv", "statelite.csv"];

/// Tables, read from the initramfs while it is there.
#[derive(Clone, Debug)]
pub struct Tables(Vec<(&'static str, Vec<u8>)>);

/// Reads the tables in `dir`.
///
/// # Errors
/// If there is none.
pub fn read_tables(dir: &Path) -> anyhow::Result<Tables> {
    let read = |name: &&'static str| Some((*name, std::fs::read(dir.join(name)).ok()?));
    let tables: Vec<_> = NAMES.iter().filter_map(read).collect();
    if tables.is_empty() {
        bail!(
            "{}: no table is there (statelite.policy=file:DIR names a directory of the initramfs)",
            dir.display()
        );
    }
    Ok(Tables(tables))
}

impl Tables {
    /// Writes them to `dir`.
    ///
    /// # Errors
    /// As writing files.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        for (name, text) in &self.0 {
            std::fs::write(dir.join(name), text).with_context(|| (*name).to_owned())?;
        }
        Ok(())
    }

    /// Tree layers of `node`.
    ///
    /// # Errors
    /// Every row that is refused.
    pub fn trees(&self, node: &str, line: &CommandLine) -> anyhow::Result<Vec<Source>> {
        let find = |name: &str| {
            let table = self.0.iter().find(|(n, _)| *n == name)?;
            Some((table.0, table.1.as_slice()))
        };
        let tables = statelite_policy::Tables {
            litefile: find("litefile.csv"),
            litetree: find("litetree.csv"),
            statelite: find("statelite.csv"),
        };
        let identity = NodeIdentity {
            name: node.to_owned(),
            image: line.image_name.clone().unwrap_or_default(),
            ..NodeIdentity::default()
        };
        let policy = statelite_policy::build(&tables, &identity, line.dialect)?;
        Ok(policy
            .layers
            .into_iter()
            .map(|layer| layer.source)
            .collect())
    }
}

/// Writes the lines as xCAT's boot script leaves them.
///
/// # Errors
/// As writing files.
pub fn write_lines(dir: &Path, lines: &Lines) -> anyhow::Result<()> {
    for (name, lines) in [("litefile", &lines.litefile), ("litetree", &lines.litetree)] {
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        std::fs::write(dir.join(name), text).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Makes the volatile store, shows it as `tmpfs`, and begins the log.
///
/// # Errors
/// As creating directories and mounting.
pub fn stores(dir: &Path, volatile: &Path) -> anyhow::Result<()> {
    let data = volatile.join("data");
    let shown = dir.join("tmpfs");
    for made in [
        &data,
        &volatile.join("work"),
        &shown,
        &dir.join("persistent"),
    ] {
        std::fs::create_dir_all(made).with_context(|| made.display().to_string())?;
    }
    rustix::mount::mount_bind(&data, &shown).with_context(|| shown.display().to_string())?;
    std::fs::write(dir.join("statelite.log"), log()).context("statelite.log")
}

/// Commands that have the effect of what was done, in the form of xCAT's log.
fn log() -> String {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut text = String::new();
    for line in table.lines() {
        let mut fields = line.split(' ');
        let place = fields.nth(4).unwrap_or_default();
        let Some((_, after)) = line.split_once(" - ") else {
            continue;
        };
        let mut after = after.split(' ');
        let (kind, source) = (
            after.next().unwrap_or_default(),
            after.next().unwrap_or_default(),
        );
        let shown = place.strip_prefix("/views").unwrap_or(place);
        if kind.starts_with("nfs") {
            text.push_str(&format!("mount -t {kind} {source} {shown}\n"));
        }
    }
    text
}

/// Says which rules have no store to be kept in.
pub fn warn_of_spares(assembled: &Assembled, args: &MountArgs) {
    let in_memory = |path: &Option<std::path::PathBuf>| {
        path.as_deref()
            .is_some_and(|p| p.starts_with(super::private::at::VOLATILE))
    };
    for (placement, path, why) in [
        (
            Placement::Persistent,
            &args.persistent,
            "STATEMNT= is blank",
        ),
        (
            Placement::Local,
            &args.local,
            "local disks are not set up here",
        ),
    ] {
        let mut rules = assembled
            .tree
            .rules()
            .filter(|rule| rule.placement == placement);
        if let (true, Some(first)) = (in_memory(path), rules.next()) {
            tracing::warn!(
                "{why}: {} and {} more {placement} paths are kept in memory only and lost at the next boot",
                first.path,
                rules.count()
            );
        }
    }
}
