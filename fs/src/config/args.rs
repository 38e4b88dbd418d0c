//! The settings of a mount: command-line options, keys of a TOML file and options of the mount
//! helper are all made from this one definition.

use super::implied::Implied;
use crate::overlay::layer::Freshness;
use serde::{Deserialize, Serialize};
use statelite_policy::Dialect;
use std::path::PathBuf;

/// Whether backing files are handed to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PassthroughMode {
    /// Where the kernel can (6.9 and later, as root) and it pays.
    #[default]
    Auto,
    /// Also lower files that may yet be copied up: faster and cached once, but whoever has one open
    /// keeps the old content after a copy-up, which also changes its inode number (as in overlayfs).
    All,
    /// Never.
    Off,
}

/// What decides at which path: rows and rules. All of it can be changed by `reload`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct PolicyArgs {
    /// One rule, e.g. `/var/log/=tmpfs`, `/etc/machine-id=persistent`, `/=` (repeatable)
    ///
    /// The words are those of the litefile table; a blank option means `tmpfs,rw`.
    #[arg(long = "rule", value_name = "PATH=OPTION", help_heading = "Policy")]
    pub rule: Vec<String>,

    /// Directory with litefile.csv, litetree.csv and statelite.csv, as tabdump writes them
    #[arg(long, value_name = "DIR", help_heading = "Policy")]
    pub tables: Option<PathBuf>,

    /// Directory with `litefile` and `litetree`, the lines that a management server gave this node
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "tables",
        help_heading = "Policy"
    )]
    pub lines: Option<PathBuf>,

    /// Name of this node in the tables [default: the host name up to the first dot]
    #[arg(long, value_name = "NAME", help_heading = "Policy")]
    pub node: Option<String>,

    /// Name of the image this node uses, for rows that name one
    #[arg(long, value_name = "NAME", help_heading = "Policy")]
    pub image_name: Option<String>,

    /// `osimage.groups` of the image, compared as a whole
    #[arg(long, value_name = "GROUPS", help_heading = "Policy")]
    pub image_groups: Option<String>,

    /// A group of the node, in the order of `nodelist.groups` (repeatable)
    #[arg(long = "group", value_name = "GROUP", help_heading = "Policy")]
    pub group: Vec<String>,

    /// Value of a variable in litetree and statelite rows (repeatable)
    #[arg(long = "var", value_name = "TABLE.COL=VALUE", help_heading = "Policy")]
    pub var: Vec<String>,

    /// Meaning of the option words: `current` xCAT, or its first release of `2010` [default: current]
    #[arg(long, value_name = "DIALECT", help_heading = "Policy", value_parser = parse_dialect)]
    pub dialect: Option<Dialect>,

    /// Volatile rules that nobody has to list [default: none; systemd with `statelitefs boot`]
    #[arg(long, value_name = "WHICH", help_heading = "Policy")]
    pub implied: Option<Implied>,

    /// A read-only tree, first match first, before those of the litetree table (repeatable)
    #[arg(long = "tree", value_name = "DIR", help_heading = "Layers")]
    pub tree: Vec<PathBuf>,

    /// Where `server:dir` is mounted (repeatable); else it is looked for below --mnt
    #[arg(
        long = "source",
        value_name = "SERVER:DIR=LOCAL",
        help_heading = "Layers"
    )]
    pub source: Vec<String>,

    /// Directory that has `server:dir` as `SERVER/DIR` [default: /.statelite/mnt]
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub mnt: Option<PathBuf>,
}

/// Settings of a mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct MountArgs {
    /// Where the merged view appears
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,

    /// Read settings from a TOML file; an option given here wins over the file's key
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// The read-only root image
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub image: Option<PathBuf>,

    /// Where volatile changes go [default: a private tmpfs]
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub volatile: Option<PathBuf>,

    /// Work directory of the volatile store, on the same file system [default: inside it]
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub work: Option<PathBuf>,

    /// Size limit of the private tmpfs, e.g. `512m` or `20%`
    #[arg(long, value_name = "SIZE", help_heading = "Layers")]
    pub volatile_size: Option<String>,

    /// This node's persistent store [default: from the statelite table, with the node's name]
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub persistent: Option<PathBuf>,

    /// The store on the local disk
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub local: Option<PathBuf>,

    /// Directory whose `.statelite` shows, read-only, at /.statelite, with what is mounted in it
    #[arg(long, value_name = "DIR", help_heading = "Layers")]
    pub views: Option<PathBuf>,

    /// File capabilities of the image, as `statelitefs capabilities` lists them, if its server carries none
    #[arg(long, value_name = "FILE", help_heading = "Layers")]
    pub capabilities: Option<PathBuf>,

    /// How soon edits of image and trees show [default: live]
    #[arg(long, value_name = "WHEN", help_heading = "Layers")]
    pub freshness: Option<Freshness>,

    /// Rows, rules and what they need; the table `[policy]` of a TOML file
    #[command(flatten)]
    pub policy: PolicyArgs,

    /// Stay in the foreground and log to standard error
    #[arg(long, short = 'f', help_heading = "Running")]
    pub foreground: bool,

    /// Hand backing files to the kernel [default: auto]
    #[arg(long, value_name = "MODE", help_heading = "Running")]
    pub passthrough: Option<PassthroughMode>,

    /// Smallest file, in bytes, handed to the kernel when opened for reading [default: 131072]
    #[arg(long, value_name = "BYTES", help_heading = "Running")]
    pub passthrough_min: Option<u64>,

    /// 1 lets kernel overlayfs use the mount as a lower layer, 2 lets layers be overlayfs [default: 1]
    #[arg(long, value_name = "N", help_heading = "Running", value_parser = clap::value_parser!(u32).range(1..=2))]
    pub stack_depth: Option<u32>,

    /// Threads that serve requests [default: 2; 8 if a layer is on a server]
    #[arg(long, value_name = "N", help_heading = "Running", value_parser = count(1, 64))]
    pub threads: Option<usize>,

    /// Directory descriptors kept open [default: 1024]
    #[arg(long, value_name = "N", help_heading = "Running", value_parser = count(1, 100_000))]
    pub dir_fds: Option<usize>,

    /// Files of layers on a server kept open for half a minute after their last use; 0 for none [default: 512 of layers on
    /// NFS 4 with nocto, where each open is a call]
    #[arg(long, value_name = "N", help_heading = "Running", value_parser = count(0, 100_000))]
    pub kept_files: Option<usize>,

    /// File the daemon logs to [default: beside the control socket]
    #[arg(long, value_name = "FILE", help_heading = "Running")]
    pub log: Option<PathBuf>,

    /// Name shown as the source of the mount [default: statelitefs]
    #[arg(long, value_name = "NAME", help_heading = "Running")]
    pub fsname: Option<String>,

    /// Mount read-only
    #[arg(long, help_heading = "Running")]
    pub read_only: bool,

    /// Do not honour device nodes
    #[arg(long, help_heading = "Running")]
    pub nodev: bool,

    /// Do not honour set-user-ID bits and file capabilities
    #[arg(long, help_heading = "Running")]
    pub nosuid: bool,

    /// Do not allow execution
    #[arg(long, help_heading = "Running")]
    pub noexec: bool,
}

