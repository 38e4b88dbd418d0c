//! The archive format the kernel unpacks into a root: cpio, "new ASCII".

use std::io::{self, Write};

/// One entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Header {
    /// Number of the file; names with the same one are one file.
    pub ino: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names in the archive it has.
    pub nlink: u32,
    /// Seconds.
    pub mtime: u32,
    /// Bytes of content that follow.
    pub size: u32,
    /// Device number, of a device.
    pub rdev: (u32, u32),
}

const ZEROS: [u8; 4] = [0; 4];

/// Fills up to a multiple of four.
fn pad(out: &mut impl Write, length: usize) -> io::Result<()> {
    let missing = (4 - length % 4) % 4;
    out.write_all(ZEROS.get(..missing).unwrap_or_default())
}

/// Writes the head of an entry; its content follows, then [`end`].
///
/// # Errors
/// As writing.
pub fn begin(out: &mut impl Write, name: &[u8], header: &Header) -> io::Result<()> {
    let Header {
        ino,
        mode,
        uid,
        gid,
        nlink,
        mtime,
        size,
        rdev: (major, minor),
    } = header;
    let length = name.len() + 1;
    write!(
        out,
        "070701{ino:08X}{mode:08X}{uid:08X}{gid:08X}{nlink:08X}{mtime:08X}{size:08X}{:08X}{:08X}{major:08X}{minor:08X}{length:08X}{:08X}",
        0, 0, 0
    )?;
    out.write_all(name)?;
    out.write_all(b"\0")?;
    // The head has 110 bytes.
    pad(out, 110 + length)
}

/// Ends an entry with this many bytes of content.
///
/// # Errors
/// As writing.
pub fn end(out: &mut impl Write, size: u32) -> io::Result<()> {
    pad(out, size as usize % 4)
}

/// Ends the archive.
///
/// # Errors
/// As writing.
pub fn trailer(out: &mut impl Write) -> io::Result<()> {
    let header = Header {
        nlink: 1,
        ..Header::default()
    };
    begin(out, b"TRAILER!!!", &header)
}
