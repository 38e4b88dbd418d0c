//! Doing something as another user.

use anyhow::{Result, anyhow};
use rustix::process::{Gid, Uid};

/// Runs `body` on a thread with this user and group and no other groups or capabilities.
pub fn as_user<T: Send>(uid: u32, gid: u32, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(gid, gid, gid)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid)?;
            body()
        });
        thread.join().map_err(|_| anyhow!("the thread panicked"))?
    })
}
