//! Mounting and unmounting.
//!
//! `mount` starts this program again as the daemon (`serve`), with `argv[0]` beginning with `@` so
//! that systemd leaves it alone at shutdown, hands it the settings on standard input, and returns
//! when it says `ready` and the mount point shows the new file system. What goes wrong before
//! that is told on the same pipe, so nothing is half mounted and nothing fails silently.

use super::say;
use crate::config::args::MountArgs;
use crate::config::assemble;
use crate::control::server::{Controlled, Listener};
use crate::control::{Answer, Request, client, log_path, socket_path};
use crate::fuse::notify::Kernel;
use crate::fuse::session;
use crate::overlay::Overlay;
use crate::overlay::view::View;
use crate::sys::{heap, procfd};
use anyhow::{Context as _, anyhow, bail};
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Mounts as `args` say: in the foreground, or by starting the daemon.
///
/// # Errors
/// Everything that keeps the mount from answering.
pub fn mount(mut args: MountArgs) -> anyhow::Result<()> {
    let mountpoint = args.mountpoint.clone().context("no mount point is given")?;
    let mountpoint = mountpoint
        .canonicalize()
        .with_context(|| mountpoint.display().to_string())?;
    if !mountpoint.is_dir() {
        bail!("{}: not a directory", mountpoint.display());
    }
    args.mountpoint = Some(mountpoint.clone());
    absolute(&mut args)?;
    if args.foreground {
        return serve(args, None);
    }
    let log = args.log.clone().unwrap_or_else(|| log_path(&mountpoint));
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| log.display().to_string())?;
    let mut child = Command::new(std::env::current_exe().context("cannot find this program")?)
        .arg0("@statelitefs")
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start the daemon")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(serde_json::to_string(&args)?.as_bytes())?;
    }
    let stdout = child.stdout.take().context("no pipe from the daemon")?;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if line == READY {
            return wait_shown(&mountpoint);
        }
        match line.strip_prefix("error: ") {
            Some(error) => bail!("{}", error.replace("\\n", "\n")),
            None => eprintln!("{line}"),
        }
    }
    let status = child.wait()?;
    bail!("the daemon ended before the mount was ready ({status})");
}

const READY: &str = "ready";

/// Makes paths in settings independent of the working directory, which the daemon changes.
fn absolute(args: &mut MountArgs) -> anyhow::Result<()> {
    let here = std::env::current_dir()?;
    let fix = |path: &mut PathBuf| *path = here.join(&*path);
    for path in [
        &mut args.image,
        &mut args.volatile,
        &mut args.work,
        &mut args.persistent,
        &mut args.local,
        &mut args.views,
        &mut args.capabilities,
        &mut args.log,
    ] {
        path.iter_mut().for_each(fix);
    }
    absolute_policy(&mut args.policy, &here);
    Ok(())
}

/// The same for the part that `reload` can change.
pub fn absolute_policy(policy: &mut crate::config::args::PolicyArgs, here: &Path) {
    let fix = |path: &mut PathBuf| *path = here.join(&*path);
    policy.tree.iter_mut().for_each(fix);
    policy.tables.iter_mut().for_each(fix);
    policy.lines.iter_mut().for_each(fix);
    policy.mnt.iter_mut().for_each(fix);
}

/// Waits until the mount point shows the file system.
fn wait_shown(mountpoint: &Path) -> anyhow::Result<()> {
    const FUSE: u64 = 0x6573_5546;
    let shown = rustix::fs::statfs(mountpoint).context("the mount does not answer")?;
    if shown.f_type as u64 == FUSE {
        return Ok(());
    }
    Err(anyhow!("{} does not show the mount", mountpoint.display()))
}

/// Runs the daemon with settings from standard input.
///
/// # Errors
/// Everything that keeps the mount from answering; it is also told on standard output.
pub fn serve_from_stdin() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let args: MountArgs = serde_json::from_str(&text).context("settings on standard input")?;
    let _ = rustix::process::setsid();
    let result = serve(args, Some(std::io::stdout()));
    if let Err(e) = &result {
        // Who started this may be gone; that must not end it.
        let text = format!("{e:#}").replace('\n', "\\n");
        let _ = say(format!("error: {text}\n"));
    }
    result
}

/// What is logged unless `STATELITEFS_LOG` says otherwise. fuser answers that it does not handle `FUSE_INTERRUPT`, and tells
/// with an error each time that the request has ended before that.
pub const USUAL_LOG: &str = "info,fuser::reply=off";

