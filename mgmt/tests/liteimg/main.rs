//! liteimg on real trees.

mod crash;
mod golden;
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

/// A rule from `path option`; the dialect is the current one.
pub fn rule(text: &str) -> Rule {
    rule_in(text, Dialect::Current)
}

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

pub fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| rule(text)).collect()
}

pub fn apply(root: &Path, rules: &[Rule]) -> Result<Report, LiteError> {
    lite::apply(root, "img", rules, Dialect::Current, QUICK)
}
