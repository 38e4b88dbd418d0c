//! Opening layers and stores, and building the policy over them.

use super::args::{MountArgs, PassthroughMode, PolicyArgs};
use super::{implied, links};
use crate::fuse::session::MountSettings;
use crate::overlay::Settings;
use crate::overlay::caps::FileCaps;
use crate::overlay::ident::{self, LayerId};
use crate::overlay::layer::{Freshness, Layer};
use crate::overlay::store::Store;
use crate::overlay::view::{self, Layers};
use crate::sys::mountfd;
use anyhow::{Context as _, anyhow, bail};
use statelite_policy::{
    Dialect, NodeIdentity, Placement, Policy, PolicyTree, Rule, Source, Tables, build, rule_arg,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the node side keeps mounted servers, as xCAT does.
const MNT: &str = "/.statelite/mnt";

/// What a mount is made of.
#[derive(Debug)]
pub struct Assembled {
    /// The rules.
    pub tree: PolicyTree,
    /// The layers.
    pub layers: Layers,
    /// What is odd but was accepted.
    pub warnings: Vec<String>,
}

/// A policy as the settings give it, and where its layers are.
#[derive(Debug)]
struct Resolved {
    rules: Vec<Rule>,
    trees: Vec<PathBuf>,
    persistent: Option<PathBuf>,
    warnings: Vec<String>,
}

/// What layers and stores are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be mounted: what a store needs is made.
    Use,
    /// To say what would happen: nothing is made or removed.
    Look,
}

/// Opens layers and builds the policy that `args` ask for. Layers that `previous` has open stay.
///
/// # Errors
/// Everything wrong with the tables, each with file, line and column; a layer that cannot be
/// opened; a rule whose store is missing.
pub fn assemble(
    args: &MountArgs,
    previous: Option<&Layers>,
    purpose: Purpose,
) -> anyhow::Result<Assembled> {
    let Resolved {
        mut rules,
        trees,
        persistent,
        mut warnings,
    } = resolve(args)?;
    let freshness = args.freshness.unwrap_or_default();
    let image_path = args
        .image
        .as_deref()
        .context("no image is given (--image DIR)")?;
    let mut layers = Layers {
        image: match previous {
            Some(previous) => previous.image.clone(),
            None => open_image(image_path, freshness, args.capabilities.as_deref())?,
        },
        trees: open_trees(&trees, freshness, previous, &mut warnings),
        ..Layers::default()
    };
    links::follow(&mut rules, &layers.merged())?;
    implied::add(
        &mut rules,
        args.policy.implied.unwrap_or_default(),
        &layers.merged(),
    )?;
    let tree = PolicyTree::from_rules(rules)?;
    let needs = |placement: Placement| tree.rules().any(|rule| rule.placement == placement);
    layers.volatile = match previous.and_then(|p| p.volatile.clone()) {
        Some(store) => Some(store),
        None if args.volatile.is_some()
            || needs(Placement::Volatile)
            || needs(Placement::Concat) =>
        {
            Some(open_volatile(args)?)
        }
        None => None,
    };
    layers.persistent = match (previous.and_then(|p| p.persistent.clone()), &persistent) {
        (Some(store), Some(path)) if &store.layer.path == path => Some(store),
        (Some(store), _) if needs(Placement::Persistent) => bail!(
            "the persistent store cannot move from {} while it is in use",
            store.layer.path.display()
        ),
        (_, Some(path)) if args.persistent.is_some() || needs(Placement::Persistent) => {
            Some(open_store(ident::PERSISTENT, "persistent", path, purpose)?)
        }
        _ => None,
    };
    layers.local = match (previous.and_then(|p| p.local.clone()), &args.local) {
        (Some(store), _) => Some(store),
        (None, Some(path)) => Some(open_store(ident::LOCAL, "local", path, purpose)?),
        (None, None) => None,
    };
    layers.views = match (previous.and_then(|p| p.views.clone()), &args.views) {
        (Some(views), _) => Some(views),
        (None, Some(path)) => {
            let views = Layer::open_views(path).with_context(|| path.display().to_string())?;
            Some(Arc::new(views))
        }
        (None, None) => None,
    };
    Ok(Assembled {
        tree,
        layers,
        warnings,
    })
}

