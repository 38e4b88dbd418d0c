//! Images: genimage and copycds make them, liteimg prepares them for link mode, exports let nodes mount them.

pub mod lite;
pub mod pack;
