//! Packages from the mirror that this machine uses, without changing the machine's own apt settings.
//!
//! Lists and downloads live in a directory of their own, with the backports suite added: kernels come from there, and
//! QEMU, because the release's own conflicts with newer QEMU tools that some machines have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cmd::Cmd;

/// Used when a source does not name its keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// A mirror can be slow.
const LIMIT: Duration = Duration::from_secs(900);

/// One suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where the archive is.
    pub uri: String,
    /// For instance `bookworm` or `bookworm-security`.
    pub suite: String,
    /// Files with the keys that sign it.
    pub keys: String,
}

/// A private view of the package archive.
#[derive(Debug, Clone)]
pub struct Apt {
    dir: PathBuf,
    codename: String,
}

impl Apt {
    /// Sets up the view in `dir` from this machine's sources, and reads the lists unless they were read lately.
    ///
    /// # Errors
    /// When the machine has no source for its own release, or the mirror does not answer.
    pub fn open(dir: &Path) -> Result<Self> {
        let codename = codename()?;
        for sub in ["lists/partial", "archives/partial", "none"] {
            std::fs::create_dir_all(dir.join(sub))?;
        }
        let apt = Self {
            dir: dir.to_path_buf(),
            codename,
        };
        let text = apt.sources_text(&machine_sources()?)?;
        let (list, stamp) = (dir.join("sources.list"), dir.join("updated"));
        let same = std::fs::read_to_string(&list).is_ok_and(|old| old == text);
        let fresh = stamp.metadata().and_then(|meta| meta.modified());
        let fresh = fresh.is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() < 6 * 3600));
        if !(same && fresh) {
            std::fs::write(&list, text)?;
            apt.cmd("apt-get").args(["-q", "update"]).check()?;
            std::fs::write(&stamp, "")?;
        }
        Ok(apt)
    }

    /// The sources in one-line form, for apt and mmdebstrap: the release, its security fixes, its backports.
    fn sources_text(&self, all: &[Source]) -> Result<String> {
        let of = |suite: &str| all.iter().find(|source| source.suite == suite);
        let Some(main) = of(&self.codename) else {
            bail!("no apt source of this machine is for {}", self.codename);
        };
        let backports = Source {
            suite: self.backports(),
            ..main.clone()
        };
        let security = of(&format!("{}-security", self.codename));
        let text = [Some(main), security, Some(&backports)];
        let line = |source: &Source| {
            format!(
                "deb [signed-by={}] {} {} main\n",
                source.keys, source.uri, source.suite
            )
        };
        Ok(text.into_iter().flatten().map(line).collect())
    }

    /// The name of this machine's release.
    #[must_use]
    pub fn codename(&self) -> &str {
        &self.codename
    }

    /// The name of the backports suite.
    #[must_use]
    pub fn backports(&self) -> String {
        format!("{}-backports", self.codename)
    }

    /// Lines for a `sources.list` without backports.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn release_lines(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.dir.join("sources.list"))?;
        let backports = self.backports();
        let lines = text.lines().filter(|line| !line.contains(&backports));
        Ok(lines.map(|line| format!("{line}\n")).collect())
    }

    /// An apt program on this view.
    #[must_use]
    pub fn cmd(&self, program: &str) -> Cmd {
        let dir = |option: &str, name: &str| format!("{option}={}", self.dir.join(name).display());
        let mut cmd = Cmd::new(program)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .limit(LIMIT);
        for setting in [
            dir("Dir::Etc::sourcelist", "sources.list"),
            dir("Dir::Etc::sourceparts", "none"),
            dir("Dir::State::lists", "lists"),
            dir("Dir::Cache::archives", "archives"),
            dir("Dir::Cache::pkgcache", "pkgcache.bin"),
            dir("Dir::Cache::srcpkgcache", "srcpkgcache.bin"),
            "APT::Sandbox::User=root".to_owned(),
            "DPkg::Lock::Timeout=500".to_owned(),
        ] {
            cmd = cmd.arg("-o").arg(setting);
        }
        cmd
    }

    /// Installs packages, from this suite if one is given.
    ///
    /// # Errors
    /// With apt's words.
    pub fn install(&self, packages: &[&str], suite: Option<&str>) -> Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        let mut cmd = self
            .cmd("apt-get")
            .args(["-q", "install", "-y", "--no-install-recommends"]);
        if let Some(suite) = suite {
            cmd = cmd.args(["-t", suite]);
        }
        cmd.args(packages)
            .check()
            .with_context(|| format!("installing {}", packages.join(" ")))?;
        Ok(())
    }
}

