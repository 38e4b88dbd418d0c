//! Service nodes over a real ssh server on the loopback: prsync, and boot files with `site.sharedtftp=0`.

#[cfg(test)]
mod boot_files;
#[cfg(test)]
mod prsync;
#[cfg(test)]
mod sshd;
