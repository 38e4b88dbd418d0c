//! What a node leaves behind when `noderm` removes it: its boot files and its record. A node that comes later and has its
//! name or its address is another one.

use crate::bootconf::facts::KnownAs;
use crate::bootconf::settings::Settings;
use crate::bootconf::stale::Names;
use crate::bootconf::{BootError, names, write};
use crate::cli::bootconf::{spread, taken};
use crate::hierarchy::boot_files;
use crate::resolve::given;
use crate::tables::Site;
use std::path::Path;
use std::process::ExitCode;

/// Removes the traces of nodes; `before` is the site in which they were, `records` the directory of their records, `state`
/// that of the trees of service nodes. What stays is named, and the command fails.
///
/// # Errors
/// When the trees of service nodes cannot be read.
pub(super) fn remove(
    records: &Path,
    state: &Path,
    before: &Site,
    nodes: &[String],
) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    let mut read = Names::default();
    let mut known = Vec::new();
    for node in nodes {
        if let Err(error) = given::forget(records, node) {
            eprintln!("Warning: what {node} was given stays recorded: {error}");
        }
        // A node of another name can have no boot files.
        if names::node(node).is_err() {
            continue;
        }
        let known_as = KnownAs::by_name(node);
        match clear(before, &known_as, &mut read) {
            Ok(warnings) => {
                for warning in warnings {
                    eprintln!("Warning: {node}: {warning}");
                }
            }
            Err(error) => {
                failed = true;
                eprintln!("Error: {node} is removed, but not its boot files: {error}");
            }
        }
        known.push(known_as);
    }
    if !boot_files::shared(before) {
        let removals = spread::removals(state, before, &known)?;
        for arrival in spread::carry_out(state, removals, false) {
            failed |= arrival.complain();
        }
    }
    for known_as in known {
        match boot_files::forget(state, &known_as.node) {
            Ok(false) => {}
            Ok(true) => eprintln!(
                "Warning: {} keeps the boot files that nodeset brought to it",
                known_as.node
            ),
            Err(error) => eprintln!("Warning: {}: {error}", known_as.node),
        }
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Removes the boot files of a node on this host.
fn clear(site: &Site, known_as: &KnownAs, read: &mut Names) -> Result<Vec<String>, BootError> {
    let tftpdir = Settings::new(site, &known_as.node)?.tftpdir;
    let stale = write::clear(Path::new(&tftpdir), known_as, read)?;
    Ok(taken::foreign(&stale.foreign).collect())
}