/// The name of this machine's Debian release.
fn codename() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release has no VERSION_CODENAME: this needs a Debian machine")
}

/// Every binary source of this machine.
fn machine_sources() -> Result<Vec<Source>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(dir) = std::fs::read_dir("/etc/apt/sources.list.d") {
        for entry in dir {
            files.push(entry?.path());
        }
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources.extend(parse_stanzas(&text)),
            Some("list") => sources.extend(text.lines().filter_map(parse_line)),
            _ => {}
        }
    }
    Ok(sources)
}

/// `deb [OPTIONS] URI SUITE COMPONENT...`
fn parse_line(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let keys = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    Some(Source {
        uri: words.next()?.to_owned(),
        suite: words.next()?.to_owned(),
        keys: keys.unwrap_or(KEYRING).to_owned(),
    })
}

/// The stanzas of a `.sources` file; each suite of a stanza is a source.
fn parse_stanzas(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let binary = field("Types").is_some_and(|types| types.split(' ').any(|one| one == "deb"));
        let (Some(uris), Some(suites), true) = (field("URIs"), field("Suites"), binary) else {
            continue;
        };
        let keys = field("Signed-By").filter(|keys| keys.starts_with('/'));
        for suite in suites.split_whitespace() {
            sources.extend(uris.split_whitespace().take(1).map(|uri| Source {
                uri: uri.to_owned(),
                suite: suite.to_owned(),
                keys: keys.unwrap_or(KEYRING).to_owned(),
            }));
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str, keys: &str) -> Source {
        Source {
            uri: uri.into(),
            suite: suite.into(),
            keys: keys.into(),
        }
    }

    #[test]
    fn reads_one_line_sources() {
        let cases = [
            (
                "deb http://m/debian bookworm main",
                Some(source("http://m/debian", "bookworm", KEYRING)),
            ),
            (
                "deb [arch=amd64 signed-by=/k.gpg] http://m/d  bookworm-security main contrib",
                Some(source("http://m/d", "bookworm-security", "/k.gpg")),
            ),
            ("deb-src http://m/debian bookworm main", None),
            ("# deb http://m/debian bookworm main", None),
            ("deb http://m/debian", None),
        ];
        for (line, expected) in cases {
            assert_eq!(parse_line(line), expected, "{line}");
        }
    }

    #[test]
    fn reads_stanzas_around_comments() {
        let text = "Types: deb deb-src\n# a comment\nURIs: http://m/debian\nSuites: a a-updates\nSigned-By: /k\n\n\
            Types: deb-src\nURIs: http://x\nSuites: a\n\nTypes: deb\nURIs: http://s\nSuites: a-security\n";
        assert_eq!(
            parse_stanzas(text),
            [
                source("http://m/debian", "a", "/k"),
                source("http://m/debian", "a-updates", "/k"),
                source("http://s", "a-security", KEYRING),
            ]
        );
    }

    #[test]
    fn backports_come_from_the_mirror_of_the_release() {
        let apt = Apt {
            dir: PathBuf::new(),
            codename: "a".into(),
        };
        let all = [
            source("http://m", "a", "/k"),
            source("http://s", "a-security", "/k"),
        ];
        let text = apt.sources_text(&all).unwrap();
        assert!(
            text.ends_with("deb [signed-by=/k] http://m a-backports main\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
        assert!(apt.sources_text(&all[1..]).is_err());
    }
}
