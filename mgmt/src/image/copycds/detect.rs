//! What a medium is, by the small files it carries.

use crate::image::distro::from_debian_arch;
use regex::Regex;

/// A recognised medium.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Medium {
    /// The operating system as xCAT names it, with version: `rhels5.3`.
    pub os: String,
    /// The architecture.
    pub arch: String,
    /// Its number among several, where it has one that counts.
    pub disc: Option<u32>,
    /// What it says of itself.
    pub title: String,
}

/// Recognises a medium; `read` gives the text of a file on it.
#[must_use]
pub fn detect(read: &dyn Fn(&str) -> Option<String>) -> Option<Medium> {
    let debian = || debian(&read(".disk/info")?);
    let treeinfo = || treeinfo(&read(".treeinfo")?);
    let discinfo = || discinfo(&read(".discinfo")?);
    let suse = || suse(read);
    debian().or_else(treeinfo).or_else(discinfo).or_else(suse)
}

/// `Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 DVD Binary-1 with firmware 20240210-11:28`
fn debian(text: &str) -> Option<Medium> {
    let line = text.lines().next()?.trim();
    let pattern = r"^(Debian|Ubuntu)\S*(?: GNU/Linux)? (\d[\d.]*)\b.*? (amd64|i386|arm64|armhf|ppc64el|riscv64|s390x)\b";
    let found = Regex::new(pattern).ok()?.captures(line)?;
    let (vendor, version, arch) = (
        found.get(1)?.as_str(),
        found.get(2)?.as_str(),
        found.get(3)?.as_str(),
    );
    Some(Medium {
        os: format!("{}{version}", vendor.to_lowercase()),
        arch: from_debian_arch(arch).to_owned(),
        disc: None,
        title: line.to_owned(),
    })
}

/// Names media have for their families, longest first, and ours.
const FAMILIES: &[(&str, &str)] = &[
    ("Red Hat Enterprise Linux Server", "rhels"),
    ("Red Hat Enterprise Linux Client", "rhelc"),
    ("Red Hat Enterprise Linux", "rhels"),
    ("CentOS Stream", "centos-stream"),
    ("CentOS Linux", "centos"),
    ("CentOS", "centos"),
    ("Rocky Linux", "rocky"),
    ("AlmaLinux", "alma"),
    ("Oracle Linux Server", "ol"),
    ("Oracle Linux", "ol"),
    ("Fedora-Server", "fedora"),
    ("Fedora", "fedora"),
    ("Scientific Linux", "SL"),
];

fn family(name: &str) -> Option<&'static str> {
    let known = FAMILIES.iter().find(|(known, _)| name.starts_with(known));
    known.map(|(_, vendor)| *vendor)
}

/// An INI file; the section `general` is the old one, `release` and `tree` the new.
fn treeinfo(text: &str) -> Option<Medium> {
    let value = |section: &str, key: &str| {
        let mut inside = false;
        text.lines().map(str::trim).find_map(|line| {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                inside = name == section;
            }
            let (name, value) = line.split_once('=')?;
            (inside && name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    let either = |key: &str, (section, name): (&str, &str)| {
        value("general", key).or_else(|| value(section, name))
    };
    let name = either("family", ("release", "name"))?;
    let version = either("version", ("release", "version"))
        .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))?;
    let arch = either("arch", ("tree", "arch"))?;
    Some(Medium {
        os: format!("{}{version}", family(&name)?),
        arch: machine(&arch),
        disc: None,
        title: format!("{name} {version} {arch}"),
    })
}

/// Lines: time stamp, name with version, architecture, numbers of discs.
fn discinfo(text: &str) -> Option<Medium> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let [_, name, arch, ..] = lines.as_slice() else {
        return None;
    };
    let version = name
        .rsplit(' ')
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(Medium {
        os: format!("{}{version}", family(name)?),
        arch: machine(arch),
        disc: None,
        title: format!("{name} {arch}"),
    })
}

fn machine(arch: &str) -> String {
    match arch {
        "i386" | "i586" | "i686" => "x86".to_owned(),
        other => other.to_owned(),
    }
}

/// SUSE up to 12 has `content`; from 15 on `media.1/media` names the build: `SUSE - SLE-15-SP4-Full-x86_64-Build151.1-Media`.
fn suse(read: &dyn Fn(&str) -> Option<String>) -> Option<Medium> {
    if let Some(found) = read("content").and_then(|text| content(&text)) {
        let disc = (1..=9).find(|number| read(&format!("media.{number}/media")).is_some());
        return Some(Medium {
            disc: disc.or(Some(1)),
            ..found
        });
    }
    for number in 1..=9 {
        let Some(text) = read(&format!("media.{number}/media")) else {
            continue;
        };
        let pattern =
            r"(SLE|openSUSE-Leap)-(\d+(?:\.\d+)?)(?:-SP(\d+))?-.*?(x86_64|ppc64le|aarch64|s390x)";
        let found = Regex::new(pattern).ok()?.captures(&text)?;
        let vendor = if found.get(1)?.as_str() == "SLE" {
            "sle"
        } else {
            "leap"
        };
        let pack = found.get(3).map(|pack| format!(".{}", pack.as_str()));
        return Some(Medium {
            os: format!(
                "{vendor}{}{}",
                found.get(2)?.as_str(),
                pack.unwrap_or_default()
            ),
            arch: found.get(4)?.as_str().to_owned(),
            disc: Some(number),
            title: text.lines().next().unwrap_or_default().trim().to_owned(),
        });
    }
    None
}

