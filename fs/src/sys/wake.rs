//! A process that goes on when it is stopped.
#![allow(unsafe_code)]

use super::Result;
use rustix::fd::{AsRawFd as _, BorrowedFd};
use rustix::io::Errno;

/// Has the kernel send this process `SIGCONT` whenever something can be read from `device`: that ends a stop by
/// `SIGSTOP`, whoever asked for it. To a running process it means nothing, and costs no wake-up as long as the signal
/// has no handler.
///
/// # Errors
/// As `fcntl(2)`: `EINVAL` when the device cannot tell.
pub fn continue_on(device: BorrowedFd<'_>) -> Result<()> {
    let fd = device.as_raw_fd();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: these commands take an integer, and no memory is passed.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags < 0 {
        return Err(last_error());
    }
    for (command, value) in [
        (libc::F_SETOWN, own),
        (F_SETSIG, libc::SIGCONT),
        (libc::F_SETFL, flags | libc::O_ASYNC),
    ] {
        // SAFETY: as above.
        if unsafe { libc::fcntl(fd, command, value) } < 0 {
            return Err(last_error());
        }
    }
    Ok(())
}

/// Which signal to send in place of `SIGIO`; of Linux, and not named by every version of libc.
const F_SETSIG: libc::c_int = 10;

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;

    #[test]
    fn what_can_be_read_is_told() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        continue_on(reader.as_fd()).unwrap();
        let flags = rustix::fs::fcntl_getfl(&reader).unwrap();
        assert_eq!(flags.bits() & libc::O_ASYNC as u32, libc::O_ASYNC as u32);
    }
}
