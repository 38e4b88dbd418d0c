//! liteimg: an image prepared for link mode.

pub mod nesting;
