//! What is to be done for each node, decided before anything is done.

use super::address::Lookup;
use super::facts::{Facts, KnownAs};
use super::loader::{self, Alias, Boot, Loader};
use super::owners::Owners;
use super::probe::{Probe, probe};
use super::settings::Settings;
use super::target::{self, Target};
use super::{BootError, Era};
use crate::tables::Site;
use crate::tables::schema::NODERES;
use std::collections::HashMap;
use std::path::PathBuf;

/// What nodeset is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The state.
    pub target: Target,
    /// The form of the files.
    pub era: Era,
    /// How names become addresses.
    pub lookup: Lookup,
}

/// A kernel or initrd to copy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Copy {
    /// The file in the image's directory.
    pub from: PathBuf,
    /// Its place below tftpdir, absolute.
    pub to: PathBuf,
}

/// What is to be done for one node.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// The node.
    pub node: String,
    /// The state it is in afterwards.
    pub state: String,
    /// Its loader.
    pub loader: &'static Loader,
    /// The root of boot files.
    pub tftpdir: PathBuf,
    /// Its files, below tftpdir. None: they are removed.
    pub files: Vec<(String, String)>,
    /// Other names of the first file.
    pub aliases: Vec<Alias>,
    /// What the node is known as: by these names no file of another node may be found, nor an older one of its own.
    pub known_as: KnownAs,
    /// What is copied before.
    pub copies: Vec<Copy>,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// What came out for one node.
pub type Outcome = Result<NodePlan, BootError>;

/// Decides for every node; `site` gets the changed nodetype rows of those it is decided for.
pub fn plan(site: &mut Site, nodes: &[String], request: &Request) -> Vec<(String, Outcome)> {
    let refused: Vec<_> = nodes
        .iter()
        .map(|node| request.target.set(site, node).err())
        .collect();
    let mut images = HashMap::new();
    let owners = Owners::new(site);
    let outcome = |(node, refused): (&String, Option<BootError>)| {
        let outcome = match refused {
            Some(error) => Err(error),
            None => one(site, node, request, &mut images, &owners),
        };
        (node.clone(), outcome)
    };
    nodes.iter().zip(refused).map(outcome).collect()
}

/// The loader of a node.
///
/// # Errors
/// [`BootError::NoLoader`], [`BootError::UnknownLoader`].
pub fn loader_of(site: &Site, node: &str) -> Result<(&'static Loader, String), BootError> {
    let netboot = site.node_value(node, &NODERES, "netboot");
    let netboot = netboot.ok_or_else(|| BootError::NoLoader(loader::known()))?;
    match loader::find(&netboot) {
        Some(loader) => Ok((loader, netboot)),
        None => Err(BootError::UnknownLoader {
            name: netboot,
            known: loader::known(),
        }),
    }
}

/// What an image's directory holds, or why it cannot be booted; looked up once for all its nodes.
type Probes = HashMap<(String, String), Result<Probe, BootError>>;

fn one(
    site: &Site,
    node: &str,
    request: &Request,
    probes: &mut Probes,
    owners: &Owners,
) -> Outcome {
    let (loader, netboot) = loader_of(site, node)?;
    if matches!(
        request.target,
        Target::Boot | Target::Offline | Target::Stat
    ) {
        return without_image(site, node, request, loader, owners);
    }
    let image = target::image(site, node)?;
    let key = (image.name.clone(), image.rootimgdir.clone());
    let found = probes
        .entry(key)
        .or_insert_with(|| probe(&image, request.era));
    let found = found.clone()?;
    let state = image.state();
    let facts = Facts::new(site, node, request.era, image, found, request.lookup)?;
    loader.needs.met(loader.name, &facts.known_as)?;
    alone(owners, &facts.known_as)?;
    let boot = Boot {
        facts: &facts,
        state: &state,
        netboot: &netboot,
    };
    let files = (loader.files)(&boot)?.into_iter();
    let tftpdir = PathBuf::from(&facts.settings.tftpdir);
    let dir = tftpdir.join(facts.boot_dir());
    let kernel = PathBuf::from(&facts.image.rootimgdir).join("kernel");
    let copies = vec![
        Copy {
            from: kernel,
            to: dir.join("kernel"),
        },
        Copy {
            from: facts.probe.initrd.clone(),
            to: dir.join(facts.probe.initrd_name),
        },
    ];
    Ok(NodePlan {
        node: node.to_owned(),
        loader,
        files: files
            .map(|file| (loader.path(node, file.suffix), file.text))
            .collect(),
        aliases: (loader.aliases)(&facts.known_as),
        known_as: facts.known_as.clone(),
        tftpdir,
        copies,
        warnings: facts.probe.warnings.clone(),
        state,
    })
}

/// Checks that no other node has one of the node's MAC addresses.
fn alone(owners: &Owners, known_as: &KnownAs) -> Result<(), BootError> {
    match owners.shared(&known_as.node, &known_as.interfaces) {
        Some((mac, own, other)) => Err(BootError::SharedMac {
            mac,
            own: own.clone(),
            other: other.clone(),
        }),
        None => Ok(()),
    }
}

/// For a node that boots from its own disk, or not at all.
fn without_image(
    site: &Site,
    node: &str,
    request: &Request,
    loader: &'static Loader,
    owners: &Owners,
) -> Outcome {
    let known_as = KnownAs::new(site, node, request.lookup)?;
    let settings = Settings::new(site, node)?;
    let mut plan = NodePlan {
        node: node.to_owned(),
        state: "offline".to_owned(),
        loader,
        tftpdir: PathBuf::from(settings.tftpdir),
        files: Vec::new(),
        aliases: Vec::new(),
        known_as,
        copies: Vec::new(),
        warnings: Vec::new(),
    };
    if request.target == Target::Boot {
        loader.needs.met(loader.name, &plan.known_as)?;
        alone(owners, &plan.known_as)?;
        plan.state = "boot".to_owned();
        plan.files.push((loader.path(node, ""), (loader.local)()));
        plan.aliases = (loader.aliases)(&plan.known_as);
        plan.aliases
            .retain(|alias| !matches!(alias, Alias::Loader(..)));
    }
    Ok(plan)
}
