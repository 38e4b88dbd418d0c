//! A shared mapping of a file.

#![allow(unsafe_code)]

use std::fs::File;

use anyhow::Result;
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

/// The first bytes of a file, mapped shared and writable.
pub struct Mapped {
    address: *mut core::ffi::c_void,
    length: usize,
}

impl Mapped {
    pub fn new(file: &File, length: usize) -> Result<Self> {
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                flags,
                MapFlags::SHARED,
                file,
                0,
            )?
        };
        Ok(Self { address, length })
    }

    /// The mapped bytes now.
    pub fn read(&self) -> Vec<u8> {
        let start = self.address.cast::<u8>();
        // SAFETY: within the mapping; volatile, for others may change the file.
        (0..self.length)
            .map(|at| unsafe { start.add(at).read_volatile() })
            .collect()
    }

    /// Changes mapped bytes, as far as they lie within the mapping.
    pub fn write(&mut self, offset: usize, data: &[u8]) {
        let start = self.address.cast::<u8>();
        for (at, byte) in (offset..self.length).zip(data) {
            // SAFETY: within the mapping.
            unsafe { start.add(at).write_volatile(*byte) };
        }
    }

    pub fn sync(&self) -> Result<()> {
        // SAFETY: the mapping is this value's own.
        unsafe { msync(self.address, self.length, MsyncFlags::SYNC)? };
        Ok(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nobody has it after this.
        let _ = unsafe { munmap(self.address, self.length) };
    }
}
