//! What a stock node does besides the table's entries (facts §6): files of the initramfs that it takes along, and
//! `mtab`. None of it is in `statelite.log`. What is not there is passed over.

use super::Hands;
use super::place::Places;
use super::step::Step;
use statelite_policy::Dialect;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// In 2010 these are in the tmpfs before the entries are.
const TAKEN_2010: [&str; 3] = ["etc/ntp.conf", "etc/ntp/step-kickers", "etc/resolv.conf"];
/// Where leases of the DHCP client are on a node.
const LEASES: &str = "var/lib/dhclient";

/// Before the entries.
pub fn before(initramfs: &Path, places: &Places, dialect: Dialect, hands: &mut dyn Hands) {
    if dialect != Dialect::Seed2010 {
        return;
    }
    let tmpfs = PathBuf::from(places.tmpfs("/"));
    let leases = names(&initramfs.join(LEASES), "dhclient-", ".leases");
    let leases = leases.iter().map(|name| format!("{LEASES}/{name}"));
    let files = TAKEN_2010.map(str::to_owned).into_iter().chain(leases);
    for file in files {
        let (from, to) = (initramfs.join(&file), tmpfs.join(&file));
        if from.is_file() {
            let made = to.parent().map_or(Ok(()), fs::create_dir_all);
            tell(hands, &to, made.and_then(|()| copy(&from, &to)));
        }
    }
}

/// After the entries.
pub fn after(initramfs: &Path, places: &Places, dialect: Dialect, hands: &mut dyn Hands) {
    let mtab = Step::Link {
        text: "/proc/mounts".to_owned(),
        name: places.tmpfs("/etc/mtab"),
    };
    let linked = mtab.perform(hands);
    tell(hands, Path::new("/etc/mtab"), linked);
    if dialect != Dialect::Current {
        return;
    }
    let root = Path::new(&places.root);
    // The script does so with genimage's dummy alone, dracut's hook after it in any case.
    let conf = initramfs.join("etc/resolv.conf");
    if conf.is_file() {
        let target = root.join("etc/resolv.conf");
        tell(hands, &target, copy(&conf, &target));
    }
    let tmp = initramfs.join("tmp");
    for name in names(&tmp, "ifcfg-", "") {
        let target = root.join("etc/sysconfig/network").join(&name);
        tell(hands, &target, copy(&tmp.join(&name), &target));
    }
    for name in names(&tmp, "dhclient.", ".lease") {
        let card = name.trim_start_matches("dhclient.");
        let target = root.join(LEASES).join(format!("dhclient-{card}s"));
        tell(hands, &target, copy(&tmp.join(&name), &target));
    }
    let selinux = root.join("etc/sysconfig/selinux");
    if root.join("etc/sysconfig").is_dir() && !selinux.exists() {
        tell(hands, &selinux, fs::write(&selinux, "SELINUX=disabled\n"));
    }
}

fn tell(hands: &mut dyn Hands, what: &Path, done: io::Result<()>) {
    if let Err(error) = done {
        hands.say(&format!("{}: {error}", what.display()));
    }
}

/// Into the file that is there or that a link leads to, whose mode stays.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::write(to, fs::read(from)?)
}