/// Mounts, answers, and returns when unmounted.
fn serve(args: MountArgs, tell: Option<std::io::Stdout>) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STATELITEFS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(USUAL_LOG));
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .with_ansi(false)
        .try_init();
    heap::set_up();
    raise_limits();
    let mountpoint = args.mountpoint.clone().context("no mount point is given")?;
    procfd::enter().context("/proc must be mounted")?;
    let assembled = assemble::assemble(&args, None, assemble::Purpose::Use)?;
    for warning in &assembled.warnings {
        tracing::warn!("{warning}");
        if tell.is_some() {
            let _ = say(format!("warning: {warning}\n"));
        }
    }
    let settings = assemble::mount_settings(&args, &assembled.layers);
    let own_log = args.log.is_none() && tell.is_some();
    let view = View::new(1, assembled.tree, assembled.layers, None)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    let overlay = Arc::new(Overlay::new(view, assemble::overlay_settings(&args)));
    overlay
        .prepare_root()
        .context("cannot give / its first content")?;
    let listener = Listener::open(&mountpoint).context("control socket")?;
    let mounted = session::mount(Arc::clone(&overlay), &settings, &mountpoint)
        .with_context(|| format!("cannot mount at {}", mountpoint.display()))?;
    drop_capabilities();
    let controlled = Controlled {
        overlay: Arc::clone(&overlay),
        mountpoint: mountpoint.clone(),
        args: Mutex::new(args),
        kernel: Kernel::new(mounted.session.notifier(), &mounted.session, &mountpoint)?,
        agreed: mounted.agreed,
        threads: settings.threads,
    };
    let socket = listener.path().to_owned();
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || listener.serve(&controlled))?;
    std::thread::Builder::new()
        .name("housekeeping".into())
        .spawn(move || keep_house(&overlay))?;
    unmount_on_signal(&mountpoint)?;
    tracing::info!("mounted at {}", mountpoint.display());
    let running = mounted.session.spawn()?;
    if let Some(mut out) = tell {
        writeln!(out, "{READY}")?;
        out.flush()?;
        detach_output()?;
    }
    let ended = running.join();
    let _ = std::fs::remove_file(socket);
    if own_log && ended.is_ok() {
        // It ended as it should; /run is memory.
        let _ = std::fs::remove_file(log_path(&mountpoint));
    }
    ended.context("the session ended")
}

/// Detaches the mount when asked to end, so that it is not left dead: the process ends when
/// nobody uses it any more.
fn unmount_on_signal(mountpoint: &Path) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let mountpoint = mountpoint.to_owned();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in &mut signals {
                tracing::info!("signal {signal}: detaching {}", mountpoint.display());
                let flags = rustix::mount::UnmountFlags::DETACH;
                if let Err(e) = rustix::mount::unmount(&mountpoint, flags) {
                    tracing::warn!("cannot unmount {}: {e}", mountpoint.display());
                }
            }
        })?;
    Ok(())
}

/// Lets go of the pipe to the starting process.
fn detach_output() -> anyhow::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

/// As many descriptors as the system lets us have: open files of all processes are ours too.
pub(crate) fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!("cannot raise the number of descriptors: {e}");
    }
}

/// Gives up what would let callers' writes exceed quotas and reserved blocks.
pub(crate) fn drop_capabilities() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let dropped = capabilities(None).and_then(|mut sets| {
        sets.effective.remove(CapabilitySet::SYS_RESOURCE);
        set_capabilities(None, sets)
    });
    if let Err(e) = dropped {
        tracing::debug!("cannot drop CAP_SYS_RESOURCE: {e}");
    }
}

/// Returns memory after large walks, and closes files that were kept open.
pub(crate) fn keep_house(overlay: &Overlay) {
    const EVERY: Duration = Duration::from_secs(2);
    const WORTHWHILE: u64 = 10_000;
    let mut trimmed_at = 0;
    loop {
        std::thread::sleep(EVERY);
        overlay.kept.close_old(Instant::now());
        let forgotten = overlay.nodes.forgotten();
        if forgotten - trimmed_at >= WORTHWHILE {
            trimmed_at = forgotten;
            heap::trim();
        }
    }
}

/// Unmounts and waits for the daemon to end.
///
/// # Errors
/// `EBUSY` while files are open (unless lazy), `EINVAL` if nothing is mounted there.
pub fn umount(mountpoint: &Path, lazy: bool) -> anyhow::Result<()> {
    use rustix::mount::{UnmountFlags, unmount};
    let path = mountpoint
        .canonicalize()
        .unwrap_or_else(|_| mountpoint.to_owned());
    let daemon = match client::ask(&path, &Request::Status) {
        Ok(Answer::Status(status)) => open_process(status.pid),
        _ => None,
    };
    let flags = match lazy {
        true => UnmountFlags::DETACH,
        false => UnmountFlags::empty(),
    };
    unmount(&path, flags | UnmountFlags::NOFOLLOW).with_context(|| path.display().to_string())?;
    match daemon {
        // Its layers are free for others only when it has ended.
        Some(daemon) if !lazy => wait_for_end(&daemon),
        Some(_) => {}
        // Left by a daemon that was killed.
        None => drop(std::fs::remove_file(socket_path(&path))),
    }
    Ok(())
}

fn open_process(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

/// Waits until a process has ended, some seconds at most.
fn wait_for_end(process: &OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let patience = Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    // Readable once the process is gone; a time-out is not worth an error.
    let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience));
}
