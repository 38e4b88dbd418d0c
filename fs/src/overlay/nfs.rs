//! What the kernel says of an NFS mount that a layer is on.

/// How a layer's mount talks to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nfs {
    /// Each open and each close is a call: version 4, mounted so that an open does not ask whether the file has changed.
    pub calls_at_open: bool,
}

/// The mount of device `dev` in the text of mountinfo; none if it is not NFS.
pub fn find(mountinfo: &str, (major, minor): (u32, u32)) -> Option<Nfs> {
    let dev = format!("{major}:{minor}");
    let mut lines = mountinfo.lines();
    let line = lines.find(|line| line.split(' ').nth(2) == Some(dev.as_str()))?;
    let (_, end) = line.split_once(" - ")?;
    let mut fields = end.split(' ');
    let kind = fields.next()?;
    let options = fields.nth(1)?;
    let has = |wanted: &dyn Fn(&str) -> bool| options.split(',').any(wanted);
    matches!(kind, "nfs" | "nfs4").then(|| Nfs {
        calls_at_open: has(&|o| o.starts_with("vers=4")) && has(&|o| o == "nocto"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_told_by_device_type_and_options() {
        let text = "22 1 0:20 / /proc rw - proc proc rw\n\
            30 1 0:41 / /three ro shared:1 - nfs s:/a ro,vers=3,nocto,addr=1.2.3.4\n\
            31 1 0:42 /sub /four ro - nfs4 s:/b ro,vers=4.1,rsize=1048576,nocto,hard\n\
            32 1 0:43 / /cto ro - nfs4 s:/c ro,vers=4.2,hard\n";
        for (minor, wanted) in [
            (20, None),
            (41, Some(false)),
            (42, Some(true)),
            (43, Some(false)),
            (44, None),
        ] {
            let found = find(text, (0, minor)).map(|nfs| nfs.calls_at_open);
            assert_eq!(found, wanted, "0:{minor}");
        }
    }
}
