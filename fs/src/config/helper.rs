//! Arguments of the mount helper: `mount.fuse.statelitefs SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]`.
//!
//! `-o` takes every long option of `statelitefs mount` as `key=value`, and overlayfs's
//! `lowerdir=A:B,upperdir=U,workdir=W`: a volatile rule for `/` over B with A before it. Without
//! `upperdir` the merge is read-only, as with overlayfs.

use super::args::MountArgs;
use clap::Parser as _;
use std::ffi::OsString;
use std::path::PathBuf;

/// Why the helper's arguments are refused.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// Source or mount point is missing.
    #[error("usage: mount.fuse.statelitefs SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]")]
    Usage,
    /// An option is not known.
    #[error("-o {0}: {1}")]
    Option(String, String),
    /// `upperdir` or `workdir` without `lowerdir`.
    #[error("-o {0} needs lowerdir")]
    NoLower(&'static str),
}

/// Options that mount(8) and fstab use and that mean nothing here, or are always so.
const IGNORED: [&str; 20] = [
    "rw",
    "defaults",
    "dev",
    "suid",
    "exec",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nofail",
    "_netdev",
    "allow_other",
    "default_permissions",
    "relatime",
    "noatime",
    "nodiratime",
    "async",
    "atime",
    "lazytime",
];

/// The settings that a mount helper's arguments (without the program name) stand for.
///
/// # Errors
/// [`HelperError`].
pub fn parse(args: &[String]) -> Result<MountArgs, HelperError> {
    let mut places = Vec::new();
    let mut options = String::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "-o" {
            if !options.is_empty() {
                options.push(',');
            }
            options.push_str(rest.next().ok_or(HelperError::Usage)?);
        } else if arg == "-t" {
            rest.next();
        } else if let Some(flags) = arg.strip_prefix('-') {
            if !flags.chars().all(|c| "sfnvwr".contains(c)) {
                return Err(HelperError::Usage);
            }
        } else {
            places.push(arg.clone());
        }
    }
    let [source, mountpoint] = places.as_slice() else {
        return Err(HelperError::Usage);
    };
    let mut line: Vec<OsString> = vec!["mount".into()];
    let mut overlay = Overlayfs::default();
    for option in split_unescaped(&options, ',') {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (option.as_str(), None),
        };
        match (key, value) {
            ("", None) => {}
            ("lowerdir", Some(dirs)) => {
                overlay.lower = split_unescaped(dirs, ':')
                    .into_iter()
                    .map(PathBuf::from)
                    .collect();
            }
            ("upperdir", Some(dir)) => overlay.upper = Some(unescape(dir).into()),
            ("workdir", Some(dir)) => overlay.work = Some(unescape(dir).into()),
            ("ro", None) => line.push("--read-only".into()),
            (key, None) if IGNORED.contains(&key) => {}
            (key, _) if key.starts_with("x-") || key == "comment" => {}
            (key, value) => {
                line.push(format!("--{key}").into());
                line.extend(value.map(|v| unescape(v).into()));
            }
        }
    }
    line.push(mountpoint.into());
    let mut parsed = Line::try_parse_from(&line)
        .map_err(|e| HelperError::Option(options.clone(), e.to_string()))?
        .args;
    overlay.apply(&mut parsed)?;
    if parsed.image.is_none() && source.starts_with('/') {
        parsed.image = Some(source.into());
    }
    if parsed.fsname.is_none() && !source.starts_with('/') {
        parsed.fsname = Some(source.clone());
    }
    Ok(parsed)
}

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: MountArgs,
}

/// Options as overlayfs has them.
#[derive(Debug, Default)]
struct Overlayfs {
    lower: Vec<PathBuf>,
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
}

impl Overlayfs {
    fn apply(mut self, args: &mut MountArgs) -> Result<(), HelperError> {
        let Some(image) = self.lower.pop() else {
            return match (self.upper, self.work) {
                (Some(_), _) => Err(HelperError::NoLower("upperdir")),
                (None, Some(_)) => Err(HelperError::NoLower("workdir")),
                (None, None) => Ok(()),
            };
        };
        args.image = Some(image);
        args.policy.tree = self.lower;
        let rule = if self.upper.is_some() {
            "/=tmpfs"
        } else {
            "/=ro"
        };
        args.policy.rule.push(rule.into());
        args.volatile = self.upper;
        args.work = self.work;
        Ok(())
    }
}

/// Splits at `separator` unless a backslash comes before it, as overlayfs does.
fn split_unescaped(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == separator {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else { break };
        if c == '\\' {
            match chars.next() {
                Some(next) if next == separator => part.push(next),
                Some(next) => part.extend(['\\', next]),
                None => part.push('\\'),
            }
        } else {
            part.push(c);
        }
    }
    parts
}

fn unescape(text: &str) -> String {
    text.replace("\\:", ":").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[test]
    fn overlayfs_options_become_a_root_rule() {
        let parsed = parse(&args(&[
            "none",
            "/mnt",
            "-o",
            "rw,lowerdir=/a:/b\\:c:/d,upperdir=/u,workdir=/w",
        ]))
        .unwrap();
        assert_eq!(parsed.image, Some("/d".into()));
        assert_eq!(parsed.policy.tree, [PathBuf::from("/a"), "/b:c".into()]);
        assert_eq!(parsed.policy.rule, ["/=tmpfs"]);
        assert_eq!(
            (parsed.volatile, parsed.work),
            (Some("/u".into()), Some("/w".into()))
        );
        assert_eq!(parsed.mountpoint, Some("/mnt".into()));
    }

    #[test]
    fn own_options_pass_through() {
        let parsed = parse(&args(&[
            "/img",
            "/mnt",
            "-n",
            "-o",
            "rule=/var/=tmpfs,threads=2,nodev,x-systemd.automount,ro",
        ]))
        .unwrap();
        assert_eq!(parsed.image, Some("/img".into()));
        assert_eq!(parsed.policy.rule, ["/var/=tmpfs"]);
        assert_eq!(
            (parsed.threads, parsed.nodev, parsed.read_only),
            (Some(2), true, true)
        );
    }

    #[test]
    fn an_unknown_option_is_named() {
        let error = parse(&args(&["none", "/mnt", "-o", "lowrdir=/a"])).unwrap_err();
        assert!(error.to_string().contains("lowrdir"), "{error}");
        assert!(matches!(
            parse(&args(&["none", "/mnt", "-o", "upperdir=/u"])),
            Err(HelperError::NoLower("upperdir"))
        ));
    }
}
