//! From settings to layers and a policy.

pub mod args;
pub mod assemble;
pub mod helper;
pub mod implied;
pub mod links;