/// Serving threads when a layer is on a server: as many calls may wait for it at a time. Each keeps up to two buffers of 1 MiB
/// once large requests have passed through it.
const THREADS_REMOTE: usize = 8;
/// Threads that stand in for those while they wait for a server that is away. One that has never served takes some tens of
/// kilobytes.
const THREADS_SPARE: usize = 56;

/// The mount settings in `args`, for a view of `layers`.
pub fn mount_settings(args: &MountArgs, layers: &Layers) -> MountSettings {
    let base = MountSettings::default();
    let stores = layers.stores().map(|store| &store.layer);
    let remote = layers
        .trees
        .iter()
        .chain(&layers.image)
        .chain(stores)
        .any(|l| l.remote);
    let threads = if remote { THREADS_REMOTE } else { base.threads };
    MountSettings {
        threads: args.threads.unwrap_or(threads).clamp(1, 64),
        spare: if remote { THREADS_SPARE } else { 0 },
        passthrough: args.passthrough.unwrap_or_default() != PassthroughMode::Off,
        stack_depth: args.stack_depth.unwrap_or(base.stack_depth),
        source: args.fsname.clone().unwrap_or(base.source),
        read_only: args.read_only,
        nodev: args.nodev,
        nosuid: args.nosuid,
        noexec: args.noexec,
    }
}

/// The overlay settings in `args`.
pub fn overlay_settings(args: &MountArgs) -> Settings {
    let base = Settings::default();
    Settings {
        passthrough_min: args.passthrough_min.unwrap_or(base.passthrough_min),
        passthrough_lower: args.passthrough == Some(PassthroughMode::All),
        dir_fds: args.dir_fds.unwrap_or(base.dir_fds),
        kept_files: args.kept_files,
    }
}

fn open_image(
    path: &Path,
    freshness: Freshness,
    capabilities: Option<&Path>,
) -> anyhow::Result<Vec<Arc<Layer>>> {
    let mut image = Layer::open(ident::IMAGE, "image".into(), path, freshness, true)
        .with_context(|| format!("image {}", path.display()))?;
    if let Some(file) = capabilities {
        let text = std::fs::read(file).with_context(|| file.display().to_string())?;
        image.caps = FileCaps::parse(&text).with_context(|| file.display().to_string())?;
    }
    let mut layers = Vec::new();
    if image.processed {
        let moved = path.join(".default");
        let layer = Layer::open(
            ident::IMAGE_DEFAULT,
            "image .default".into(),
            &moved,
            freshness,
            true,
        )
        .with_context(|| format!("image {}", moved.display()))?;
        layers.push(Arc::new(layer));
    }
    layers.push(Arc::new(image));
    Ok(layers)
}

fn open_trees(
    paths: &[PathBuf],
    freshness: Freshness,
    previous: Option<&Layers>,
    warnings: &mut Vec<String>,
) -> Vec<Arc<Layer>> {
    let known = previous.map(|p| p.trees.as_slice()).unwrap_or_default();
    let mut trees: Vec<Arc<Layer>> = Vec::new();
    for path in paths {
        if let Some(layer) = known.iter().find(|l| &l.path == path) {
            trees.push(Arc::clone(layer));
            continue;
        }
        let taken = |id: &LayerId| known.iter().chain(&trees).any(|l| l.id == *id);
        let Some(id) = (ident::FIRST_TREE..ident::DISPLACED).find(|id| !taken(id)) else {
            warnings.push(format!("{}: too many trees; left out", path.display()));
            continue;
        };
        let label = format!("tree {}", trees.len() + 1);
        match Layer::open(id, label, path, freshness, true) {
            Ok(layer) => trees.push(Arc::new(layer)),
            // As xCAT does: a tree that cannot be had is reported and skipped.
            Err(e) => warnings.push(format!("tree {} is left out: {e}", path.display())),
        }
    }
    trees
}

