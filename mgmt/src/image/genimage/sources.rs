//! Package sources of Debian and Ubuntu as lines `deb [OPTIONS] URI SUITE COMPONENT...`.
//!
//! They come from the directories or URLs of the image (`linuximage.pkgdir`), or else from the management node's own
//! apt sources, of which those of the image's release are taken.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};

/// The management node's apt directory.
const APT: &str = "/etc/apt";

/// Components looked for in an archive in a directory.
const COMPONENTS: &[&str] = &[
    "main",
    "contrib",
    "non-free",
    "non-free-firmware",
    "restricted",
    "universe",
    "multiverse",
];

/// The lines for a release from directories, URLs or ready lines.
///
/// # Errors
/// When a directory is neither an archive nor has packages.
pub fn of_dirs(dirs: &[String], suite: &str, ubuntu: bool) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for dir in dirs {
        if dir.starts_with("deb ") {
            lines.push(dir.clone());
        } else if dir.contains("://") {
            let components = if ubuntu { "main universe" } else { "main" };
            lines.push(format!("deb {dir} {suite} {components}"));
        } else {
            lines.push(of_dir(Path::new(dir), suite)?);
        }
    }
    Ok(lines)
}

/// A directory: a copied medium, whose release files carry no signature, or a flat heap of packages with an index.
fn of_dir(dir: &Path, suite: &str) -> anyhow::Result<String> {
    let release = dir.join("dists").join(suite);
    let shown = dir.display();
    if release.is_dir() {
        let there = COMPONENTS.iter().filter(|name| release.join(name).is_dir());
        let components: Vec<&str> = there.copied().collect();
        if components.is_empty() {
            bail!("{}: an archive without components", release.display());
        }
        return Ok(format!(
            "deb [trusted=yes] copy:{shown} {suite} {}",
            components.join(" ")
        ));
    }
    if indexed(dir) {
        return Ok(format!("deb [trusted=yes] copy:{shown} ./"));
    }
    bail!(
        "{shown} has neither dists/{suite} nor Packages: copy a medium there with copycds, name another directory or \
         URL in linuximage.pkgdir, or say --suite"
    )
}

/// Whether a directory has an index of its packages.
#[must_use]
pub fn indexed(dir: &Path) -> bool {
    ["Packages", "Packages.gz", "Packages.xz"]
        .iter()
        .any(|name| dir.join(name).is_file())
}

/// The release in an archive in a directory, when there is one only.
#[must_use]
pub fn only_suite(dir: &Path) -> Option<String> {
    let entries = std::fs::read_dir(dir.join("dists")).ok()?;
    let real = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<String> = real
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    match names.as_slice() {
        [_] => names.pop(),
        _ => None,
    }
}

