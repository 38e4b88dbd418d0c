//! The distributions, by the names xCAT gives them: `rhels5.3`, `sles11.1`, `debian12`, `ubuntu22.04`.

use std::fmt;

/// How a distribution's packages get into a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// mmdebstrap and apt.
    Debian,
    /// dnf.
    RedHat,
    /// zypper.
    Suse,
}

impl Family {
    /// The package manager.
    #[must_use]
    pub const fn manager(self) -> &'static str {
        match self {
            Self::Debian => "apt",
            Self::RedHat => "dnf",
            Self::Suse => "zypper",
        }
    }
}

/// "{0}" is no distribution known here
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no distribution known here: it should be a name and a version, like debian12, ubuntu22.04, \
     rhels5.3, rocky9.4, fedora40, sles15.4 or leap15.5"
)]
pub struct UnknownOs(pub String);

/// A distribution and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distro {
    /// How its packages are installed.
    pub family: Family,
    /// The name without version: `rhels`, `debian`.
    pub vendor: String,
    /// The version: `5.3`, `11sp1`, `12`. May be empty.
    pub version: String,
}

/// Names by which vendors are known, with the family and the directory of their lists in xCAT.
const VENDORS: &[(&str, Family, &str)] = &[
    ("debian", Family::Debian, "debian"),
    ("ubuntu", Family::Debian, "ubuntu"),
    ("rhels", Family::RedHat, "rh"),
    ("rhelc", Family::RedHat, "rh"),
    ("rhelhpc", Family::RedHat, "rh"),
    ("rhel", Family::RedHat, "rh"),
    ("rhas", Family::RedHat, "rh"),
    ("rh", Family::RedHat, "rh"),
    ("centos-stream", Family::RedHat, "centos"),
    ("centos", Family::RedHat, "centos"),
    ("rocky", Family::RedHat, "rocky"),
    ("almalinux", Family::RedHat, "alma"),
    ("alma", Family::RedHat, "alma"),
    ("fedora", Family::RedHat, "fedora"),
    ("ol", Family::RedHat, "ol"),
    ("SL", Family::RedHat, "SL"),
    ("sles", Family::Suse, "sles"),
    ("sle", Family::Suse, "sles"),
    ("suse", Family::Suse, "suse"),
    ("leap", Family::Suse, "sles"),
];

/// Releases by the names their archives have.
const SUITES: &[(&str, &str, &str)] = &[
    ("debian", "10", "buster"),
    ("debian", "11", "bullseye"),
    ("debian", "12", "bookworm"),
    ("debian", "13", "trixie"),
    ("debian", "14", "forky"),
    ("ubuntu", "18.04", "bionic"),
    ("ubuntu", "20.04", "focal"),
    ("ubuntu", "22.04", "jammy"),
    ("ubuntu", "24.04", "noble"),
    ("ubuntu", "26.04", "resolute"),
];

impl Distro {
    /// The distribution a name stands for.
    ///
    /// # Errors
    /// [`UnknownOs`] when no vendor has this name.
    pub fn of(os: &str) -> Result<Self, UnknownOs> {
        let end = os.find(|c: char| c.is_ascii_digit()).unwrap_or(os.len());
        let (vendor, version) = os.split_at(end);
        let known = VENDORS.iter().find(|(name, ..)| *name == vendor);
        let (_, family, _) = known.ok_or_else(|| UnknownOs(os.to_owned()))?;
        Ok(Self {
            family: *family,
            vendor: vendor.to_owned(),
            version: version.to_owned(),
        })
    }

    /// The name of the release in a Debian archive, as far as it is known here.
    #[must_use]
    pub fn suite(&self) -> Option<&'static str> {
        let found = SUITES.iter().find(|(vendor, version, _)| {
            let rest = self.version.strip_prefix(version);
            *vendor == self.vendor
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        found.map(|(.., suite)| *suite)
    }

    /// The first part of the version: `8` of `8.5`.
    #[must_use]
    pub fn major(&self) -> Option<u32> {
        let digits = self.version.split(|c: char| !c.is_ascii_digit()).next();
        digits?.parse().ok()
    }

    /// The names of the directories its lists are in, below `custom/netboot` and `share/xcat/netboot`.
    ///
    /// The vendor's own comes first, then that of its family: `centos`, `rh`.
    #[must_use]
    pub fn directories(&self) -> Vec<&'static str> {
        let own = VENDORS.iter().find(|(name, ..)| *name == self.vendor);
        let mut names: Vec<&str> = own.map(|(.., directory)| *directory).into_iter().collect();
        let family = match self.family {
            Family::Debian => "debian",
            Family::RedHat => "rh",
            Family::Suse => "sles",
        };
        if !names.contains(&family) {
            names.push(family);
        }
        names
    }
}

impl fmt::Display for Distro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.vendor, self.version)
    }
}

/// Debian's name of an architecture; others are theirs already.
#[must_use]
pub fn debian_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "x86" | "i386" | "i686" => "i386",
        "aarch64" => "arm64",
        "ppc64le" | "ppc64el" => "ppc64el",
        other => other,
    }
}

/// The architecture a Debian name stands for, in xCAT's words.
#[must_use]
pub fn from_debian_arch(arch: &str) -> &str {
    match arch {
        "amd64" => "x86_64",
        "i386" => "x86",
        "arm64" => "aarch64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (os, family, suite, major, directories) in [
            (
                "debian12",
                Family::Debian,
                Some("bookworm"),
                Some(12),
                vec!["debian"],
            ),
            (
                "debian12.5.0",
                Family::Debian,
                Some("bookworm"),
                Some(12),
                vec!["debian"],
            ),
            ("debian120", Family::Debian, None, Some(120), vec!["debian"]),
            (
                "ubuntu22.04.3",
                Family::Debian,
                Some("jammy"),
                Some(22),
                vec!["ubuntu", "debian"],
            ),
            ("rhels5.3", Family::RedHat, None, Some(5), vec!["rh"]),
            (
                "centos-stream9",
                Family::RedHat,
                None,
                Some(9),
                vec!["centos", "rh"],
            ),
            (
                "rocky9.4",
                Family::RedHat,
                None,
                Some(9),
                vec!["rocky", "rh"],
            ),
            ("sles11sp1", Family::Suse, None, Some(11), vec!["sles"]),
            ("leap15.5", Family::Suse, None, Some(15), vec!["sles"]),
        ] {
            let distro = Distro::of(os).unwrap();
            assert_eq!(distro.to_string(), os);
            assert_eq!(distro.family, family, "{os}");
            assert_eq!(distro.suite(), suite, "{os}");
            assert_eq!(distro.major(), major, "{os}");
            assert_eq!(distro.directories(), directories, "{os}");
        }
        for os in ["", "12", "haiku1", "../etc1", "debian/12"] {
            assert!(Distro::of(os).is_err(), "{os}");
        }
    }

    #[test]
    fn architectures() {
        for (ours, debian) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("riscv64", "riscv64"),
        ] {
            assert_eq!(debian_arch(ours), debian);
            assert_eq!(from_debian_arch(debian), ours);
        }
    }
}
