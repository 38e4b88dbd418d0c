//! Rules for what is in the image, that nobody has listed and that the distribution has to write.

use crate::overlay::layer::Layer;
use crate::overlay::lower::is_absent;
use rustix::fs::OFlags;
use statelite_policy::{PolicyTree, Rule, TreeError, implied};
use std::sync::Arc;

/// Which rules are added without a row.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Implied {
    /// None but `/etc/mtab`.
    #[default]
    None,
    /// What systemd writes while it boots: `/etc/machine-id` and `/var/lib/systemd/`, where no row is about them.
    Systemd,
}

/// Adds those of `which` that `rules` leave open and the layers have.
///
/// # Errors
/// `rules` are no policy.
pub fn add(rules: &mut Vec<Rule>, which: Implied, layers: &[Arc<Layer>]) -> Result<(), TreeError> {
    if which == Implied::None {
        return Ok(());
    }
    let there = |path: &str| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        // What cannot be asked about now may well be there: without its rule it could never be written.
        layers.iter().any(|layer| {
            let found = layer.open_at(path.trim_start_matches('/').as_bytes(), flags);
            found.map_or_else(|error| !is_absent(error), |_| true)
        })
    };
    let given = PolicyTree::from_rules(rules.clone())?;
    rules.extend(implied::for_systemd(&given).filter(|rule| there(&rule.path)));
    Ok(())
}
