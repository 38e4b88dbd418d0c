//! Between the kernel's forms and ours.

use crate::overlay::attr::Entry;
use crate::overlay::change::SetTime;
use crate::sys::caller::Caller;
use crate::sys::stat::Time;
use fuser::{FileAttr, FileType, INodeNo, Request, TimeOrNow};
use rustix::io::Errno;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Numbers from here on are the kernel's own. `ERESTARTSYS`, 512, comes out of calls on NFS when their mount is forced
/// to unmount.
const INTERNAL: i32 = 512;

/// An errno as fuser wants it. With an internal one the kernel would refuse the answer, and the caller wait for ever.
pub fn errno(e: Errno) -> fuser::Errno {
    match e.raw_os_error() {
        INTERNAL.. => fuser::Errno::EIO,
        other => fuser::Errno::from_i32(other),
    }
}

/// An entry without a node.
pub const NOTHING: fuser::FileAttr = fuser::FileAttr {
    ino: fuser::INodeNo(0),
    size: 0,
    blocks: 0,
    atime: UNIX_EPOCH,
    mtime: UNIX_EPOCH,
    ctime: UNIX_EPOCH,
    crtime: UNIX_EPOCH,
    kind: fuser::FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 4096,
    flags: 0,
};

/// Who sent a request.
pub fn caller(req: &Request) -> Caller {
    Caller {
        uid: req.uid(),
        gid: req.gid(),
        pid: req.pid(),
    }
}

/// Attributes as the kernel gets them: `st_ino` is the node's number, not the layer's.
pub fn attr(entry: &Entry) -> FileAttr {
    let st = &entry.stat;
    FileAttr {
        ino: INodeNo(entry.node.ino),
        size: st.size,
        blocks: st.blocks,
        atime: to_system_time(st.atime),
        mtime: to_system_time(st.mtime),
        ctime: to_system_time(st.ctime),
        crtime: UNIX_EPOCH,
        kind: kind(st.kind),
        perm: st.perm,
        nlink: st.nlink,
        uid: st.uid,
        gid: st.gid,
        rdev: encode_rdev(st.rdev),
        blksize: st.blksize,
        flags: 0,
    }
}

/// A file type; an unknown one is shown as a regular file.
pub fn kind(kind: rustix::fs::FileType) -> FileType {
    use rustix::fs::FileType as Kind;
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::RegularFile | Kind::Unknown => FileType::RegularFile,
    }
}

/// A time as fuser sends it, exact also before 1970.
fn to_system_time(t: Time) -> SystemTime {
    let nanos = Duration::from_nanos(t.nsec.into());
    match u64::try_from(t.sec) {
        Ok(sec) => UNIX_EPOCH.checked_add(Duration::from_secs(sec)),
        Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(t.sec.unsigned_abs())),
    }
    .and_then(|whole| whole.checked_add(nanos))
    .unwrap_or(UNIX_EPOCH)
}

/// A time as fuser received it. For times before 1970 fuser 0.18 subtracts the nanoseconds it
/// should add; both parts are still there to be put together rightly.
fn from_system_time(t: SystemTime) -> Time {
    match t.duration_since(UNIX_EPOCH) {
        Ok(d) => Time {
            sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            nsec: d.subsec_nanos(),
        },
        Err(before) => {
            let d = before.duration();
            Time {
                sec: i64::try_from(d.as_secs()).map_or(i64::MIN, |sec| -sec),
                nsec: d.subsec_nanos(),
            }
        }
    }
}

/// A time to be set.
pub fn set_time(t: TimeOrNow) -> SetTime {
    match t {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(t) => SetTime::To(from_system_time(t)),
    }
}

/// `dev_t` to the kernel's 32-bit form (`new_encode_dev`).
fn encode_rdev(rdev: u64) -> u32 {
    let (major, minor) = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The kernel's 32-bit form to `dev_t`.
pub fn decode_rdev(rdev: u32) -> u64 {
    let major = (rdev & 0x000f_ff00) >> 8;
    let minor = (rdev & 0xff) | ((rdev >> 12) & 0x000f_ff00);
    rustix::fs::makedev(major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_takes_every_error() {
        assert_eq!(errno(Errno::from_raw_os_error(512)).code(), libc::EIO);
        assert_eq!(errno(Errno::NOENT).code(), libc::ENOENT);
    }

    #[test]
    fn device_numbers_survive() {
        for (major, minor) in [(1, 3), (8, 1), (259, 70000), (4095, 1)] {
            let dev = rustix::fs::makedev(major, minor);
            assert_eq!(decode_rdev(encode_rdev(dev)), dev);
        }
    }

    #[test]
    fn times_before_the_epoch_survive() {
        // As fuser hands over -1.75 s: -2 s and 250,000,000 ns, wrongly subtracted.
        let received = UNIX_EPOCH - Duration::new(2, 250_000_000);
        let time = from_system_time(received);
        assert_eq!((time.sec, time.nsec), (-2, 250_000_000));
        assert_eq!(
            to_system_time(time),
            UNIX_EPOCH - Duration::new(1, 750_000_000)
        );
    }
}
