//! The server nodes ask, its certificates, and what service nodes need.

mod ca;

use super::Context;
use crate::hierarchy::prsync::Job;
use crate::hierarchy::pull::{Credentials, Master};
use crate::hierarchy::service;
use crate::server::config::{Config, DEFAULT_CA};
use crate::server::run::Server;
use clap::{Args, Subcommand};
use parking_lot::Mutex;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer nodes: xCAT's wire, the status port, and HTTPS
    Serve(Serve),
    /// The site's certificate authority
    Ca(ca::Ca),
    /// Fetch all tables from the master, for a service node
    Pull(Pull),
    /// Copy files to nodes with rsync, many at a time
    Prsync(Prsync),
    /// Show which service nodes there are and what each has to do
    Servicenodes(Servicenodes),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Configuration [default: /etc/statelite/serve.toml if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on; may be given several times [default: every address]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Vec<IpAddr>,
    /// Port of the xCAT wire [default: 3001]
    #[arg(long)]
    pub port: Option<u16>,
    /// Port of the status protocol [default: 3002]
    #[arg(long)]
    pub status_port: Option<u16>,
    /// Port of HTTPS [default: 3443]
    #[arg(long)]
    pub https_port: Option<u16>,
    /// Directory of the certificates, made on the first run [default: /etc/statelite/ca]
    #[arg(long, value_name = "DIR")]
    pub ca: Option<PathBuf>,
    /// A name or address the certificate must have besides those of this machine
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
    /// Tables to work from while the database cannot be read (see `pull`)
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Connections at once, per port
    #[arg(long, value_name = "N")]
    pub connections: Option<usize>,
    /// Connections at once of one address, per port
    #[arg(long, value_name = "N")]
    pub per_peer: Option<usize>,
}

impl Serve {
    /// The configuration: the file, then what was given here.
    ///
    /// # Errors
    /// As reading the file, and for values that make no sense.
    pub fn configuration(self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref())?;
        if !self.bind.is_empty() {
            config.bind = self.bind;
        }
        let over = |to: &mut u16, from: Option<u16>| *to = from.unwrap_or(*to);
        over(&mut config.port, self.port);
        over(&mut config.status_port, self.status_port);
        over(&mut config.https_port, self.https_port);
        config.ca = self.ca.unwrap_or(config.ca);
        config.names.extend(self.name);
        config.snapshot = self.snapshot.or(config.snapshot);
        let limits = &mut config.limits;
        limits.connections = self.connections.unwrap_or(limits.connections);
        limits.per_peer = self.per_peer.unwrap_or(limits.per_peer);
        config.check()?;
        Ok(config)
    }
}

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The master: `https://HOST[:PORT]`
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// Where the snapshot goes
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/lib/statelite/snapshot.json"
    )]
    pub to: PathBuf,
    /// The authority's certificate
    #[arg(long, value_name = "FILE", default_value = "/etc/statelite/ca/ca.pem")]
    pub ca: PathBuf,
    /// Our certificate, made by `statelite ca issue`
    #[arg(long, value_name = "FILE", default_value = "/etc/statelite/node.pem")]
    pub cert: PathBuf,
    /// Its key
    #[arg(long, value_name = "FILE", default_value = "/etc/statelite/node.key")]
    pub key: PathBuf,
    /// Go on and fetch again after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: Option<u64>,
}

/// Arguments of `prsync`.
#[derive(Debug, Args)]
pub struct Prsync {
    /// How many nodes at a time
    #[arg(long, short = 'f', default_value_t = 64, value_name = "N")]
    pub fanout: usize,
    /// Options for rsync, files, and last where to: NODERANGE:/DEST
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WORDS"
    )]
    pub words: Vec<String>,
}

/// Arguments of `servicenodes`.
#[derive(Debug, Args)]
pub struct Servicenodes {
    /// Show this one alone
    pub name: Option<String>,
}

/// Runs a command.
///
/// # Errors
/// What went wrong, for people.
pub fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve(context, args),
        Command::Ca(args) => ca::run(context, args),
        Command::Pull(args) => pull(&args),
        Command::Prsync(args) => prsync(context, &args),
        Command::Servicenodes(args) => servicenodes(context, &args),
    }
}

