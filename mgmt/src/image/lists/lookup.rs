//! Which file belongs to a profile: `compute.rhels5.3.x86_64.pkglist`, `compute.pkglist`, and what lies between.
//!
//! The directories are asked one after the other (the site's own, `INSTALLDIR/custom/netboot/OS`, before those that
//! came with the software), and in each the most specific name first.

use std::path::{Path, PathBuf};

/// What a file name is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a> {
    /// The profile.
    pub profile: &'a str,
    /// The operating system with its version.
    pub os: &'a str,
    /// The architecture.
    pub arch: &'a str,
}

impl Names<'_> {
    /// The names of a list, best first: prof.os.arch, prof.osbase.arch, prof.arch, prof.os, prof.osbase, prof
    /// (facts §8), where osbase stands for every shorter version.
    #[must_use]
    pub fn list(&self, extension: &str) -> Vec<String> {
        let Self { profile, os, arch } = self;
        let bases = shorter(os);
        let mut middles = vec![format!(".{os}.{arch}")];
        middles.extend(bases.iter().map(|base| format!(".{base}.{arch}")));
        middles.push(format!(".{arch}"));
        middles.push(format!(".{os}"));
        middles.extend(bases.iter().map(|base| format!(".{base}")));
        middles.push(String::new());
        let name = |middle: String| format!("{profile}{middle}.{extension}");
        middles.into_iter().map(name).collect()
    }

    /// The names of a postinstall script: the cookbook's four (§2.8.1) in its order, then those of [`Self::list`]
    /// that the cookbook does not have.
    #[must_use]
    pub fn postinstall(&self) -> Vec<String> {
        let Self { profile, os, arch } = self;
        let mut names = vec![
            format!("{profile}.{os}.{arch}.postinstall"),
            format!("{profile}.{arch}.postinstall"),
            format!("{profile}.{os}.postinstall"),
            format!("{profile}.postinstall"),
        ];
        for name in self.list("postinstall") {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// The shorter versions of a name, longest first: `rhels5.3` gives `rhels5` and `rhels`.
fn shorter(os: &str) -> Vec<String> {
    let mut bases = Vec::new();
    let mut rest = os;
    loop {
        let digits = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        if digits.len() == rest.len() {
            return bases;
        }
        rest = digits
            .strip_suffix('.')
            .or_else(|| service_pack(digits))
            .unwrap_or(digits);
        if rest.is_empty() {
            return bases;
        }
        bases.push(rest.to_owned());
    }
}

/// What comes before the `sp` of a service pack: `sles11` of `sles11sp`.
fn service_pack(text: &str) -> Option<&str> {
    let rest = text.strip_suffix("sp")?;
    rest.ends_with(|c: char| c.is_ascii_digit()).then_some(rest)
}

/// The first of these names in the first directory that has one.
#[must_use]
pub fn find(dirs: &[PathBuf], names: &[String], exists: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let paths = dirs
        .iter()
        .flat_map(|dir| names.iter().map(|name| dir.join(name)));
    paths.into_iter().find(|path| exists(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> = Names {
        profile: "compute",
        os: "rhels5.3",
        arch: "x86_64",
    };

    #[test]
    fn order_of_lists() {
        assert_eq!(
            NAMES.list("pkglist"),
            [
                "compute.rhels5.3.x86_64.pkglist",
                "compute.rhels5.x86_64.pkglist",
                "compute.rhels.x86_64.pkglist",
                "compute.x86_64.pkglist",
                "compute.rhels5.3.pkglist",
                "compute.rhels5.pkglist",
                "compute.rhels.pkglist",
                "compute.pkglist",
            ]
        );
    }

    #[test]
    fn the_cookbooks_four_come_first_for_postinstall() {
        let names = NAMES.postinstall();
        assert_eq!(
            names[..5],
            [
                "compute.rhels5.3.x86_64.postinstall",
                "compute.x86_64.postinstall",
                "compute.rhels5.3.postinstall",
                "compute.postinstall",
                "compute.rhels5.x86_64.postinstall",
            ]
        );
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn shorter_versions() {
        for (os, wanted) in [
            ("rhels5.3", vec!["rhels5", "rhels"]),
            ("debian12.5.0", vec!["debian12.5", "debian12", "debian"]),
            ("sles11sp1", vec!["sles11", "sles"]),
            ("rhels", vec![]),
            ("12", vec![]),
        ] {
            assert_eq!(shorter(os), wanted, "{os}");
        }
    }

    #[test]
    fn the_sites_directory_wins_even_with_a_plainer_name() {
        let there = [
            "/custom/compute.pkglist",
            "/share/compute.rhels5.3.x86_64.pkglist",
            "/share/compute.x86_64.postinstall",
        ];
        let exists = |path: &Path| there.iter().any(|known| Path::new(known) == path);
        let dirs = ["/custom", "/share"].map(PathBuf::from);
        let found = find(&dirs, &NAMES.list("pkglist"), &exists);
        assert_eq!(found.unwrap(), Path::new("/custom/compute.pkglist"));
        let found = find(&dirs, &NAMES.postinstall(), &exists);
        assert_eq!(
            found.unwrap(),
            Path::new("/share/compute.x86_64.postinstall")
        );
        assert_eq!(find(&dirs, &NAMES.list("exlist"), &exists), None);
    }
}
