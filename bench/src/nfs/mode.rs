//! The modes: what each is, and what a node's kernel command line and image need for it.

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use statelite_mgmt::image::lite;
use statelite_policy::{Dialect, NodeIdentity, Tables};
use statelite_tests::vm::site::{Mode as Root, Site};

/// The table of every node: the cookbook's, and what Debian 12 needs besides.
pub const TABLE: &str = include_str!("../../../tests/tests/data/litefile.debian.csv");

/// One way to make `/`.
#[derive(Debug)]
pub struct Mode {
    /// Its name, as tables and `--modes` have it.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Who makes `/`.
    pub root: Root,
    /// Meaning of the option words, where liteimg has to prepare the image.
    pub links: Option<Dialect>,
    /// More words for the kernel's command line.
    pub words: &'static [&'static str],
}

/// All of them, the baseline first.
pub const MODES: [Mode; 6] = [
    Mode {
        name: "overlayfs",
        about: "the kernel's overlayfs over the read-only image, all changes in a tmpfs",
        root: Root::Overlay,
        links: None,
        words: &[],
    },
    Mode {
        name: "links-2010",
        about: "link mode as of 2010: a link for every row of this table",
        root: Root::Links,
        links: Some(Dialect::Seed2010),
        words: &["statelite.dialect=2010"],
    },
    Mode {
        name: "links",
        about: "link mode of today: the table's blank rows are links as in 2010, its ro row is a bind mount",
        root: Root::Links,
        links: Some(Dialect::Current),
        words: &[],
    },
    Mode {
        name: "statelitefs",
        about: "statelitefs as it comes: live, edits on the server show within seconds",
        root: Root::Fuse,
        links: None,
        words: &["statelite.freshness=live"],
    },
    Mode {
        name: "statelitefs-published",
        about: "statelitefs, edits show when a generation is announced; NFS mounted as usual",
        root: Root::Fuse,
        links: None,
        words: &["statelite.freshness=published"],
    },
    Mode {
        name: "statelitefs-frozen",
        about: "the same, and the NFS client believes attributes for an hour (nocto,actimeo=3600)",
        root: Root::Fuse,
        links: None,
        words: &[
            "statelite.freshness=published",
            "statelite.nfsopts=nocto,actimeo=3600",
        ],
    },
];

/// For `--modes`.
pub fn names() -> PossibleValuesParser {
    MODES
        .iter()
        .map(|mode| mode.name)
        .collect::<Vec<_>>()
        .into()
}

impl Mode {
    /// Makes the site's image ready for it.
    ///
    /// # Errors
    /// When liteimg refuses the table, or cannot change the image.
    pub fn prepare(&self, site: &Site) -> Result<()> {
        let Some(dialect) = self.links else {
            return Ok(());
        };
        let tables = Tables {
            litefile: Some(("litefile", TABLE.as_bytes())),
            ..Tables::default()
        };
        let node = NodeIdentity {
            image: "bench".to_owned(),
            ..NodeIdentity::default()
        };
        let policy = statelite_policy::build(&tables, &node, dialect).context("the table")?;
        let rules: Vec<_> = policy.tree.rules().cloned().collect();
        let options = lite::Options {
            no_sync: true,
            ..lite::Options::default()
        };
        lite::apply(&site.image(), "bench", &rules, dialect, options).context("liteimg")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `about` of the link modes says: all rows but one are blank.
    #[test]
    fn the_table_is_what_the_modes_say_of_it() {
        let rows = TABLE.lines().filter(|line| line.starts_with('"'));
        let options: Vec<_> = rows.filter_map(|row| row.split(',').nth(2)).collect();
        let others: Vec<_> = options.iter().filter(|option| !option.is_empty()).collect();
        assert!(options.len() > 1);
        assert_eq!(others, [&"\"ro\""]);
    }
}
