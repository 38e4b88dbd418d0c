//! liteimg on real trees.

// A failed step fails the test; helpers are no #[test] functions themselves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod archive;
mod command;
mod crash;
mod edits;
mod golden;
mod own_root;
mod random;
mod shapes;
mod tree;

use statelite_mgmt::image::lite::{self, LiteError, Options, Report};
use statelite_policy::{Dialect, Origin, Rule};
use std::path::Path;

/// Options for trees nobody needs afterwards.
pub const QUICK: Options = Options {
    dry_run: false,
    abort_after: None,
    no_sync: true,
};

/// How many random cases: this many, times `LITEIMG_CASES` if that is set.
pub fn cases(usual: u32) -> u32 {
    let factor = std::env::var("LITEIMG_CASES").ok();
    usual * factor.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

/// A rule from `path option`; the dialect is the current one.
pub fn rule(text: &str) -> Rule {
    rule_in(text, Dialect::Current)
}

/// A rule in one of the dialects.
pub fn rule_in(text: &str, dialect: Dialect) -> Rule {
    let (path, option) = text.split_once(' ').unwrap_or((text, ""));
    let word = statelite_policy::options::parse(option, dialect).unwrap();
    Rule {
        path: path.trim_end_matches('/').to_owned(),
        directory: path.ends_with('/'),
        placement: word.placement,
        flavour: word.flavour,
        option: word.normal().to_owned(),
        origin: Origin::CommandLine,
    }
}

/// Rules, each as for [`rule`].
pub fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| rule(text)).collect()
}

/// Prepares an image, quickly.
pub fn apply(root: &Path, rules: &[Rule]) -> Result<Report, LiteError> {
    lite::apply(root, "img", rules, Dialect::Current, QUICK)
}
