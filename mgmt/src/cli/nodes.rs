//! Commands about nodes and their values: `nodels`, `nodech`, `nodeadd`, `noderm`.
//!
//! They print what xCAT's print. Where xCAT goes on after a mistake ("Malformed argument ignored"), these change
//! nothing.

pub mod change;
pub mod list;
mod traces;

use super::records::RecordsArgs;
use super::{Context, report};
use crate::noderange;
use crate::resolve::given;
use crate::tables::Site;
use change::Changes;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List nodes, or what the tables say about them
    #[command(after_help = "\
Examples:
  statelite nodels
  statelite nodels rack1,-n7 nodetype.os groups
  statelite nodels all@nodetype.os==rhels6.2

NODERANGE:
  a,b  a,-b        both; a without b              n1-n9  n[1-3,5]  n1+8   names that count up
  a@b              what both name                 /n\\d+                   whole names that match
  (a,b)@c          parentheses                    ^FILE                   ranges in a file
  TABLE.COLUMN==VALUE, !=VALUE, =~REGEX, !~REGEX  nodes by a value
A name is a node, a group of the nodegroup table, or a group of nodelist.groups. A dynamic group:
  statelite chtab groupname=web nodegroup.grouptype=dynamic nodegroup.wherevals='os=~^rhels::profile==web'
In wherevals A::B needs both conditions and A||B one of them; see tabdump -d nodegroup.")]
    Nodels(NodelsArgs),
    /// Change what the tables say about nodes
    #[command(after_help = "\
Examples:
  statelite nodech n1-n9 nodetype.profile=compute groups,=web
  statelite nodech all nodehm.mgt==ipmi noderes.netboot=xnba
  statelite nodech -d n7 noderes")]
    Nodech(NodechArgs),
    /// Add nodes
    #[command(after_help = "\
Example:
  statelite nodeadd n01-n16 groups=compute,all nodetype.os=rhels6.2")]
    Nodeadd(NodeaddArgs),
    /// Remove nodes from all tables, and their boot files
    Noderm(NodermArgs),
}

/// Arguments of `nodels`.
#[derive(Debug, Args)]
pub struct NodelsArgs {
    /// Which nodes; all of them when not given
    #[arg(value_name = "NODERANGE")]
    pub range: Option<String>,
    /// What to show: TABLE.COLUMN, a whole TABLE, or groups, tags, mgt
    #[arg(value_name = "COLUMN")]
    pub columns: Vec<String>,
    /// Say which group a value comes from
    #[arg(short, long)]
    pub blame: bool,
    /// Name the columns, also when there is only one
    #[arg(short = 'H', long = "with-fieldname")]
    pub names: bool,
    /// Also list nodes with nodelist.hidden=1
    #[arg(short = 'S')]
    pub hidden: bool,
}

/// Arguments of `nodech`.
#[derive(Debug, Args)]
pub struct NodechArgs {
    /// Which nodes
    #[arg(value_name = "NODERANGE")]
    pub range: String,
    /// TABLE.COLUMN=VALUE sets (=@VALUE when the value begins with = or ~), ,=VALUE adds to a comma list, ^=VALUE
    /// removes from it, =  with nothing after it blanks; TABLE.COLUMN==VALUE, !=, =~ and !~ choose among the nodes.
    /// With -d: TABLE
    #[arg(value_name = "CHANGE", required = true)]
    pub changes: Vec<String>,
    /// Delete the nodes' rows from the tables
    #[arg(short, long)]
    pub delete: bool,
    /// Accept what xCAT would accept
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `nodeadd`.
#[derive(Debug, Args)]
pub struct NodeaddArgs {
    /// Names, as a node range
    #[arg(value_name = "NODERANGE")]
    pub range: String,
    /// groups=GROUP[,GROUP...], then TABLE.COLUMN=VALUE
    #[arg(value_name = "CHANGE", required = true)]
    pub changes: Vec<String>,
    /// Accept what xCAT would accept, also that nodes which are there leave groups they are in
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `noderm`.
#[derive(Debug, Args)]
pub struct NodermArgs {
    /// Which nodes
    #[arg(value_name = "NODERANGE")]
    pub range: String,
    /// Accept what xCAT would accept
    #[arg(long)]
    pub force: bool,
    /// Where the records are
    #[command(flatten)]
    pub records: RecordsArgs,
}

/// Runs a command of this group.
///
/// # Errors
/// What stops the command, to be printed.
pub fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Nodels(args) => list::run(context, &args),
        Command::Nodech(args) => {
            let changes = if args.delete {
                Changes::deletion(&args.changes)?
            } else {
                Changes::parse(&args.changes)?
            };
            edit(context, args.force, |site| {
                let nodes = noderange::expand_local(site, &args.range)?;
                changes.apply(site, &nodes)
            })
        }
        Command::Nodeadd(args) => {
            let changes = Changes::parse(&args.changes)?;
            edit(context, args.force, |site| {
                for caution in change::add(site, &args.range, &changes, args.force)? {
                    eprintln!("Warning: {caution}");
                }
                Ok(())
            })
        }
        Command::Noderm(args) => {
            let records = args.records.dir(context)?;
            let mut gone = (Site::default(), Vec::new());
            edit(context, args.force, |site| {
                let removed = noderange::expand_local(site, &args.range)?;
                gone = (site.clone(), removed);
                change::remove(site, &gone.1);
                Ok(())
            })?;
            let (before, removed) = gone;
            let state = given::state_dir(&context.global.db);
            traces::remove(&records, &state, &before, &removed)
        }
    }
}

/// Changes the tables and prints what is odd about the result.
fn edit(
    context: &Context,
    force: bool,
    change: impl FnOnce(&mut Site) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    report::warnings(&context.store()?.change(change, force)?);
    Ok(ExitCode::SUCCESS)
}
