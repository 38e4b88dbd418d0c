//! How an image comes to be: packages into a root, kernel and initrd beside it.
//!
//! [`spec`] decides what is wanted, from the tables, the options and the lists of the profile. From that,
//! [`debian`], [`redhat`] and [`suse`] make a plan, a list of [`steps`], without touching anything; `--dryrun` prints
//! it. [`run`] carries it out. A new root is built in `rootimg.new` and renamed when its packages are in, so that a
//! build that was cut off is never taken for an image; a root that is there is brought up to date in place.
//!
//! Package managers run on the management node and work on the root from outside, in a mount namespace of their own
//! that has the root's `/proc`, `/sys` and `/dev`: nothing stays mounted, whatever happens.
//!
//! [`kernel`] and [`initrd`] then bring `kernel` and `initrd-statelite.gz` into the image directory. [`links`] adds
//! what link mode expects in the root; FUSE mode needs nothing there.

pub mod debian;
pub mod initrd;
pub mod kernel;
pub mod links;
pub mod redhat;
pub mod run;
pub mod sources;
pub mod spec;
pub mod steps;
pub mod suse;

use crate::tables::Site;
pub use spec::{Mode, Spec};
pub use steps::Step;

/// The directory of everything installed, `site.installdir`, without trailing slash.
#[must_use]
pub fn install_dir(site: &Site) -> &str {
    let dir = site.setting("installdir").unwrap_or("/install");
    match dir.trim_end_matches('/') {
        "" => "/install",
        dir => dir,
    }
}

/// The plan for the packages of an image.
///
/// `fresh` says that there is no root yet.
///
/// # Errors
/// When the distribution's sources cannot be told.
pub fn plan(spec: &Spec, fresh: bool) -> anyhow::Result<Vec<Step>> {
    use super::distro::Family;
    match spec.distro.family {
        Family::Debian => debian::plan(spec, fresh),
        Family::RedHat => Ok(redhat::plan(spec, fresh)),
        Family::Suse => Ok(suse::plan(spec, fresh)),
    }
}

#[cfg(test)]
mod tests;