fn open_store(
    id: LayerId,
    label: &str,
    path: &Path,
    purpose: Purpose,
) -> anyhow::Result<Arc<Store>> {
    let store = match purpose {
        Purpose::Use => Store::open(id, label, path, None),
        Purpose::Look => Store::look(id, label, path, || mountfd::tmpfs(None)),
    };
    let store = store.with_context(|| format!("{label} store {}", path.display()))?;
    Ok(Arc::new(store))
}

fn open_volatile(args: &MountArgs) -> anyhow::Result<Arc<Store>> {
    let store = match &args.volatile {
        Some(path) => Store::open(ident::VOLATILE, "volatile", path, args.work.as_deref())
            .with_context(|| format!("volatile store {}", path.display()))?,
        None => {
            let size = args.volatile_size.as_deref();
            let root = mountfd::tmpfs(size).with_context(|| match size {
                Some(size) => format!("private tmpfs of --volatile-size {size}"),
                None => "private tmpfs".to_owned(),
            })?;
            Store::open_private(ident::VOLATILE, "volatile", &root).context("private tmpfs")?
        }
    };
    store.check_union().with_context(|| {
        format!(
            "{} cannot hold whiteouts and trusted.* attributes, which a volatile store needs",
            store.layer.path.display()
        )
    })?;
    Ok(Arc::new(store))
}

/// Rules, trees and stores as rows and options give them, without opening anything.
fn resolve(args: &MountArgs) -> anyhow::Result<Resolved> {
    let policy = &args.policy;
    let dialect = policy.dialect.unwrap_or_default();
    let mut given = Vec::new();
    for rule in &policy.rule {
        given.push(rule_arg::parse(rule, dialect)?);
    }
    let mut trees: Vec<PathBuf> = policy.tree.clone();
    let mut persistent = args.persistent.clone();
    let mut warnings = Vec::new();
    let mut rules = Vec::new();
    if let Some(dir) = &policy.lines {
        let Policy {
            tree,
            layers,
            warnings: odd,
            ..
        } = read_lines(dir, dialect)?;
        warnings.extend(odd.iter().map(ToString::to_string));
        let overridden = |rule: &Rule| given.iter().any(|g| g.path == rule.path);
        rules.extend(tree.rules().filter(|rule| !overridden(rule)).cloned());
        for layer in &layers {
            trees.push(locate(policy, &layer.source)?);
        }
    }
    if let Some(dir) = &policy.tables {
        let node = identity(policy)?;
        let Policy {
            tree,
            layers,
            statemnt,
            warnings: odd,
            ..
        } = read_tables(dir, |tables| {
            build(tables, &node, dialect).map_err(Into::into)
        })?;
        let given_store = args.persistent.is_some();
        let told =
            |w: &&statelite_policy::Warning| !(given_store && w.reason.contains("no statemnt"));
        warnings.extend(odd.iter().filter(told).map(ToString::to_string));
        let overridden = |rule: &Rule| given.iter().any(|g| g.path == rule.path);
        rules.extend(tree.rules().filter(|rule| !overridden(rule)).cloned());
        for layer in &layers {
            trees.push(locate(policy, &layer.source)?);
        }
        if persistent.is_none()
            && let Some(source) = &statemnt
        {
            persistent = Some(locate(policy, source)?.join(&node.name));
        }
    }
    rules.extend(given);
    if args.views.is_some() && !rules.iter().any(|rule| rule.path == view::VIEWS) {
        rules.push(view::views_rule());
    }
    Ok(Resolved {
        rules,
        trees,
        persistent,
        warnings,
    })
}

