//! The tables: what they look like ([`schema`]), one row ([`row`]), and all of them at one moment ([`site`]).
//!
//! Everything that decides works on a [`Site`], which is plain memory: the databases ([`store`]) only fill it and
//! change with it. No change is stored before [`check`] has looked at all tables as they would be afterwards.

pub mod check;
pub(crate) mod comparison;
pub mod csv;
pub mod edit;
pub mod row;
pub mod schema;
pub mod select;
pub mod site;
pub mod store;
pub mod substitution;
pub mod transfer;

pub use check::{Finding, Warning};
pub use row::Row;
pub use schema::{Column, Table};
pub use site::Site;
pub use store::{Listener, Store, StoreError};
