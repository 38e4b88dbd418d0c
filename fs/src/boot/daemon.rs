//! The daemon of a node's root, from its start in the initramfs to the end of the node.

use super::cmdline::{self, CommandLine, PolicyFrom};
use super::gather::{Gather, node_name};
use super::mounts::{self, Mounter};
use super::net::resolve::Resolver;
use super::private::{self, at};
use super::saved::Lines;
use super::talk::{Order, Talk, Word};
use super::{farewell, log, protect, views};
use crate::cli::daemon::{drop_capabilities, keep_house, raise_limits};
use crate::config::args::{MountArgs, PolicyArgs};
use crate::config::assemble;
use crate::config::implied::Implied;
use crate::control::server::{Controlled, Listener};
use crate::fuse::notify::Kernel;
use crate::fuse::session;
use crate::initramfs::CAPABILITIES;
use crate::overlay::Overlay;
use crate::overlay::caps::FileCaps;
use crate::overlay::view::View;
use crate::sys::{heap, namespace, procfd};
use anyhow::{Context as _, anyhow};
use parking_lot::Mutex;
use rustix::fd::{AsFd as _, OwnedFd};
use statelite_policy::Source;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the node sees its root.
const ROOT: &str = "/";
/// Most memory for volatile files unless the command line says otherwise. The memory of a diskless node belongs to its jobs,
/// and nothing of a tmpfs is given back under pressure; and programs such as journald lay out files by the room that they find.
const VOLATILE_SIZE: &str = "25%";

/// Runs the daemon; standard input leads to the process that started it.
///
/// # Errors
/// What kept the root from coming about. Afterwards: when it is unmounted.
pub fn run() -> anyhow::Result<()> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut talk = Talk::new(UnixStream::from(stdin));
    let order: Order = talk.hear()?.context("no order")?;
    let _ = rustix::process::setsid();
    let line = cmdline::parse(&order.cmdline)
        .map_err(|errors| anyhow!("{}", super::start::told(&errors)))?;
    log::start(line.debug);
    protect::all();
    protect::ignore_signals();
    match serve(&order, &line, &mut talk) {
        Ok(session) => {
            let ended = session
                .join()
                .context("the root file system's service ended");
            match &ended {
                Ok(()) => tracing::warn!("the root is unmounted"),
                Err(e) => tracing::error!("{e:#}"),
            }
            ended
        }
        Err(e) => {
            let _ = talk.say(&Word::Failed(format!("{e:#}")));
            Err(e)
        }
    }
}

/// Has everything at hand that is in the initramfs, and leaves it.
fn serve(
    order: &Order,
    line: &CommandLine,
    talk: &mut Talk,
) -> anyhow::Result<fuser::BackgroundSession> {
    heap::set_up();
    raise_limits();
    let resolver = Resolver::new(&order.network);
    let ca = std::fs::read(Path::new("/").join(crate::initramfs::CA)).ok();
    let capabilities = std::fs::read(Path::new("/").join(CAPABILITIES)).ok();
    let tables = match &line.policy {
        PolicyFrom::Tables(dir) => Some(views::read_tables(dir)?),
        PolicyFrom::Server => None,
    };
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .ok();
    let local = line
        .image
        .iter()
        .chain(&line.statemnt)
        .any(|s| s.server.is_none());
    let outside = private::separate()?;
    let mounter = Mounter::new(resolver)?;
    private::enter(local)?;
    let gather = Gather { line, mounter, ca };
    let mut args = gather_all(&gather, order, tables, talk)?;
    let readable = |list: &Vec<u8>| match FileCaps::parse(list) {
        Ok(_) => true,
        Err(e) => {
            tracing::error!("/{CAPABILITIES}: {e}: the files of the image have no capabilities");
            false
        }
    };
    if let Some(list) = capabilities.filter(readable) {
        std::fs::write(at::CAPABILITIES, list).context(at::CAPABILITIES)?;
        args.capabilities = Some(at::CAPABILITIES.into());
    }
    let running = start(args, &outside, &order.newroot)?;
    log::leave_console();
    talk.say(&Word::Ready)?;
    if let Some(null) = null {
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
    }
    Ok(running)
}

fn pause(line: &CommandLine, talk: &mut Talk, place: &str) -> anyhow::Result<()> {
    if line.shell {
        talk.say(&Word::Shell(place.to_owned()))?;
        talk.hear::<()>()?.context("nobody answers")?;
    }
    Ok(())
}

