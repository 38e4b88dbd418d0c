//! The files that say what goes into an image: package lists, repository lists, scripts; and which file belongs to
//! a profile.

pub mod lookup;
pub mod packages;
pub mod repos;
pub mod synclist;

pub use lookup::Names;
pub use packages::{Entry, ListError, PackageList, Pass};
pub use repos::{Repo, RepoKind};
