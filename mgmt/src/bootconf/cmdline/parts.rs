//! Pieces that the forms share. Each comes with the blanks around it that it has in its place.

use crate::bootconf::facts::{Facts, Nic};
use crate::bootconf::image::RootFs;

/// The current root: `root=nfs:SERVER:DIR/rootimg:ro[,OPTIONS]` for dracut, `NFSROOT=SERVER:DIR` else, and for an image
/// that is fetched into memory its URL.
#[must_use]
pub fn root(facts: &Facts<'_>, nfs: &str, boot: &str) -> String {
    let settings = &facts.settings;
    if facts.image.rootfs == RootFs::Ramdisk {
        let info = if facts.probe.metainfo {
            ".metainfo"
        } else {
            ""
        };
        // The directory is absolute: two slashes, as xCAT has it.
        return format!(
            "imgurl={}://{boot}:{}/{}/rootimg-statelite.gz{info}",
            settings.httpmethod, settings.httpport, facts.image.rootimgdir
        );
    }
    if !facts.probe.dracut {
        return format!("NFSROOT={nfs}:{}", facts.nfsdir);
    }
    let options = facts.image.nfsrootopts.as_deref();
    let options = options.map(|options| format!(",{options}"));
    format!(
        "root=nfs:{nfs}:{}/rootimg:ro{}",
        facts.nfsdir,
        options.unwrap_or_default()
    )
}

/// The value of `STATEMNT=`.
#[must_use]
pub fn statemnt(facts: &Facts<'_>) -> String {
    let source = facts.statemnt.as_ref();
    source.map(ToString::to_string).unwrap_or_default()
}

/// ` nonodestatus `, when nodes shall not report.
#[must_use]
pub fn nodestatus(facts: &Facts<'_>) -> &'static str {
    if facts.settings.nodestatus {
        ""
    } else {
        " nonodestatus "
    }
}

/// The words of debug mode: where logs go, and how much.
#[must_use]
pub fn debug(facts: &Facts<'_>, master: &str) -> String {
    let Some(mode) = facts.settings.debugmode.as_deref() else {
        return String::new();
    };
    let ip = facts.resolved(master);
    format!(
        " LOGSERVER={ip}  syslog.server={ip} syslog.type=rsyslogd syslog.filter=*.*  xcatdebugmode={mode} "
    )
}

/// `netdev=NAME ` or `BOOTIF=MAC `.
#[must_use]
pub fn nic(facts: &Facts<'_>) -> String {
    match &facts.nic {
        Some(Nic::Name(name)) => format!("netdev={name} "),
        Some(Nic::Address(mac)) => format!("BOOTIF={mac} "),
        None => String::new(),
    }
}

/// `console=tty0 console=ttyS0,115200n8r`; POWER with little endian has its console on hvc.
#[must_use]
pub fn console(facts: &Facts<'_>) -> Option<String> {
    let console = facts.console.as_ref()?;
    let current = facts.era == crate::bootconf::Era::Current;
    let hvc = current && facts.image.arch.eq_ignore_ascii_case("ppc64le");
    let kind = if hvc { "hvc" } else { "ttyS" };
    Some(format!(
        "console=tty0 console={kind}{},{}",
        console.port, console.speed
    ))
}

/// ` crashkernel=SIZE dump=TARGET `, when the image has a dump target.
#[must_use]
pub fn dump(facts: &Facts<'_>) -> String {
    let image = &facts.image;
    let Some(target) = image.dump.as_deref() else {
        return String::new();
    };
    let size = match image.crashkernelsize.as_deref() {
        Some(size) => size,
        None if image.arch == "ppc64" => "256M@64M",
        None if image.x86() => "128M",
        None => return String::new(),
    };
    format!(" crashkernel={size} dump={target} ")
}

/// The mount options of the persistent store.
#[must_use]
pub fn mntopts<'a>(facts: &'a Facts<'_>) -> Option<&'a str> {
    facts.statemnt.as_ref()?.mntopts.as_deref()
}
