//! Copying a distribution's medium into the install directory (`copycds`).
//!
//! [`detect`] recognises a medium by the small files it carries. [`media`] makes an ISO image readable as a directory.
//! [`copy`] copies it, and goes on where an earlier copy was cut off. [`register`] adds the osimage that can be built
//! from it.

pub mod copy;
pub mod detect;
pub mod media;
pub mod register;

pub use detect::{Medium, detect};
