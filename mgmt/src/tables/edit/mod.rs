//! Changes to a [`Site`](super::Site), as commands make them: pure, before anything is checked or stored.

pub mod chtab;
pub mod merge;
pub mod restore;