/// Reads the three tables of `dir` (each may be missing) and hands their text to `f`.
///
/// # Errors
/// Those of reading, and of `f`.
pub fn read_tables<R>(
    dir: &Path,
    f: impl FnOnce(&Tables<'_>) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    let read = |name: &str| -> anyhow::Result<Option<(String, Vec<u8>)>> {
        let path = dir.join(name);
        match std::fs::read(&path) {
            Ok(text) => Ok(Some((path.display().to_string(), text))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(anyhow!(e).context(path.display().to_string())),
        }
    };
    let (litefile, litetree, statelite) = (
        read("litefile.csv")?,
        read("litetree.csv")?,
        read("statelite.csv")?,
    );
    if litefile.is_none() && litetree.is_none() && statelite.is_none() {
        bail!(
            "{}: none of litefile.csv, litetree.csv, statelite.csv is there",
            dir.display()
        );
    }
    fn borrow(table: &Option<(String, Vec<u8>)>) -> Option<(&str, &[u8])> {
        table
            .as_ref()
            .map(|(label, text)| (label.as_str(), text.as_slice()))
    }
    f(&Tables {
        litefile: borrow(&litefile),
        litetree: borrow(&litetree),
        statelite: borrow(&statelite),
    })
}

/// Reads `litefile` and `litetree` of `dir`; the latter may be missing.
///
/// # Errors
/// Those of reading; every line that cannot be followed.
fn read_lines(dir: &Path, dialect: Dialect) -> anyhow::Result<Policy> {
    let read = |name: &str| {
        let path = dir.join(name);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && name == "litetree" => {
                Ok(String::new())
            }
            other => other.with_context(|| path.display().to_string()),
        };
        text.map(|text| (path.display().to_string(), text))
    };
    let (litefile, litetree) = (read("litefile")?, read("litetree")?);
    let policy = statelite_policy::lines::build(
        (&litefile.0, &litefile.1),
        (&litetree.0, &litetree.1),
        dialect,
    )?;
    Ok(policy)
}

/// Who the node is in the tables.
fn identity(policy: &PolicyArgs) -> anyhow::Result<NodeIdentity> {
    let name = match &policy.node {
        Some(name) => name.clone(),
        None => host_name(),
    };
    let mut variables = BTreeMap::new();
    for var in &policy.var {
        let (key, value) = var
            .split_once('=')
            .filter(|(key, _)| key.contains('.'))
            .with_context(|| format!("--var {var}: expected TABLE.COL=VALUE"))?;
        variables.insert(key.trim_start_matches('$').to_owned(), value.to_owned());
    }
    Ok(NodeIdentity {
        name,
        image: policy.image_name.clone().unwrap_or_default(),
        image_groups: policy.image_groups.clone(),
        groups: policy.group.clone(),
        variables,
    })
}

pub(crate) fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// The local directory that stands for `server:dir`.
fn locate(policy: &PolicyArgs, source: &Source) -> anyhow::Result<PathBuf> {
    let Some(server) = &source.server else {
        return Ok(PathBuf::from(&source.path));
    };
    for mapping in &policy.source {
        let (from, to) = mapping
            .split_once('=')
            .with_context(|| format!("--source {mapping}: expected SERVER:DIR=LOCAL"))?;
        let from: Source = from
            .parse()
            .map_err(|e| anyhow!("--source {mapping}: {e}"))?;
        if from.server.as_ref() == Some(server)
            && let Ok(rest) = Path::new(&source.path).strip_prefix(&from.path)
        {
            return Ok(Path::new(to).join(rest));
        }
    }
    let mnt = policy.mnt.as_deref().unwrap_or(Path::new(MNT));
    Ok(mnt.join(server).join(source.path.trim_start_matches('/')))
}

/// Checks every row of the tables in `dir`, for all nodes and images.
///
/// # Errors
/// All refused rows.
pub fn check(dir: &Path, dialect: Dialect) -> anyhow::Result<Vec<String>> {
    read_tables(dir, |tables| {
        let warnings = statelite_policy::check(tables, dialect)?;
        Ok(warnings.iter().map(ToString::to_string).collect())
    })
}