/// Mounts and asks for everything; the settings of the mount are the result.
fn gather_all(
    gather: &Gather<'_>,
    order: &Order,
    tables: Option<views::Tables>,
    talk: &mut Talk,
) -> anyhow::Result<MountArgs> {
    let line = gather.line;
    gather.image(Path::new(at::IMAGE))?;
    pause(line, talk, "before the stores are mounted")?;
    let size = line.volatile_size.as_deref().unwrap_or(VOLATILE_SIZE);
    mounts::tmpfs(Path::new(at::VOLATILE), Some(size))?;
    let mut lines: Option<Lines> = None;
    let node = match node_name(line, &order.network) {
        Some(node) => node,
        None if tables.is_some() => {
            anyhow::bail!(
                "this node's name is not known: NODE=NAME is missing on the kernel command line"
            )
        }
        None => {
            let asked = gather.lines(None, None)?;
            let node = asked.node.clone();
            lines = Some(asked);
            node
        }
    };
    tracing::info!("this is node {node}");
    let store = Path::new(at::PERSISTENT);
    let has_store = gather.persistent(&node, store)?;
    pause(line, talk, "after the stores are mounted")?;
    let mut policy = PolicyArgs {
        node: Some(node.clone()),
        image_name: line.image_name.clone(),
        dialect: Some(line.dialect),
        implied: line.implied.or(Some(Implied::Systemd)),
        mnt: Some(at::MNT.into()),
        ..PolicyArgs::default()
    };
    let sources: Vec<Source> = match &tables {
        Some(tables) => {
            policy.tables = Some(at::TABLES.into());
            tables.write(Path::new(at::TABLES))?;
            tables.trees(&node, line)?
        }
        None => {
            let lines = match lines {
                Some(lines) => lines,
                None => gather.lines(Some(&node), has_store.then_some(store))?,
            };
            policy.lines = Some(at::STATELITE.into());
            views::write_lines(Path::new(at::STATELITE), &lines)?;
            let read = |line: &String| line.parse().map_err(|e| anyhow!("{line}: {e}"));
            lines
                .litetree
                .iter()
                .map(read)
                .collect::<anyhow::Result<_>>()?
        }
    };
    gather.trees(&sources, tree_dir);
    let persistent = if has_store {
        store.to_owned()
    } else {
        spare(gather, "persistent")?
    };
    let local = spare(gather, "local")?;
    views::stores(Path::new(at::STATELITE), Path::new(at::VOLATILE))?;
    Ok(MountArgs {
        mountpoint: Some(ROOT.into()),
        image: Some(at::IMAGE.into()),
        volatile: Some(Path::new(at::VOLATILE).join("data")),
        work: Some(Path::new(at::VOLATILE).join("work")),
        persistent: Some(persistent),
        local: Some(local),
        views: Some(at::VIEWS.into()),
        freshness: line.freshness,
        policy,
        ..MountArgs::default()
    })
}

/// Where a tree is mounted; [`assemble`] looks for it there.
fn tree_dir(source: &Source) -> PathBuf {
    let server = source.server.as_deref().unwrap_or_default();
    Path::new(at::MNT)
        .join(server)
        .join(source.path.trim_start_matches('/'))
}

/// A store in memory for what has none, as in xCAT.
fn spare(_: &Gather<'_>, name: &str) -> anyhow::Result<PathBuf> {
    let dir = Path::new(at::VOLATILE).join(name);
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

/// Builds the view, mounts it in the mount table `outside` at `newroot`, and serves it.
fn start(
    args: MountArgs,
    outside: &OwnedFd,
    newroot: &Path,
) -> anyhow::Result<fuser::BackgroundSession> {
    procfd::enter().context("/proc")?;
    let assembled = assemble::assemble(&args, None, assemble::Purpose::Use)?;
    for warning in &assembled.warnings {
        tracing::warn!("{warning}");
    }
    views::warn_of_spares(&assembled, &args);
    let settings = assemble::mount_settings(&args, &assembled.layers);
    let view = View::new(1, assembled.tree, assembled.layers, None)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    let overlay = Arc::new(Overlay::new(view, assemble::overlay_settings(&args)));
    overlay.prepare_root().context("first content of /")?;
    let root = Path::new(ROOT);
    let systemd = farewell::is_for(Path::new(at::IMAGE));
    let (listener, mounted, farewell) = namespace::inside(outside, || -> anyhow::Result<_> {
        let listener = Listener::open(root).context("control socket in /run")?;
        let farewell = systemd.then(|| farewell::prepare(Path::new("/run")));
        let mounted = session::mount(Arc::clone(&overlay), &settings, newroot)
            .with_context(|| format!("cannot mount at {}", newroot.display()))?;
        Ok((listener, mounted, farewell))
    })??;
    protect::go_on_when_asked(mounted.session.as_fd());
    drop_capabilities();
    let attended = farewell.map(|farewell| farewell?.attend(at::PERSISTENT.into()));
    if let Some(Err(e)) = attended {
        tracing::warn!("a shutdown without the persistent server may take long: {e:#}");
    }
    let controlled = Controlled {
        overlay: Arc::clone(&overlay),
        mountpoint: root.to_owned(),
        args: Mutex::new(args),
        kernel: Kernel::new(mounted.session.notifier(), &mounted.session, root)?,
        agreed: mounted.agreed,
        threads: settings.threads,
    };
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || listener.serve(&controlled))?;
    std::thread::Builder::new()
        .name("housekeeping".into())
        .spawn(move || keep_house(&overlay))?;
    Ok(mounted.session.spawn()?)
}
