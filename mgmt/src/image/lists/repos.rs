//! Repository lists, `PROFILE.OS.ARCH.repolist`: one `type | URL | name` per line (cookbook §2.7).

use crate::image::distro::Family;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a repository looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepoKind {
    /// With metadata in `repodata/`.
    RpmMd,
    /// A plain directory of packages. The cookbook writes `plaintext`, which is a slip for `plaindir`.
    PlainDir,
    /// SUSE's media.
    Yast2,
    /// A Debian archive: `URL SUITE [COMPONENT...]`, or `URL ./` for a flat one.
    Deb,
}

/// The type words, the first of each kind being the usual one.
const KINDS: &[(&str, RepoKind)] = &[
    ("rpm-md", RepoKind::RpmMd),
    ("plaindir", RepoKind::PlainDir),
    ("plaintext", RepoKind::PlainDir),
    ("yast2", RepoKind::Yast2),
    ("deb", RepoKind::Deb),
];

impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = KINDS.iter().find(|(_, kind)| kind == self);
        f.pad(word.map_or("", |(word, _)| word))
    }
}

/// What the package manager of a family can use.
const fn usable(family: Family) -> &'static [RepoKind] {
    match family {
        Family::Debian => &[RepoKind::Deb, RepoKind::PlainDir],
        Family::RedHat => &[RepoKind::RpmMd, RepoKind::PlainDir],
        Family::Suse => &[RepoKind::RpmMd, RepoKind::PlainDir, RepoKind::Yast2],
    }
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// What it looks like.
    pub kind: RepoKind,
    /// Where it is.
    pub url: String,
    /// Its name, unique in the list.
    pub name: String,
}

/// {file}:{line}: {what}
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {what}", file.display())]
pub struct RepoError {
    /// The list.
    pub file: PathBuf,
    /// Its line.
    pub line: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Reads a repository list for an image of a family.
///
/// # Errors
/// [`RepoError`] for the first line that is none, or whose type the family cannot use.
pub fn parse(file: &Path, text: &str, family: Family) -> Result<Vec<Repo>, RepoError> {
    let mut repos: Vec<Repo> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let repo = repo(line).and_then(|repo| {
            if repos.iter().any(|other| other.name == repo.name) {
                return Err(format!("the name \"{}\" is there already", repo.name));
            }
            let usable = usable(family);
            if !usable.contains(&repo.kind) {
                let words: Vec<String> = usable.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "type {}: {} cannot use it (allowed: {})",
                    repo.kind,
                    family.manager(),
                    words.join(", ")
                ));
            }
            Ok(repo)
        });
        repos.push(repo.map_err(|what| RepoError {
            file: file.to_owned(),
            line: index + 1,
            what,
        })?);
    }
    Ok(repos)
}

fn repo(line: &str) -> Result<Repo, String> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [kind, url, name] = parts.as_slice() else {
        return Err("should be written type | URL | name".to_owned());
    };
    let known = KINDS.iter().find(|(word, _)| word == kind);
    let Some((_, kind)) = known else {
        let words: Vec<_> = KINDS.iter().map(|(word, _)| *word).collect();
        return Err(format!(
            "no type \"{kind}\" (allowed: {})",
            words.join(", ")
        ));
    };
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || !name.chars().all(good) {
        return Err(format!(
            "\"{name}\" is no name for a repository: letters, digits, - _ . : only"
        ));
    }
    let blank = url.contains(char::is_whitespace) && *kind != RepoKind::Deb;
    if url.is_empty() || blank || !(url.contains("://") || url.starts_with('/')) {
        return Err(format!("\"{url}\" is neither a URL nor an absolute path"));
    }
    if *kind == RepoKind::Deb && !url.contains(char::is_whitespace) {
        return Err(format!(
            "\"{url}\" lacks the suite: deb | URL SUITE COMPONENT... | name, or URL ./ for a flat archive"
        ));
    }
    let url = match url.strip_prefix('/') {
        Some(_) if *kind != RepoKind::Deb => format!("file://{url}"),
        _ => (*url).to_owned(),
    };
    Ok(Repo {
        kind: *kind,
        url,
        name: (*name).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookbooks_examples() {
        let text = "# ours\n\nplaintext | file:///install/post/otherpkgs/rhel5.3/x86_64 | otherpkgs\n\
                    rpm-md|http://repo.example/core-snap|core-snap\n\
                    yast2 | /install/sles11.1/ppc64/1 | media\n";
        let mut repos = parse(Path::new("x.repolist"), text, Family::Suse).unwrap();
        let text = "deb | http://repo.example/debian bookworm main | extra\n";
        repos.extend(parse(Path::new("x.repolist"), text, Family::Debian).unwrap());
        let short: Vec<String> = repos
            .iter()
            .map(|repo| format!("{} {} {}", repo.kind, repo.url, repo.name))
            .collect();
        assert_eq!(
            short,
            [
                "plaindir file:///install/post/otherpkgs/rhel5.3/x86_64 otherpkgs",
                "rpm-md http://repo.example/core-snap core-snap",
                "yast2 file:///install/sles11.1/ppc64/1 media",
                "deb http://repo.example/debian bookworm main extra",
            ]
        );
    }

    #[test]
    fn refusals() {
        for (text, wanted) in [
            (
                "rpm-md | http://x",
                "f:1: should be written type | URL | name",
            ),
            ("\napt | http://x | n", "f:2: no type \"apt\""),
            (
                "rpm-md | relative/dir | n",
                "f:1: \"relative/dir\" is neither",
            ),
            ("rpm-md | http://x | a b", "f:1: \"a b\" is no name"),
            (
                "deb | http://x/debian | n",
                "f:1: \"http://x/debian\" lacks the suite",
            ),
            (
                "rpm-md|http://x|n\nrpm-md|http://y|n",
                "f:2: the name \"n\" is there already",
            ),
        ] {
            let family = match text.starts_with("deb") {
                true => Family::Debian,
                false => Family::RedHat,
            };
            let error = parse(Path::new("f"), text, family).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(wanted), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_type_of_another_family_is_refused() {
        for (kind, families) in [
            ("rpm-md", &[Family::RedHat, Family::Suse][..]),
            ("yast2", &[Family::Suse]),
            ("plaindir", &[Family::Debian, Family::RedHat, Family::Suse]),
            ("plaintext", &[Family::Debian, Family::RedHat, Family::Suse]),
            ("deb", &[Family::Debian]),
        ] {
            let place = if kind == "deb" { "http://x ./" } else { "/x" };
            for family in [Family::Debian, Family::RedHat, Family::Suse] {
                let text = format!("# ours\n{kind} | {place} | mine");
                let parsed = parse(Path::new("f"), &text, family);
                assert_eq!(
                    parsed.is_ok(),
                    families.contains(&family),
                    "{kind} {family:?}"
                );
            }
        }
        let error = parse(Path::new("f"), "rpm-md | /x | mine", Family::Debian).unwrap_err();
        assert_eq!(
            error.to_string(),
            "f:1: type rpm-md: apt cannot use it (allowed: deb, plaindir)"
        );
    }
}