/// The management node's own sources of this release: the release itself, its updates and its security updates.
///
/// # Errors
/// When its source files cannot be read, or none has the release.
pub fn of_this_machine(suite: &str) -> anyhow::Result<Vec<String>> {
    let mut files = vec![PathBuf::from(APT).join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(Path::new(APT).join("sources.list.d")) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let parse = match extension {
            Some("list") => one_line,
            Some("sources") => deb822,
            _ => continue,
        };
        match std::fs::read_to_string(&file) {
            Ok(text) => lines.extend(parse(&text, suite)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        }
    }
    if lines.is_empty() {
        bail!(
            "the management node's apt sources have no {suite}: copy a medium with copycds, or name a URL or \
             directory in linuximage.pkgdir or with --pkgdir"
        );
    }
    Ok(lines)
}

/// Whether a suite belongs to a release: `bookworm`, `bookworm-updates`, `bookworm-security`; not the backports,
/// which one asks for.
fn belongs(name: &str, suite: &str) -> bool {
    let name = name.trim_end_matches('/');
    // Until buster security updates were called buster/updates.
    let rest = name.strip_prefix(suite);
    rest.is_some_and(|rest| ["", "-updates", "-security", "/updates"].contains(&rest))
}

/// Sources in the form of one line each.
#[must_use]
pub fn one_line(text: &str, suite: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| {
        let Some(rest) = line.strip_prefix("deb ") else {
            return false;
        };
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        let name = rest.split_whitespace().nth(1);
        name.is_some_and(|name| belongs(name, suite))
    });
    lines
        .map(|line| {
            line.split(" #")
                .next()
                .unwrap_or(line)
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// Sources in the form of paragraphs (deb822). A paragraph with the key inside it is left out: it has no form of one
/// line.
#[must_use]
pub fn deb822(text: &str, suite: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let mut lines = Vec::new();
    for paragraph in text.split("\n\n") {
        let fields = fields(paragraph);
        let get = |name: &str| {
            let field = fields
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            field.map(|(_, value)| value.as_str())
        };
        let words = |name: &str| {
            get(name)
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
        };
        let off =
            get("Enabled").is_some_and(|value| ["no", "false", "0", "off"].contains(&value.trim()));
        if off || !words("Types").contains(&"deb") {
            continue;
        }
        let mut options = Vec::new();
        match get("Signed-By").map(str::trim) {
            Some(key) if key.contains('\n') || key.contains("BEGIN PGP") => continue,
            Some(key) if !key.is_empty() => options.push(format!("signed-by={key}")),
            _ => {}
        }
        for (field, option) in [
            ("Architectures", "arch"),
            ("Trusted", "trusted"),
            ("Check-Valid-Until", "check-valid-until"),
        ] {
            let value = words(field);
            if !value.is_empty() {
                options.push(format!("{option}={}", value.join(",")));
            }
        }
        let options = match options.as_slice() {
            [] => String::new(),
            options => format!("[{}] ", options.join(" ")),
        };
        let components = words("Components").join(" ");
        for uri in words("URIs") {
            for name in words("Suites").iter().filter(|name| belongs(name, suite)) {
                lines.push(
                    format!("deb {options}{uri} {name} {components}")
                        .trim_end()
                        .to_owned(),
                );
            }
        }
    }
    lines
}

/// The fields of a paragraph; lines that begin with a blank go on with the field before.
fn fields(paragraph: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in paragraph.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_release_only() {
        let text = "# deb http://m/debian bookworm main\n\
                    deb http://m/debian bookworm main contrib # ours\n\
                    deb [signed-by=/k.gpg arch=amd64] http://m/security bookworm-security main\n\
                    deb http://m/debian bookworm-backports main\n\
                    deb-src http://m/debian bookworm main\n\
                    deb http://other/sdk sdk-bookworm main\n";
        assert_eq!(
            one_line(text, "bookworm"),
            [
                "deb http://m/debian bookworm main contrib",
                "deb [signed-by=/k.gpg arch=amd64] http://m/security bookworm-security main",
            ]
        );
    }

    #[test]
    fn paragraphs_of_the_release_only() {
        let text = "Types: deb deb-src\n# a comment\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /k.gpg\n\n\
                    Types: deb\nURIs: http://m/a\n http://m/b\nSuites: bookworm-security\nComponents: main\n\n\
                    Types: deb\nURIs: http://m/x\nSuites: bookworm\nComponents: main\nEnabled: no\n\n\
                    Types: deb\nURIs: http://m/y\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP\n abc\n\n\
                    Types: deb-src\nURIs: http://m/z\nSuites: bookworm\nComponents: main\n";
        assert_eq!(
            deb822(text, "bookworm"),
            [
                "deb [signed-by=/k.gpg] http://m/debian bookworm main",
                "deb [signed-by=/k.gpg] http://m/debian bookworm-updates main",
                "deb http://m/a bookworm-security main",
                "deb http://m/b bookworm-security main",
            ]
        );
        assert_eq!(deb822(text, "trixie"), [""; 0]);
    }

    #[test]
    fn directories_and_urls() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in [
            "medium/dists/bookworm/main",
            "medium/dists/bookworm/contrib",
            "flat",
            "empty",
        ] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::os::unix::fs::symlink("bookworm", at("medium/dists/stable")).unwrap();
        std::fs::write(at("flat/Packages"), "").unwrap();
        let dirs = ["medium", "flat"].map(|name| at(name).display().to_string());
        let lines = of_dirs(&dirs, "bookworm", false).unwrap();
        let (medium, flat) = (&dirs[0], &dirs[1]);
        assert_eq!(
            lines,
            [
                format!("deb [trusted=yes] copy:{medium} bookworm main contrib"),
                format!("deb [trusted=yes] copy:{flat} ./"),
            ]
        );
        assert_eq!(only_suite(&at("medium")).as_deref(), Some("bookworm"));
        let urls = ["http://m/u".to_owned(), "deb http://m/v x y".to_owned()];
        assert_eq!(
            of_dirs(&urls, "jammy", true).unwrap(),
            ["deb http://m/u jammy main universe", "deb http://m/v x y"]
        );
        let error = of_dirs(&[at("empty").display().to_string()], "bookworm", false);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("has neither dists/bookworm nor Packages")
        );
    }
}
