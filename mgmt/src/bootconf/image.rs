//! What the tables say about the image a node boots: names, directories, and how its kernel wants to be told.

use super::{BootError, names};
use crate::resolve::servers::{self, System};
use crate::tables::Site;
use crate::tables::schema::{LINUXIMAGE, OSIMAGE};

/// The family of an operating system: each has a command line of its own (facts §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Red Hat and everything built from it; unknown names are treated so too.
    RedHat,
    /// SUSE Linux Enterprise Server, openSUSE.
    Sles,
    /// Debian and Ubuntu: the form of Red Hat, without `selinux=0`.
    Debian,
}

/// What the root file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RootFs {
    /// Mounted over NFS.
    #[default]
    Nfs,
    /// Fetched as a packed image into memory.
    Ramdisk,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name in the osimage table.
    pub name: String,
    /// Operating system and version, `rhels9.4`.
    pub os: String,
    /// Architecture, `x86_64`.
    pub arch: String,
    /// Profile, `compute`.
    pub profile: String,
    /// Directory of `rootimg`, `kernel` and the initrds.
    pub rootimgdir: String,
    /// What its root is.
    pub rootfs: RootFs,
    /// More mount options of the root.
    pub nfsrootopts: Option<String>,
    /// More kernel arguments.
    pub addkcmdline: Option<String>,
    /// Interface to boot over, where the node has none set.
    pub nodebootif: Option<String>,
    /// Where a crash dump goes.
    pub dump: Option<String>,
    /// Memory kept for it.
    pub crashkernelsize: Option<String>,
    /// The layout of the local disk: a file, or `s:` and a script.
    pub partitionfile: Option<String>,
}

impl Image {
    /// The image of this name, operating system, architecture and profile; other values from its rows, where it has some.
    ///
    /// # Errors
    /// [`BootError`] when a name cannot be part of a path, or a value is bad.
    pub fn new(
        site: &Site,
        name: &str,
        os: &str,
        arch: &str,
        profile: &str,
    ) -> Result<Self, BootError> {
        for part in [name, os, arch, profile] {
            names::component(part)?;
        }
        let osimage = |column| site.row(&OSIMAGE, &[name])?.get(&OSIMAGE, column);
        let linux = |column| {
            let value = site.row(&LINUXIMAGE, &[name])?.get(&LINUXIMAGE, column);
            value.map(str::to_owned)
        };
        let system = System {
            os: os.to_owned(),
            arch: arch.to_owned(),
            profile: profile.to_owned(),
        };
        let rootimgdir = servers::rootimgdir(site, name, &system);
        let rootfs = match osimage("rootfstype") {
            Some("ramdisk") => RootFs::Ramdisk,
            _ => RootFs::Nfs,
        };
        // A boot target brings its own arguments (facts: the loaders skip addkcmdline then).
        let addkcmdline = linux("addkcmdline").filter(|_| linux("boottarget").is_none());
        let image = Self {
            name: name.to_owned(),
            os: os.to_owned(),
            arch: arch.to_owned(),
            profile: profile.to_owned(),
            rootimgdir,
            rootfs,
            nfsrootopts: osimage("nfsrootopts").map(str::to_owned),
            addkcmdline,
            nodebootif: linux("nodebootif"),
            dump: linux("dump"),
            crashkernelsize: linux("crashkernelsize"),
            partitionfile: linux("partitionfile"),
        };
        super::check::image(&image)?;
        Ok(image)
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        let os = self.os.to_ascii_lowercase();
        let begins = |names: &[&str]| names.iter().any(|name| os.starts_with(name));
        if begins(&["sle", "suse", "opensuse"]) {
            Family::Sles
        } else if begins(&["debian", "ubuntu"]) {
            Family::Debian
        } else {
            Family::RedHat
        }
    }

    /// Whether the operating system's name says that its initrd is made by dracut, or reads `root=nfs:` like it. An image
    /// with `/etc/dracut.conf` does so whatever its name is.
    #[must_use]
    pub fn dracut_by_name(&self) -> bool {
        let version = self.os.trim_start_matches(|c: char| !c.is_ascii_digit());
        let major = version.split(|c: char| !c.is_ascii_digit()).next();
        let major: u32 = major.and_then(|number| number.parse().ok()).unwrap_or(0);
        match self.family() {
            Family::Debian => true,
            Family::Sles => false,
            Family::RedHat if self.os.starts_with("fedora") => major >= 12,
            Family::RedHat => major >= 6,
        }
    }

    /// The state a node of this image is in, as the first line of its boot file has it.
    #[must_use]
    pub fn state(&self) -> String {
        format!("statelite {}-{}-{}", self.os, self.arch, self.profile)
    }

    /// Whether the machine is x86, 32 or 64 bits.
    #[must_use]
    pub fn x86(&self) -> bool {
        self.arch.contains("86")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;

    fn image(os: &str) -> Image {
        Image::new(&Site::default(), "i", os, "x86_64", "compute").unwrap()
    }

    #[test]
    fn families_and_their_initrds() {
        for (os, family, dracut) in [
            ("rhels9.4", Family::RedHat, true),
            ("rhels6", Family::RedHat, true),
            ("rhel5.3", Family::RedHat, false),
            ("rhas4.6", Family::RedHat, false),
            ("centos7", Family::RedHat, true),
            ("fedora11", Family::RedHat, false),
            ("fedora39", Family::RedHat, true),
            ("SL6.1", Family::RedHat, true),
            ("rocky9.4", Family::RedHat, true),
            ("sles11.1", Family::Sles, false),
            ("sle15", Family::Sles, false),
            ("debian12", Family::Debian, true),
            ("ubuntu22.04", Family::Debian, true),
        ] {
            let image = image(os);
            assert_eq!(
                (image.family(), image.dracut_by_name()),
                (family, dracut),
                "{os}"
            );
        }
    }

    #[test]
    fn the_usual_directory_unless_the_table_has_one() {
        assert_eq!(
            image("rhels9.4").rootimgdir,
            "/install/netboot/rhels9.4/x86_64/compute"
        );
        let mut site = Site::default();
        let row = Row::new(&LINUXIMAGE).with(&LINUXIMAGE, "imagename", "i");
        site.add(
            &LINUXIMAGE,
            row.with(&LINUXIMAGE, "rootimgdir", "/images/i/"),
        );
        let image = Image::new(&site, "i", "rhels9.4", "x86_64", "compute").unwrap();
        assert_eq!(image.rootimgdir, "/images/i");
    }

    #[test]
    fn hostile_names_are_refused() {
        for parts in [
            ["../x", "rhels9", "x86_64", "c"],
            ["i", "a/b", "x86_64", "c"],
            ["i", "rhels9", "..", "c"],
            ["i", "rhels9", "x86_64", "c d"],
        ] {
            let [name, os, arch, profile] = parts;
            assert!(
                Image::new(&Site::default(), name, os, arch, profile).is_err(),
                "{parts:?}"
            );
        }
    }
}