/// Lines `KEY value`.
fn content(text: &str) -> Option<Medium> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            (name == key).then(|| value.trim())
        })
    };
    let name = value("PRODUCT")
        .or_else(|| value("LABEL"))
        .unwrap_or_default();
    // DISTRO cpe:/o:suse:sles:12:sp3,SUSE Linux Enterprise Server 12 SP3
    let distro = value("DISTRO").and_then(|text| {
        let pattern = r"cpe:/o:(?:suse:(sles|sled)|opensuse:(opensuse|leap)):([\d.]+)(?::sp(\d+))?";
        let found = Regex::new(pattern).ok()?.captures(text)?;
        let pack = found.get(4).map(|pack| format!(".{}", pack.as_str()));
        let vendor = if found.get(1).is_some() {
            "sles"
        } else {
            "leap"
        };
        Some((
            vendor,
            format!("{}{}", found.get(3)?.as_str(), pack.unwrap_or_default()),
        ))
    });
    let enterprise = [
        "SUSE_SLES",
        "SLES",
        "SUSE Linux Enterprise Server",
        "SUSE SLES",
    ];
    let old = || {
        let known = enterprise.iter().any(|known| name.starts_with(known));
        Some(("sles", value("VERSION").filter(|_| known)?.to_owned()))
    };
    let (vendor, version) = distro.or_else(old)?;
    let arch = value("BASEARCHS").or_else(|| value("DEFAULTBASE"))?;
    Some(Medium {
        os: format!("{vendor}{}", version.split('-').next()?),
        arch: machine(arch.split_whitespace().next()?),
        disc: None,
        title: format!("{name} {version} {arch}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<(String, String, Option<u32>)> {
        let read = |path: &str| {
            let file = files.iter().find(|(name, _)| *name == path);
            file.map(|(_, text)| (*text).to_owned())
        };
        detect(&read).map(|medium| (medium.os, medium.arch, medium.disc))
    }

    #[test]
    fn media() {
        let general = "[checksums]\nversion = 1\n[general]\nfamily = Red Hat Enterprise Linux\nversion = 6.4\narch = ppc64\n";
        let release = "[header]\nversion = 1.2\n[release]\nname = Rocky Linux\nshort = Rocky\nversion = 9.4\n[tree]\narch = aarch64\n";
        let content = "CONTENTSTYLE 11\nDISTRO cpe:/o:suse:sles:12:sp3,SUSE Linux Enterprise Server 12 SP3\nBASEARCHS x86_64\n";
        for (files, os, arch, disc) in [
            (
                vec![(
                    ".disk/info",
                    "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64 DVD Binary-1 with firmware 20240210-11:28",
                )],
                "debian12.5.0",
                "x86_64",
                None,
            ),
            (
                vec![(
                    ".disk/info",
                    "Ubuntu-Server 22.04.3 LTS \"Jammy Jellyfish\" - Release arm64 (20230810)\n",
                )],
                "ubuntu22.04.3",
                "aarch64",
                None,
            ),
            (vec![(".treeinfo", general)], "rhels6.4", "ppc64", None),
            (vec![(".treeinfo", release)], "rocky9.4", "aarch64", None),
            (
                vec![(
                    ".discinfo",
                    "1209608367.90\nRed Hat Enterprise Linux Server 5.3\nx86_64\n1,2,3\nServer/base\n",
                )],
                "rhels5.3",
                "x86_64",
                None,
            ),
            (
                vec![(".discinfo", "1.0\nCentOS 5.4\ni386\n")],
                "centos5.4",
                "x86",
                None,
            ),
            (
                vec![("content", content), ("media.1/media", "x")],
                "sles12.3",
                "x86_64",
                Some(1),
            ),
            (
                vec![
                    (
                        "content",
                        "PRODUCT SUSE_SLES\nVERSION 11.1\nBASEARCHS ppc64\n",
                    ),
                    ("media.2/media", "x"),
                ],
                "sles11.1",
                "ppc64",
                Some(2),
            ),
            (
                vec![(
                    "media.1/media",
                    "SUSE - SLE-15-SP4-Full-x86_64-Build151.1-Media\n",
                )],
                "sle15.4",
                "x86_64",
                Some(1),
            ),
            (
                vec![(
                    "media.1/media",
                    "openSUSE - openSUSE-Leap-15.5-DVD-x86_64-Build1-Media\n",
                )],
                "leap15.5",
                "x86_64",
                Some(1),
            ),
        ] {
            let wanted = Some((os.to_owned(), arch.to_owned(), disc));
            assert_eq!(found(&files), wanted, "{files:?}");
        }
    }

    #[test]
    fn what_is_no_medium() {
        for files in [
            vec![],
            vec![(".disk/info", "Holiday pictures 2009")],
            vec![(
                ".treeinfo",
                "[general]\nfamily = Unknown\nversion = 1\narch = x86_64\n",
            )],
            vec![(".discinfo", "one line")],
            vec![(
                "content",
                "PRODUCT Something\nVERSION 1\nBASEARCHS x86_64\n",
            )],
        ] {
            assert_eq!(found(&files), None, "{files:?}");
        }
    }

    #[test]
    fn every_name_is_a_distribution_of_ours() {
        for (_, vendor) in FAMILIES {
            assert!(
                crate::image::distro::Distro::of(&format!("{vendor}9")).is_ok(),
                "{vendor}"
            );
        }
    }
}
