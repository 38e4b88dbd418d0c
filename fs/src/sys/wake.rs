//! A process that goes on when it is stopped.
#![allow(unsafe_code)]

use super::Result;
use rustix::io::Errno;
use std::time::Duration;

/// Has the kernel send this process `SIGCONT` again and again. That ends a stop by `SIGSTOP`, whoever asked for it;
/// to a running process it means nothing. The signal must have a handler, else newer kernels send it once only.
///
/// # Errors
/// As `timer_create(2)`: `EAGAIN` when the kernel has no room for a timer.
pub fn continue_every(interval: Duration) -> Result<()> {
    // SAFETY: all-zero bytes are a valid `sigevent`: it has only numbers and a union of them.
    let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = libc::SIGCONT;
    let mut timer: libc::timer_t = std::ptr::null_mut();
    // SAFETY: both pointers are to live values of the types the call wants.
    if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } != 0 {
        return Err(last_error());
    }
    let period = libc::timespec {
        tv_sec: interval.as_secs().try_into().unwrap_or(1),
        tv_nsec: interval.subsec_nanos().into(),
    };
    let times = libc::itimerspec {
        it_interval: period,
        it_value: period,
    };
    // SAFETY: the timer was just made and is never deleted; `times` lives through the call.
    if unsafe { libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()) } != 0 {
        return Err(last_error());
    }
    Ok(())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
