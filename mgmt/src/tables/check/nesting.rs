//! Rows below rows. FUSE mode takes any nesting; link mode knows one level and few combinations.
//!
//! Every image is looked at as its nodes would see it: its own rows over those for every image. In FUSE mode what link
//! mode would refuse is a warning, so that a site which goes back knows.

use super::{Facts, Severity, Sink, litefile};
use crate::image::lite::nesting::{self, Problem};
use crate::tables::schema::{LITEFILE, OSIMAGE};
use statelite_policy::merge::Level;
use statelite_policy::{NodeIdentity, Origin, Rule};
use std::collections::{BTreeMap, BTreeSet};

/// The rules of one image, by path, with the numbers of their rows.
type World = BTreeMap<String, (Level, usize, Rule)>;

pub(super) fn nesting(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (image, world) in worlds(facts) {
        let rules: Vec<Rule> = world.values().map(|(_, _, rule)| rule.clone()).collect();
        for problem in nesting::check(&rules) {
            if matches!(problem, Problem::ConDirectory { .. }) {
                continue; // has a rule of its own, for both modes
            }
            let severity = if facts.links && problem.refuses() {
                Severity::Refusal
            } else {
                Severity::Warning
            };
            let note = match (facts.links, problem.refuses()) {
                (false, true) => " (link mode would refuse this; FUSE mode does not mind)",
                _ => "",
            };
            let path = problem.path().trim_end_matches('/');
            let path = if path.is_empty() { "/" } else { path };
            let reason = format!("{problem}{note}");
            report(facts, sink, severity, &image, (&world, path), &reason);
        }
    }
}

pub(super) fn deep(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (image, world) in worlds(facts) {
        for path in world.keys() {
            let Some(middle) = parent(&world, path) else {
                continue;
            };
            let Some(top) = parent(&world, middle) else {
                continue;
            };
            let reason = format!(
                "{path} is below {middle}/, and that below {top}/: link mode knows only one level"
            );
            report(
                facts,
                sink,
                Severity::Warning,
                &image,
                (&world, path),
                &reason,
            );
        }
    }
}

/// The nearest path above that is listed as a directory.
fn parent<'p>(world: &World, path: &'p str) -> Option<&'p str> {
    let cuts = path.rmatch_indices('/').filter(|(at, _)| *at > 0);
    let mut above = cuts.filter_map(|(at, _)| path.get(..at));
    above.find(|above| world.get(*above).is_some_and(|(_, _, rule)| rule.directory))
}

fn report(
    facts: &Facts<'_>,
    sink: &mut Sink<'_>,
    severity: Severity,
    image: &str,
    (world, path): (&World, &str),
    reason: &str,
) {
    let Some((_, index, _)) = world.get(path) else {
        return;
    };
    let Some(row) = facts.site.rows(&LITEFILE).get(*index) else {
        return;
    };
    // A row for all images is told of once for all, not once for each image.
    let own = row.get(&LITEFILE, "image") == Some(image);
    let reason = if own || image.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason}, for the image {image}")
    };
    sink.report_as(severity, &LITEFILE, (*index, row), "options", reason);
}

/// The rules of every image that has rows of its own, and of all others (with an empty name).
fn worlds(facts: &Facts<'_>) -> Vec<(String, World)> {
    let rows: Vec<_> = litefile::good(facts).collect();
    let named = rows.iter().map(|row| row.image);
    let named: BTreeSet<&str> = named
        .filter(|image| !matches!(*image, "" | "ALL"))
        .collect();
    let mut identities = vec![NodeIdentity::default()];
    for name in &named {
        let groups = facts.site.row(&OSIMAGE, &[name]);
        let groups = groups.and_then(|row| row.get(&OSIMAGE, "groups"));
        identities.push(NodeIdentity {
            image: (*name).to_owned(),
            image_groups: groups.map(str::to_owned),
            ..NodeIdentity::default()
        });
    }
    let worlds = identities.into_iter().map(|identity| {
        let mut world = World::new();
        for row in &rows {
            let Some(level) = identity.level(row.image) else {
                continue;
            };
            let path = row.path.path.clone().into_owned();
            if world
                .get(&path)
                .is_some_and(|(known, _, _)| *known >= level)
            {
                continue;
            }
            let rule = Rule {
                path: path.clone(),
                directory: row.path.directory,
                placement: row.word.placement,
                flavour: row.word.flavour,
                option: row.word.normal().to_owned(),
                origin: Origin::CommandLine,
            };
            world.insert(path, (level, row.place.0, rule));
        }
        (identity.image, world)
    });
    worlds.collect()
}
