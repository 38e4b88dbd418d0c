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

/// Smallest piece of memory, in bytes, that is always mapped by itself.
const LARGE: libc::c_int = 4 << 20;

/// Limits the number of allocator arenas, so that freed memory is not scattered over one arena per thread; and has large
/// pieces mapped, which glibc stops to do for a size that was once freed. fuser makes a buffer of 16 MiB for each thread, of
/// which little is ever used: mapped, the rest takes no memory, while in an arena it is filled with zeroes first.
pub fn set_up() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, LARGE)] {
        // SAFETY: mallopt only sets a parameter of the allocator and takes no pointers.
        unsafe {
            libc::mallopt(what, value);
        }
    }
}