/// A number within bounds.
fn count(least: usize, most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(format!("a number from {least} to {most}")),
    }
}

pub(crate) fn parse_dialect(text: &str) -> Result<Dialect, String> {
    text.parse().map_err(|_| "one of: current, 2010".to_owned())
}

/// Reasons why a settings file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The text is not what is expected there.
    #[error("{file}: {error}")]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
}

impl MountArgs {
    /// Takes what is not given here from the TOML file, if one is named.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file, line and column.
    pub fn with_config(self) -> Result<MountArgs, ConfigError> {
        let Some(file) = self.config.clone() else {
            return Ok(self);
        };
        let text = std::fs::read_to_string(&file).map_err(|error| ConfigError::Read {
            file: file.clone(),
            error,
        })?;
        let base: MountArgs = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            file,
            error: Box::new(error),
        })?;
        Ok(self.over(base))
    }

    /// These settings, with `base` for what is not set.
    fn over(self, base: MountArgs) -> MountArgs {
        MountArgs {
            mountpoint: self.mountpoint.or(base.mountpoint),
            config: self.config,
            image: self.image.or(base.image),
            volatile: self.volatile.or(base.volatile),
            work: self.work.or(base.work),
            volatile_size: self.volatile_size.or(base.volatile_size),
            persistent: self.persistent.or(base.persistent),
            local: self.local.or(base.local),
            views: self.views.or(base.views),
            capabilities: self.capabilities.or(base.capabilities),
            freshness: self.freshness.or(base.freshness),
            policy: self.policy.over(base.policy),
            foreground: self.foreground || base.foreground,
            passthrough: self.passthrough.or(base.passthrough),
            passthrough_min: self.passthrough_min.or(base.passthrough_min),
            stack_depth: self.stack_depth.or(base.stack_depth),
            threads: self.threads.or(base.threads),
            dir_fds: self.dir_fds.or(base.dir_fds),
            kept_files: self.kept_files.or(base.kept_files),
            log: self.log.or(base.log),
            fsname: self.fsname.or(base.fsname),
            read_only: self.read_only || base.read_only,
            nodev: self.nodev || base.nodev,
            nosuid: self.nosuid || base.nosuid,
            noexec: self.noexec || base.noexec,
        }
    }
}

impl PolicyArgs {
    /// These settings, with `base` for what is not set.
    pub fn over(self, base: PolicyArgs) -> PolicyArgs {
        fn list<T>(own: Vec<T>, base: Vec<T>) -> Vec<T> {
            if own.is_empty() { base } else { own }
        }
        PolicyArgs {
            rule: list(self.rule, base.rule),
            tables: self.tables.or(base.tables),
            lines: self.lines.or(base.lines),
            node: self.node.or(base.node),
            image_name: self.image_name.or(base.image_name),
            image_groups: self.image_groups.or(base.image_groups),
            group: list(self.group, base.group),
            var: list(self.var, base.var),
            dialect: self.dialect.or(base.dialect),
            implied: self.implied.or(base.implied),
            tree: list(self.tree, base.tree),
            source: list(self.source, base.source),
            mnt: self.mnt.or(base.mnt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_the_command_line_does_not() {
        let base: MountArgs = toml::from_str(
            "mountpoint = '/mnt'\nimage = '/img'\nfreshness = 'published'\n\
             [policy]\nrule = ['/var/=tmpfs']\ndialect = '2010'\n",
        )
        .unwrap();
        let own = MountArgs {
            image: Some("/other".into()),
            ..MountArgs::default()
        };
        let both = own.over(base);
        assert_eq!(both.image, Some("/other".into()));
        assert_eq!(both.mountpoint, Some("/mnt".into()));
        assert_eq!(both.policy.rule, ["/var/=tmpfs"]);
        assert_eq!(both.policy.dialect, Some(Dialect::Seed2010));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let error = toml::from_str::<MountArgs>("image = '/img'\nimgae = '/x'\n").unwrap_err();
        assert!(error.to_string().contains("imgae"), "{error}");
    }
}
