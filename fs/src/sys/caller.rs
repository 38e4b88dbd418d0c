//! What the kernel does not tell about the process behind a request: its capabilities and groups.
//!
//! Asked only where set-id bits are at stake, which is rare, so reading `/proc` is cheap enough.

const CAP_FSETID: u32 = 4;

/// The process a request comes from, as far as FUSE tells.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// File-system user id.
    pub uid: u32,
    /// File-system group id.
    pub gid: u32,
    /// Thread id in the daemon's pid namespace; 0 if it is not visible there.
    pub pid: u32,
}

impl Caller {
    /// Whether the caller may keep set-id bits of files it changes (`CAP_FSETID`).
    ///
    /// When the process cannot be looked up any more, root is believed to have it.
    pub fn has_fsetid(self) -> bool {
        match self.status_field("CapEff:") {
            Some(hex) => u64::from_str_radix(hex.trim(), 16)
                .map_or(self.uid == 0, |caps| caps & (1 << CAP_FSETID) != 0),
            None => self.uid == 0,
        }
    }

    /// Whether `gid` is the caller's group or one of its supplementary groups.
    pub fn in_group(self, gid: u32) -> bool {
        self.gid == gid
            || self.status_field("Groups:").is_some_and(|groups| {
                groups
                    .split_whitespace()
                    .any(|g| g.parse::<u32>() == Ok(gid))
            })
    }

    fn status_field(self, key: &str) -> Option<String> {
        if self.pid == 0 {
            return None;
        }
        // Relative to /proc/self/fd, the daemon's working directory.
        let text = std::fs::read_to_string(format!("../../{}/status", self.pid))
            .or_else(|_| std::fs::read_to_string(format!("/proc/{}/status", self.pid)))
            .ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .map(str::to_owned)
    }
}
