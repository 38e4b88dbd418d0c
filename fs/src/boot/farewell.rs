//! The node goes down while the server of its persistent files is away.
//!
//! A process that waits for that server through FUSE cannot be killed: the kernel waits for our answer, and we for the
//! server. systemd would wait for it, twice 90 seconds for each unit. So the daemon is told that the shutdown has begun,
//! and from then on gives a server that is silent [`PATIENCE`]; after that calls to it fail with `EIO`, as at a shutdown of
//! any NFS client that is forced to unmount. A server that answers is waited for as ever.
//!
//! It is told by a directory that systemd removes: the runtime directory of a unit that is written to `/run` before systemd
//! starts, does nothing, and is stopped first of all. Nothing of the image is needed for that.

use super::keep;
use anyhow::Context as _;
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use rustix::mount::UnmountFlags;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How long a server may be silent at a shutdown. A unit has 90 seconds by default.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause between questions, and between refusals.
const PAUSE: Duration = Duration::from_secs(1);

const NAME: &str = "statelitefs-farewell";
const UNIT: &str = "\
[Unit]
Description=Tells the daemon of / that the node goes down
Documentation=man:statelitefs(8)
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/bin/true
";

/// Tells when the shutdown begins.
#[derive(Debug)]
pub struct Farewell(OwnedFd);

/// Whether the image at `root` has systemd. Another init would take `/run/systemd/system` for a sign that systemd runs.
pub fn is_for(root: &Path) -> bool {
    let systemd = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];
    systemd
        .iter()
        .any(|path| root.join(path).symlink_metadata().is_ok())
}

/// Prepares it below `run`.
///
/// # Errors
/// As writing files; `ENOSYS` without inotify.
pub fn prepare(run: &Path) -> anyhow::Result<Farewell> {
    let units = run.join("systemd/system");
    let wants = units.join("sysinit.target.wants");
    keep::make_dirs(&wants)?;
    let unit = format!("{NAME}.service");
    keep::write(
        &units.join(&unit),
        &format!("{UNIT}RuntimeDirectory={NAME}\n"),
    )?;
    let link = wants.join(&unit);
    if link.symlink_metadata().is_err() {
        std::os::unix::fs::symlink(Path::new("..").join(&unit), link)?;
    }
    let told = run.join(NAME);
    keep::make_dirs(&told)?;
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, &told, inotify::WatchFlags::DELETE_SELF)?;
    Ok(Farewell(watch))
}

impl Farewell {
    /// Waits for the shutdown, then sees to it that nobody waits for the server of `store` for long.
    ///
    /// # Errors
    /// When the thread for that cannot be started.
    pub fn attend(self, store: PathBuf) -> anyhow::Result<()> {
        std::thread::Builder::new()
            .name("farewell".into())
            .spawn(move || {
                if self.wait() {
                    tracing::info!("the node goes down");
                    refuse_the_silent(&store);
                }
            })
            .context("farewell")?;
        Ok(())
    }

    /// True when the directory is gone.
    fn wait(&self) -> bool {
        let mut room = [MaybeUninit::uninit(); 512];
        let mut events = inotify::Reader::new(&self.0, &mut room);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::DELETE_SELF) => {
                    return true;
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => {
                    tracing::warn!("the shutdown will not be noticed: {e}");
                    return false;
                }
            }
        }
    }
}

/// Asks the server of `store` again and again, and has its calls fail while it is silent.
fn refuse_the_silent(store: &Path) {
    let (answers, answered) = channel();
    let asked = store.to_owned();
    let asker = std::thread::Builder::new().spawn(move || {
        loop {
            // A call that was made to fail is no answer.
            if rustix::fs::statfs(&asked).is_ok() && answers.send(()).is_err() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    });
    match asker {
        Ok(_) => attend_to(&answered, PATIENCE, PAUSE, |silent| {
            crate::sys::lease::refuse(silent);
            if silent {
                // It stays mounted, since it is in use; its calls that are under way fail.
                let _ = rustix::mount::unmount(store, UnmountFlags::FORCE);
            }
        }),
        Err(e) => tracing::warn!("a silent server will be waited for: {e}"),
    }
}

/// Calls `attend` with true once there was no answer for `patience`, and again after each `pause` until there is one; then once
/// with false. Ends with who asks.
fn attend_to(
    answered: &Receiver<()>,
    patience: Duration,
    pause: Duration,
    mut attend: impl FnMut(bool),
) {
    let mut silent = false;
    loop {
        match answered.recv_timeout(if silent { pause } else { patience }) {
            Ok(()) => {
                if silent {
                    attend(false);
                }
                silent = false;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if !silent {
                    tracing::warn!(
                        "the server of the persistent store is silent: calls to it fail now"
                    );
                }
                silent = true;
                attend(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_shutdown_is_a_directory_that_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (root, run) = (dir.path().join("root"), dir.path().join("run"));
        fs::create_dir_all(root.join("lib/systemd")).unwrap();
        assert!(!is_for(&root));
        fs::write(root.join("lib/systemd/systemd"), "").unwrap();
        assert!(is_for(&root));
        let farewell = prepare(&run).unwrap();
        let wanted = run.join("systemd/system/sysinit.target.wants/statelitefs-farewell.service");
        let text = fs::read_to_string(&wanted).unwrap();
        assert!(
            text.ends_with("RuntimeDirectory=statelitefs-farewell\n"),
            "{text}"
        );
        assert_eq!(fs::metadata(wanted).unwrap().mode() & 0o777, 0o644);
        // systemd gives it a mode and an owner before.
        fs::set_permissions(
            run.join(NAME),
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )
        .unwrap();
        let waiting = std::thread::spawn(move || farewell.wait());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        fs::remove_dir(run.join(NAME)).unwrap();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn calls_fail_only_while_the_server_is_silent() {
        let (answers, answered) = channel();
        let (refusals, refused) = channel();
        let (patience, pause) = (Duration::from_secs(1), Duration::from_millis(2));
        let attending = std::thread::spawn(move || {
            attend_to(&answered, patience, pause, |silent| {
                refusals.send(silent).unwrap();
            });
        });
        let limit = Duration::from_secs(20);
        for _ in 0..3 {
            assert!(refused.recv_timeout(limit).unwrap());
        }
        // It is back, and answers: more seldom than calls would be refused, and more often than it is given time.
        answers.send(()).unwrap();
        std::thread::sleep(pause * 50);
        assert_eq!(refused.try_iter().last(), Some(false), "still refused");
        for _ in 0..10 {
            answers.send(()).unwrap();
            std::thread::sleep(pause * 10);
        }
        assert!(refused.try_recv().is_err(), "refused though it answers");
        // It is silent again.
        assert!(refused.recv_timeout(limit).unwrap());
        drop(answers);
        attending.join().unwrap();
    }
}
