//! The commands, each defined once in a group; help, man pages and completions are generated from these definitions.
//!
//! Called by a name of its own (`liteimg`, `nodeset`, ...) the program is that command.

/// A line on standard output. A reader that has seen enough is no error; another failure is the exit status's, once the
/// work is done.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::report::tell(&format!("{}\n", format_args!($($part)*)))
    };
}

pub mod bootconf;
pub mod context;
pub mod dnsmasq;
pub mod docs;
pub mod genimage;
pub mod liteimg;
pub mod nodes;
pub mod records;
mod report;
pub mod resolve;
pub mod server;
pub mod tables;

use clap::{CommandFactory as _, Parser, Subcommand};
pub use context::{Context, Global};
use std::process::ExitCode;

/// Tables, images, boot files and the server of statelite clusters
#[derive(Debug, Parser)]
#[command(name = "statelite", version, max_term_width = 100)]
pub struct Cli {
    /// Where the tables are, and how answers look
    #[command(flatten)]
    pub global: Global,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, by group.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot files
    #[command(flatten)]
    Bootconf(bootconf::Command),
    /// About tables
    #[command(flatten)]
    Tables(tables::Command),
    /// Nodes and their values
    #[command(flatten)]
    Nodes(nodes::Command),
    /// What nodes get
    #[command(flatten)]
    Resolve(resolve::Command),
    /// Prepare an image for link mode: links, copies, and the ramdisk form
    Liteimg(liteimg::Args),
    /// Images: genimage, copycds and their helpers.
    #[command(flatten)]
    Genimage(genimage::Command),
    /// Write man pages and shell completions
    Docs(docs::DocsArgs),
    /// The server nodes ask, and service nodes
    #[command(flatten)]
    Server(server::Command),
}

/// The commands that xCAT's users type by names of their own: the program is meant to have links of these names. Manual pages
/// and completions are made for each.
pub const LINKS: [&str; 19] = [
    "add_passwd",
    "add_ssh",
    "chtab",
    "copycds",
    "genimage",
    "ilitefile",
    "litefile",
    "liteimg",
    "litetree",
    "lslite",
    "nodeadd",
    "nodech",
    "nodels",
    "noderm",
    "nodeset",
    "prsync",
    "tabdump",
    "tabedit",
    "tabrestore",
];

/// A command as it is when the program is called by its name, with the options that every command has; none if there is no
/// such command.
#[must_use]
pub fn link(name: &str) -> Option<clap::Command> {
    let program = Cli::command();
    let command = program.find_subcommand(name)?.clone();
    let everywhere = program.get_arguments().filter(|arg| arg.is_global_set());
    Some(command.args(everywhere).bin_name(name).display_name(name))
}

/// Runs the program with these arguments (the first is its name) and returns its exit status.
pub fn run(mut args: Vec<String>) -> ExitCode {
    let name = args.first().and_then(|name| name.rsplit('/').next());
    let name = name.unwrap_or_default().to_owned();
    if name != "statelite" && Cli::command().find_subcommand(&name).is_some() {
        if let Some(first) = args.first_mut() {
            *first = "statelite".to_owned();
        }
        args.insert(1, name.clone());
        // As every command of xCAT answers it.
        if let [_, _, only] = args.as_slice()
            && matches!(only.as_str(), "-v" | "--version")
        {
            say!("{name} - statelite {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
    }
    let cli = Cli::parse_from(args);
    let context = Context::new(cli.global);
    match dispatch(&context, cli.command) {
        Ok(_) if report::output_failed() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {}", report::chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Bootconf(command) => bootconf::run(context, command),
        Command::Nodes(command) => nodes::run(context, command),
        Command::Resolve(command) => resolve::run(context, command),
        Command::Tables(command) => tables::run(context, command),
        Command::Liteimg(args) => liteimg::run(context, &args),
        Command::Genimage(command) => genimage::run(context, command),
        Command::Docs(args) => docs::run(&args),
        Command::Server(command) => server::run(context, command),
    }
}
