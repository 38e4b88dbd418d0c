//! Giving freed memory back to the system.
#![allow(unsafe_code)]

/// Returns free heap pages to the kernel.
///
/// glibc keeps freed memory of a walk over a million files in its arenas; a daemon that lives as
/// long as the node must not.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointers and may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Limits the number of allocator arenas, so that freed memory is not scattered over one arena
/// per thread.
pub fn limit_arenas() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a parameter of the allocator and takes no pointers.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
