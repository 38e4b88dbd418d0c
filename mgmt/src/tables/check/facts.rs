//! What several rules need to know about the site.

use crate::resolve;
use crate::tables::schema::{NODETYPE, OSIMAGE, SITE};
use crate::tables::{Row, Site, Table};
use statelite_policy::Dialect;
use std::collections::HashSet;

/// The setting that says how nodes boot: `fuse`, or `links` as xCAT does.
pub(super) const MODE: &str = "statelitemode";

/// The site, and what is worked out once.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) site: &'a Site,
    pub(super) dialect: Dialect,
    /// Whether nodes boot in link mode.
    pub(super) links: bool,
    /// Names in the osimage table.
    pub(super) images: HashSet<&'a str>,
    /// Values of osimage.groups, each as one string.
    pub(super) image_groups: HashSet<&'a str>,
    /// Names of images that exist by the nodetype table alone.
    implied: HashSet<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        let column = |name| {
            let rows = site.live(&OSIMAGE);
            rows.filter_map(move |row| row.get(&OSIMAGE, name))
        };
        Self {
            site,
            dialect: resolve::dialect(site),
            links: site.setting(MODE) == Some("links"),
            images: column("imagename").collect(),
            image_groups: column("groups").collect(),
            implied: implied(site),
        }
    }

    /// The rows of a table that count, with their numbers from 0.
    pub(super) fn live(
        &self,
        table: &'static Table,
    ) -> impl Iterator<Item = (usize, &'a Row)> + use<'a> {
        let rows = self.site.rows(table).iter().enumerate();
        rows.filter(|(_, row)| row.live(table))
    }

    /// As [`Facts::live`], only rows with a value in the column, and the value.
    pub(super) fn values(
        &self,
        table: &'static Table,
        column: &'static str,
    ) -> impl Iterator<Item = ((usize, &'a Row), &'a str)> + use<'a> {
        self.live(table)
            .filter_map(move |row| Some((row, row.1.get(table, column)?)))
    }

    /// Whether there is such an image.
    pub(super) fn has_image(&self, name: &str) -> bool {
        self.images.contains(name) || self.implied.contains(name)
    }

    /// The site row of a setting.
    pub(super) fn setting(&self, key: &str) -> Option<((usize, &'a Row), &'a str)> {
        let mut rows = self.values(&SITE, "value");
        rows.find(|((_, row), _)| row.get(&SITE, "key") == Some(key))
    }
}

/// `<os>-<arch>-statelite-<profile>` of every combination in the nodetype table: in 2010 images had no rows of their
/// own.
fn implied(site: &Site) -> HashSet<String> {
    let column = |name| -> HashSet<&str> {
        let rows = site.live(&NODETYPE);
        rows.filter_map(|row| row.get(&NODETYPE, name)).collect()
    };
    let [systems, archs, profiles] = ["os", "arch", "profile"].map(column);
    let mut names = HashSet::new();
    for os in &systems {
        for arch in &archs {
            let image = |profile| format!("{os}-{arch}-statelite-{profile}");
            names.extend(profiles.iter().map(image));
        }
    }
    names
}
