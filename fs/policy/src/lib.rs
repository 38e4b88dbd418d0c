//! Rows of the statelite tables to a policy tree.
//!
//! Three tables in tabdump CSV (litefile, litetree, statelite) and the identity of one node go in; a [`Policy`]
//! comes out: a trie of [`Rule`]s that says for every path where it lives, the read-only tree layers in order, and
//! the place of the node's persistent data. The crate is pure: no I/O, no clock, no unsafe code.
//!
//! | module | what it is |
//! |---|---|
//! | [`csv`] | tabdump text to rows and back, with true line numbers |
//! | [`options`] | the option words of both dialects, each defined once |
//! | [`path`] | the paths a table may name |
//! | [`source`], [`template`] | `server:dir` and the variables in it |
//! | [`tree`] | the trie: lookup by component, longest path wins |
//! | [`implied`] | rules that nobody lists and a distribution cannot do without |
//! | [`policy`] | [`build`] for one node, [`check`] for a whole table |
//! | [`plan`] | what changes between two policies |
//! | [`wire`] | what xCAT's servers and nodes say to each other |
//! | [`lines`] | a policy from the lines that a server gives a node |
//! | [`rule_arg`] | `PATH=OPTION` from a command line |
//!
//! A table is taken whole or not at all: [`build`] returns either a complete policy or every [`Refusal`] it found.
//!
//! ```
//! use statelite_policy::{Dialect, NodeIdentity, Placement, Tables, build};
//!
//! let litefile = b"#image,file,options,comments,disable\n\"ALL\",\"/var/log/\",\"persistent\",,\n";
//! let tables = Tables { litefile: Some(("litefile.csv", litefile)), ..Tables::default() };
//! let node = NodeIdentity { name: "cn1".into(), image: "compute".into(), ..NodeIdentity::default() };
//! let policy = build(&tables, &node, Dialect::Current)?;
//! let rule = policy.tree.governing(b"/var/log/messages");
//! assert_eq!(rule.map(|rule| rule.placement), Some(Placement::Persistent));
//! # Ok::<(), statelite_policy::Refusals>(())
//! ```

pub mod csv;
pub mod implied;
pub mod lines;
mod litefile;
mod litetree;
pub mod merge;
pub mod model;
pub mod options;
pub mod path;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod rule_arg;
pub mod source;
mod statelite;
pub mod template;
pub mod tree;
pub mod wire;

pub use merge::NodeIdentity;
pub use model::{Dialect, Flavour, Origin, Placement, Rule, UnknownDialect};
pub use plan::{Change, Plan, diff};
pub use policy::{Policy, Tables, TreeLayer, build, check};
pub use refusal::{Refusal, Refusals, Warning};
pub use source::{Source, SourceError};
pub use tree::{PolicyTree, Pos, TreeError};
