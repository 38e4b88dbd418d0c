//! The tables: what they look like ([`schema`]), one row ([`row`]), and all of them at one moment ([`site`]).
//!
//! Everything that decides works on a [`Site`], which is plain memory: the databases only fill it and change
//! with it.

pub mod row;
pub mod schema;
pub mod site;

pub use row::Row;
pub use schema::{Column, Table};
pub use site::Site;
