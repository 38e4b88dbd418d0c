//! Whether the tables make sense together: every rule looks at the whole site and reports [`Finding`]s.
//!
//! A refusal stops the change that brings it in; one that xCAT would accept can be overridden (`--force`) and is then a
//! warning. What was wrong before a change does not stop it: `statelite check` reports that.

mod finding;

pub use finding::{Finding, Report, Severity, Warning};

use super::Site;

/// Everything that is wrong or odd, in the order of tables and rows.
#[must_use]
pub fn check(_site: &Site) -> Report {
    Report::default()
}