fn names(dir: &Path, start: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with(start) && name.ends_with(end))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::links::place::persistent_dir;

    struct Said(Vec<String>);

    impl Hands for Said {
        fn bind(&mut self, _: &Path, _: &Path, _: bool) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn say(&mut self, message: &str) {
            self.0.push(message.to_owned());
        }
    }

    /// An initramfs and a new root with these files, `resolv.conf` of the image being a link as liteimg makes it.
    fn run(dialect: Dialect, files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let root = dir.path().join("root");
        for made in [".statelite/tmpfs/etc", "etc"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        let link = "../.statelite/tmpfs/etc/resolv.conf";
        std::os::unix::fs::symlink(link, root.join("etc/resolv.conf")).unwrap();
        let places = Places {
            root: root.display().to_string(),
            trees: Vec::new(),
            persistent: persistent_dir("n1", dialect),
        };
        let mut hands = Said(Vec::new());
        before(&dir.path().join("initramfs"), &places, dialect, &mut hands);
        after(&dir.path().join("initramfs"), &places, dialect, &mut hands);
        (dir, hands.0)
    }

    fn read(dir: &tempfile::TempDir, path: &str) -> String {
        fs::read_to_string(dir.path().join("root").join(path)).unwrap()
    }

    const TMPFS_MTAB: &str = "root/.statelite/tmpfs/etc/mtab";

    #[test]
    fn today_the_initramfs_gives_name_servers_and_cards() {
        let (dir, said) = run(
            Dialect::Current,
            &[
                ("initramfs/etc/resolv.conf", "nameserver 10.0.0.1\n"),
                ("initramfs/tmp/ifcfg-eth0", "DEVICE=eth0\n"),
                ("initramfs/tmp/dhclient.eth0.lease", "lease\n"),
                ("initramfs/etc/ntp.conf", "not taken\n"),
                (
                    "root/.statelite/tmpfs/etc/resolv.conf",
                    "#Dummy resolv.conf to make boot cleaner\n",
                ),
                (TMPFS_MTAB, "a copy of the image's\n"),
                ("root/etc/sysconfig/network/config", ""),
                ("root/var/lib/dhclient/old", ""),
            ],
        );
        assert_eq!(said, Vec::<String>::new());
        assert_eq!(read(&dir, "etc/resolv.conf"), "nameserver 10.0.0.1\n");
        assert_eq!(
            read(&dir, ".statelite/tmpfs/etc/resolv.conf"),
            "nameserver 10.0.0.1\n"
        );
        let mtab = fs::read_link(dir.path().join(TMPFS_MTAB)).unwrap();
        assert_eq!(mtab, Path::new("/proc/mounts"));
        assert_eq!(
            read(&dir, "etc/sysconfig/network/ifcfg-eth0"),
            "DEVICE=eth0\n"
        );
        assert_eq!(
            read(&dir, "var/lib/dhclient/dhclient-eth0.leases"),
            "lease\n"
        );
        assert_eq!(read(&dir, "etc/sysconfig/selinux"), "SELINUX=disabled\n");
        assert!(!dir.path().join("root/etc/ntp.conf").exists());
    }

    #[test]
    fn in_2010_files_of_the_initramfs_were_in_the_tmpfs_first() {
        let (dir, said) = run(
            Dialect::Seed2010,
            &[
                ("initramfs/etc/resolv.conf", "nameserver 10.0.0.1\n"),
                ("initramfs/etc/ntp.conf", "server 10.0.0.1\n"),
                ("initramfs/etc/ntp/step-kickers", "10.0.0.1\n"),
                ("initramfs/var/lib/dhclient/dhclient-eth0.leases", "lease\n"),
                ("initramfs/tmp/ifcfg-eth0", "not taken\n"),
                ("root/etc/sysconfig/network/config", ""),
            ],
        );
        assert_eq!(said, Vec::<String>::new());
        assert_eq!(read(&dir, "etc/resolv.conf"), "nameserver 10.0.0.1\n");
        for (path, content) in [
            ("etc/ntp.conf", "server 10.0.0.1\n"),
            ("etc/ntp/step-kickers", "10.0.0.1\n"),
            ("var/lib/dhclient/dhclient-eth0.leases", "lease\n"),
        ] {
            assert_eq!(read(&dir, &format!(".statelite/tmpfs/{path}")), content);
        }
        let mtab = fs::read_link(dir.path().join(TMPFS_MTAB)).unwrap();
        assert_eq!(mtab, Path::new("/proc/mounts"));
        assert!(!dir.path().join("root/etc/sysconfig/selinux").exists());
    }

    #[test]
    fn what_cannot_be_copied_is_said() {
        let (dir, said) = run(
            Dialect::Current,
            &[("initramfs/tmp/ifcfg-eth0", "DEVICE=eth0\n")],
        );
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("etc/sysconfig/network/ifcfg-eth0: No such file"));
        drop(dir);
    }
}
