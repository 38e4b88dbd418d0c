//! What nodeset says about names that were another node's, and about files that are not of nodeset.

use crate::bootconf::address::Lookup;
use crate::bootconf::facts::KnownAs;
use crate::bootconf::loader::{Alias, LOADERS};
use crate::bootconf::plan::Outcome;
use crate::bootconf::stale::{Stale, Taken};
use crate::tables::Site;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Adds a warning to the plans of nodes that took a name which another node lacks now, and of those that have files of
/// somebody else in their way. `stale` is in the order of the outcomes.
pub(super) fn warn(
    site: &Site,
    outcomes: &mut [(String, Outcome)],
    stale: &[Stale],
    lookup: Lookup,
) {
    let places: HashMap<String, (usize, bool)> = outcomes
        .iter()
        .enumerate()
        .map(|(place, (node, outcome))| (node.clone(), (place, outcome.is_ok())))
        .collect();
    for (place, ((_, outcome), stale)) in outcomes.iter_mut().zip(stale).enumerate() {
        let Ok(plan) = outcome else {
            continue;
        };
        plan.warnings.extend(foreign(&stale.foreign));
        for Taken { path, from } in &stale.taken {
            if !site.has_node(from) {
                continue;
            }
            let theirs = claims(site, from, &plan.tftpdir, lookup, path);
            let shown = path.display();
            match (theirs, places.get(from)) {
                // The later one of two in the same command has the name, and is told.
                (true, Some((other, _))) if *other > place => {}
                (true, _) => plan.warnings.push(format!(
                    "{shown} was a name of {from}'s boot file, and {from} has the same address: one of them boots as the \
                     other; correct the hosts table"
                )),
                (false, Some((_, true))) => {}
                (false, _) => plan.warnings.push(format!(
                    "{shown} was a name of {from}'s boot file and is not any more: run nodeset {from}"
                )),
            }
        }
    }
}

/// A warning for each file in the place of a node's that is not of nodeset.
pub(in crate::cli) fn foreign(paths: &BTreeSet<PathBuf>) -> impl Iterator<Item = String> {
    paths.iter().map(|path| {
        let path = path.display();
        format!("{path} is not of nodeset, and stays: firmware that asks for it gets it")
    })
}

/// Whether a node has this name by its own addresses too.
fn claims(site: &Site, node: &str, tftpdir: &Path, lookup: Lookup, path: &Path) -> bool {
    let Ok(known_as) = KnownAs::new(site, node, lookup) else {
        return false;
    };
    let mut aliases = LOADERS
        .iter()
        .flat_map(|loader| (loader.aliases)(&known_as));
    aliases.any(|alias| {
        let own = matches!(alias, Alias::Hard(_) | Alias::Symbolic(..));
        own && tftpdir.join(alias.path()) == path
    })
}