fn serve(context: &Context, args: Serve) -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // systemd's journal has the time already.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
    let server = Server::start(&context.global.db, args.configuration()?)?;
    for (port, address) in server.addresses() {
        say!("{port:?} {address}");
    }
    server.wait()?;
    server.stop();
    Ok(ExitCode::SUCCESS)
}

fn pull(args: &Pull) -> anyhow::Result<ExitCode> {
    let credentials = Credentials {
        ca: args.ca.clone(),
        certificate: args.cert.clone(),
        key: args.key.clone(),
    };
    loop {
        // Read each time: a renewed certificate counts from the next fetch on.
        let pulled = Master::new(&args.from, &credentials).and_then(|master| master.pull(&args.to));
        match (&pulled, args.every) {
            (Ok(snapshot), _) => {
                say!("{}: generation {}", args.to.display(), snapshot.generation)
            }
            (Err(error), Some(seconds)) => {
                eprintln!(
                    "Error: {}; again in {seconds} s",
                    crate::cli::report::chain(error)
                )
            }
            (Err(_), None) => {}
        }
        let Some(seconds) = args.every else {
            return pulled.map(|_| ExitCode::SUCCESS);
        };
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

fn prsync(context: &Context, args: &Prsync) -> anyhow::Result<ExitCode> {
    let job = Job::parse(&context.site()?, &args.words)?;
    let (out, err) = (Mutex::new(std::io::stdout()), Mutex::new(std::io::stderr()));
    let failed = job.run("rsync", args.fanout, &out, &err)?;
    for (node, reason) in &failed {
        eprintln!("{node}: Error: {reason}");
    }
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn servicenodes(context: &Context, args: &Servicenodes) -> anyhow::Result<ExitCode> {
    let mut duties = service::duties(&context.site()?);
    if let Some(name) = &args.name {
        duties.retain(|one, _| one == name);
        anyhow::ensure!(
            !duties.is_empty(),
            "{name} is no service node: it is in no noderes.servicenode"
        );
    }
    if context.global.json {
        crate::cli::report::json(&duties)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, duty) in duties {
        for (what, nodes) in [
            ("serves", &duty.first),
            ("stands by for", &duty.standby),
            ("is the master of", &duty.master_of),
        ] {
            if !nodes.is_empty() {
                say!("{name}: {what} {}", nodes.join(","));
            }
        }
        for (access, exports) in [("ro", &duty.trees), ("rw", &duty.stores)] {
            for export in exports {
                say!(
                    "{name}: exports {} ({access}) to {}",
                    export.directory,
                    export.nodes.join(",")
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where certificates are when nothing else is said.
pub(crate) fn default_ca() -> PathBuf {
    DEFAULT_CA.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Any};
    use clap::{CommandFactory as _, Parser as _};

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let cli = Cli::try_parse_from(line.split_whitespace())?;
        match cli.command {
            Any::Server(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("serve.toml");
        std::fs::write(&file, "port = 1\nstatus_port = 2\nnames = [\"a\"]\n").unwrap();
        let line = format!(
            "statelite serve --config {} --port 9 --bind 10.0.0.1 --name b --per-peer 3",
            file.display()
        );
        let Ok(Command::Serve(serve)) = parse(&line) else {
            panic!("{line}");
        };
        let config = serve.configuration().unwrap();
        assert_eq!((config.port, config.status_port), (9, 2));
        assert_eq!(config.names, ["a", "b"]);
        assert_eq!(config.bind, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(config.limits.per_peer, 3);
    }

    #[test]
    fn prsync_takes_options_of_rsync() {
        let Ok(Command::Prsync(args)) = parse("statelite prsync -f 4 -v --delete /a n01:/b") else {
            panic!();
        };
        assert_eq!(args.fanout, 4);
        assert_eq!(args.words, ["-v", "--delete", "/a", "n01:/b"]);
        assert!(parse("statelite prsync").is_err());
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "statelite serve --port x",
            "statelite ca issue n01 --days 0",
            "statelite ca server",
            "statelite pull",
            "statelite pull --from x --every 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
