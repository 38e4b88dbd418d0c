//! The tour.

use super::DemoArgs;

/// Runs the demo.
///
/// # Errors
/// If it cannot be set up.
pub fn run(_args: &DemoArgs) -> anyhow::Result<()> {
    anyhow::bail!("not here")
}
