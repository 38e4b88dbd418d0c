//! Everything a node's root is made of: the image, its persistent store, its policy, its trees.
//! Each is waited for; [`super::retry`] says so on the console.

use super::cmdline::address::Host;
use super::cmdline::{CommandLine, Mode, PolicyFrom};
use super::fetch;
use super::links::options;
use super::mounts::{Mounter, Refused, undo};
use super::net::Network;
use super::nfs::{MERGED, Options, READ_ONLY, STORE};
use super::retry::Retry;
use super::saved::{self, Lines};
use super::tls;
use anyhow::{Context as _, bail};
use rustls::ClientConfig;
use statelite_policy::Source;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a management server that is silent is asked before the saved policy is taken.
const BEFORE_SAVED: Duration = Duration::from_secs(120);
/// How long a tree is tried before the node goes without it, as xCAT's nodes do.
const BEFORE_LEAVING_OUT: Duration = Duration::from_secs(120);

/// Puts a root together.
#[derive(Debug)]
pub struct Gather<'a> {
    /// What is asked for.
    pub line: &'a CommandLine,
    /// Mounts.
    pub mounter: Mounter,
    /// Certificates of the authority, if there are any.
    pub ca: Option<Vec<u8>>,
}

/// This node's name: what the command line says, else what the network says, else its host name.
///
/// # Errors
/// A host name that cannot be a directory's.
pub fn node_name(line: &CommandLine, network: &Network) -> Option<String> {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    line.node
        .clone()
        .or_else(|| network.host.as_deref().map(short))
        .or_else(|| Some(crate::config::assemble::host_name()))
        .filter(|name| !matches!(name.as_str(), "" | "(none)" | "localhost"))
        .filter(|name| !name.contains(['/', '\0']))
}

