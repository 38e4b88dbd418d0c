//! Process 1 of a bare initramfs.
//!
//! The kernel starts this program as `/init`. It mounts what programs expect to find, loads
//! modules, boots, and becomes the node's own init. It never ends: without process 1 the kernel
//! panics, and whoever looks at the console would see that instead of the reason.

use super::cmdline::{self, CommandLine};
use super::{start, switch_root};
use rustix::mount::MountFlags;
use std::convert::Infallible;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Where the new root is made.
pub const NEWROOT: &str = "/newroot";

/// Time from a failure to the next start, for somebody to read why.
const REBOOT_AFTER: Duration = Duration::from_secs(60);

/// What programs expect: type, place, options, flags.
const MOUNTS: [(&str, &str, &str, MountFlags); 4] = [
    ("proc", "/proc", "", KERNEL),
    ("sysfs", "/sys", "", KERNEL),
    ("devtmpfs", "/dev", "mode=0755", MountFlags::NOSUID),
    ("tmpfs", "/run", "mode=0755", NOT_RUN),
];
const KERNEL: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);
const NOT_RUN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Whether this process is the first of a bare initramfs.
pub fn is_init(args: &[String]) -> bool {
    std::process::id() == 1
        && args
            .first()
            .is_some_and(|name| matches!(name.as_str(), "/init" | "init" | "/sbin/init"))
}

/// Boots, and ends as the node's init.
pub fn run(args: &[String]) -> ! {
    let mounted = mount_all();
    // Ten messages in five seconds are not enough while booting; systemd sets it too.
    let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    let text = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    super::log::start(text.contains("statelite.debug"));
    for error in mounted {
        tracing::error!("{error}");
    }
    tracing::info!("statelitefs {} as process 1", env!("CARGO_PKG_VERSION"));
    super::load::all();
    let line = cmdline::parse(&text);
    let reboot = line.as_ref().ok().and_then(|line| line.reboot);
    let result = line
        .map_err(|errors| anyhow::anyhow!(start::told(&errors)))
        .and_then(|line| boot(&line, &text, args));
    match result {
        Ok(never) => match never {},
        Err(e) => fail(&e, reboot.unwrap_or(REBOOT_AFTER)),
    }
}

fn mount_all() -> Vec<String> {
    let mut errors = Vec::new();
    for (kind, place, options, flags) in MOUNTS {
        let _ = std::fs::create_dir_all(place);
        let options = std::ffi::CString::new(options).unwrap_or_default();
        if let Err(e) = rustix::mount::mount(kind, place, kind, flags, options.as_c_str()) {
            errors.push(format!("{place} cannot be mounted: {e}"));
        }
    }
    errors
}

fn boot(line: &CommandLine, text: &str, args: &[String]) -> anyhow::Result<Infallible> {
    let newroot = Path::new(NEWROOT);
    start::root(line, text, newroot)?;
    start::pause(line.shell, "before the node's own init starts");
    let init = line.init.clone().unwrap_or_else(|| "/sbin/init".into());
    // Words the kernel did not know are init's.
    let words = args.iter().skip(1).filter(|word| *word != "shell").cloned();
    super::log::leave_console();
    switch_root::enter(newroot, &init, words.collect())
}

/// Says what failed, and gives a shell or starts again.
fn fail(error: &anyhow::Error, after: Duration) -> ! {
    for line in format!("booting has failed: {error:#}").lines() {
        tracing::error!("{line}");
    }
    if !shell("booting has failed; `exit` starts the machine again") {
        tracing::error!(
            "the machine starts again in {} seconds; for a shell here, build the initramfs with --busybox",
            after.as_secs()
        );
        std::thread::sleep(after);
    }
    rustix::fs::sync();
    loop {
        if let Err(e) = rustix::system::reboot(rustix::system::RebootCommand::Restart) {
            tracing::error!("cannot restart: {e}");
        }
        std::thread::sleep(Duration::from_secs(10));
    }
}

/// Runs a shell on the console until it ends; false if there is none.
pub fn shell(why: &str) -> bool {
    const SHELL: &str = "/bin/sh";
    if !Path::new(SHELL).exists() {
        return false;
    }
    tracing::warn!("shell: {why}");
    let mut shell = Command::new(SHELL);
    shell
        .arg("-i")
        .env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin")
        .env("PS1", "statelitefs# ")
        .env("HOME", "/");
    if let Err(e) = at_console(&mut shell) {
        tracing::warn!("shell: /dev/console: {e}");
    }
    let ran = shell.status();
    match ran {
        Ok(_) => true,
        Err(e) => {
            tracing::error!("{SHELL}: {e}");
            false
        }
    }
}

/// Has a program talk to the console: services of an initramfs with systemd have no standard input.
fn at_console(program: &mut Command) -> std::io::Result<()> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    let console = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/console")?;
    program
        .stdout(console.try_clone()?)
        .stderr(console.try_clone()?)
        .stdin(console);
    Ok(())
}