impl Gather<'_> {
    /// Mounts the image at `target`.
    ///
    /// # Errors
    /// No image on the command line; given up.
    pub fn image(&self, target: &Path) -> anyhow::Result<()> {
        let Some(source) = &self.line.image else {
            bail!(
                "no image: neither root=nfs:SERVER:DIR:ro nor NFSROOT=SERVER:DIR is on the kernel command line"
            );
        };
        let options = match self.line.mode {
            Mode::Fuse => self.read_only(&self.line.image_options),
            Mode::Links => options::image(self.line),
        };
        self.until(&format!("the image {source}"), self.line.timeout, |_| {
            self.mounter.mount(source, &options, target)
        })
    }

    fn read_only(&self, given: &[String]) -> Options {
        let usual = [&READ_ONLY[..], &MERGED].concat();
        Options::merge(&usual, &[given, &self.line.nfs_options])
    }

    /// Tries until it works; each try is told how long it may take.
    fn until<T>(
        &self,
        what: &str,
        limit: Option<Duration>,
        mut attempt: impl FnMut(Option<Duration>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut retry = Retry::new(what, limit);
        loop {
            match attempt(retry.left()) {
                Ok(result) => {
                    retry.succeeded();
                    return Ok(result);
                }
                // A mount option that the kernel does not take will not be taken later.
                Err(e) if e.is::<Refused>() => return Err(e.context(what.to_owned())),
                Err(e) => retry.failed(&e)?,
            }
        }
    }

    /// Mounts the persistent store of `node` at `target`, making its directory at the first boot.
    /// False if there is no store.
    ///
    /// # Errors
    /// Given up.
    pub fn persistent(&self, node: &str, target: &Path) -> anyhow::Result<bool> {
        let Some(statemnt) = &self.line.statemnt else {
            return Ok(false);
        };
        let own = Source {
            path: format!("{}/{node}", statemnt.path.trim_end_matches('/')),
            ..statemnt.clone()
        };
        let options = self.store_options();
        self.until(
            &format!("the persistent store {own}"),
            self.line.timeout,
            |_| {
                // A stock node makes its directory at every boot.
                if self.line.mode == Mode::Fuse {
                    match self.mounter.mount(&own, &options, target) {
                        Err(e) if !e.is::<Refused>() => {}
                        other => return other,
                    }
                }
                // The first boot, or no store at all.
                self.make_own(statemnt, &options, node, target)?;
                self.mounter.mount(&own, &options, target)
            },
        )?;
        Ok(true)
    }

    fn store_options(&self) -> Options {
        match self.line.mode {
            Mode::Fuse => Options::merge(&STORE, &[&self.line.mntopts]),
            Mode::Links => options::store(self.line),
        }
    }

    /// Mounts the stores of all nodes at `target`, as nodes did in 2010. False if there are none.
    ///
    /// # Errors
    /// Given up.
    pub fn all_stores(&self, target: &Path) -> anyhow::Result<bool> {
        let Some(statemnt) = &self.line.statemnt else {
            return Ok(false);
        };
        let options = self.store_options();
        let what = format!("the persistent store {statemnt}");
        self.until(&what, self.line.timeout, |_| {
            self.mounter.mount(statemnt, &options, target)
        })?;
        Ok(true)
    }

    /// Makes the node's directory in the store.
    fn make_own(
        &self,
        statemnt: &Source,
        options: &Options,
        node: &str,
        target: &Path,
    ) -> anyhow::Result<()> {
        self.mounter
            .mount(statemnt, options, target)
            .context("what STATEMNT= names cannot be mounted")?;
        let dir = target.join(node);
        let made = match std::fs::create_dir(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            other => other.map(|()| true),
        };
        undo(target);
        let made = made.with_context(|| {
            format!("{statemnt}/{node} cannot be made (is it exported rw,no_root_squash?)")
        })?;
        if made {
            tracing::info!("{statemnt}/{node} is new: the first boot of this node");
        }
        Ok(())
    }

    /// The policy's lines: from the server, else those saved in `store`.
    ///
    /// # Errors
    /// Given up, or nothing to ask with; and nothing saved.
    pub fn lines(&self, node: Option<&str>, store: Option<&Path>) -> anyhow::Result<Lines> {
        let saved = match (store, node) {
            (Some(store), Some(node)) => self.saved(store, node),
            _ => Err(anyhow::anyhow!("there is no persistent store")),
        };
        let limit = match &saved {
            Ok(_) => Some(self.line.timeout.unwrap_or(BEFORE_SAVED)),
            Err(_) => self.line.timeout,
        };
        // What is wrong with the initramfs or the command line does not mend itself: it is not waited for.
        let asked = self.asking().and_then(|(server, config)| {
            self.until("the policy", limit, |left| {
                self.ask(server, &config, node, left)
            })
        });
        match (asked, saved) {
            (Ok(lines), _) => {
                if let Some(store) = store
                    && let Err(e) = saved::keep(store, &lines)
                {
                    tracing::warn!("the policy cannot be saved for worse times: {e:#}");
                }
                Ok(lines)
            }
            (Err(e), Ok(lines)) => {
                tracing::warn!("{e:#}");
                tracing::warn!("going on with the policy saved at an earlier boot");
                Ok(lines)
            }
            (Err(e), Err(none)) => Err(e.context(format!("no saved policy either ({none:#})"))),
        }
    }

    /// Whom to ask, and how.
    fn asking(&self) -> anyhow::Result<(&Host, Arc<ClientConfig>)> {
        let server = fetch::server(self.line.server.as_ref())?;
        if self.ca.is_none() {
            tracing::warn!(
                "no authority's certificate in the initramfs (--ca): whoever answers at {server} is believed"
            );
        }
        let config = tls::config(self.ca.as_deref())
            .with_context(|| format!("/{} in the initramfs", crate::initramfs::CA))?;
        Ok((server, config))
    }

    /// The policy saved in `store`, if this program can follow it with this command line.
    fn saved(&self, store: &Path, node: &str) -> anyhow::Result<Lines> {
        let lines = saved::load(store, node)?;
        self.follow(&lines)
            .context("the saved policy cannot be followed")?;
        Ok(lines)
    }

    /// Whether every line can be followed.
    fn follow(&self, lines: &Lines) -> anyhow::Result<()> {
        let litefile = lines.litefile.join("\n");
        let litetree = lines.litetree.join("\n");
        statelite_policy::lines::build(
            ("litefile", &litefile),
            ("litetree", &litetree),
            self.line.dialect,
        )?;
        Ok(())
    }

    fn ask(
        &self,
        server: &Host,
        config: &Arc<ClientConfig>,
        node: Option<&str>,
        limit: Option<Duration>,
    ) -> anyhow::Result<Lines> {
        let addresses = self.mounter.lookup(&server.name)?;
        let lines = fetch::lines(server, &addresses, config, node, limit)?;
        // What cannot be followed is no policy, and may be put right on the server.
        self.follow(&lines).with_context(|| {
            format!("management server {server} gives a policy that cannot be followed")
        })?;
        Ok(lines)
    }

    /// Mounts the trees, each where `place` says. Those that cannot be had are left out.
    pub fn trees(&self, sources: &[Source], place: impl Fn(&Source) -> std::path::PathBuf) {
        for source in sources.iter().filter(|source| source.server.is_some()) {
            let target = place(source);
            let options = match self.line.mode {
                Mode::Fuse => self.read_only(&[]),
                Mode::Links => options::trees(self.line),
            };
            let limit = self.line.timeout.unwrap_or(BEFORE_LEAVING_OUT);
            let mounted = self.until(&format!("the tree {source}"), Some(limit), |_| {
                self.mounter.mount(source, &options, &target)
            });
            if let Err(e) = mounted {
                tracing::error!("{e:#}; the node goes without this tree");
                // An empty directory would count as a tree.
                let _ = std::fs::remove_dir(&target);
            }
        }
    }

    /// Whether the policy is in the initramfs.
    pub fn has_tables(&self) -> bool {
        matches!(self.line.policy, PolicyFrom::Tables(_))
    }
}

#[cfg(test)]
mod tests;
