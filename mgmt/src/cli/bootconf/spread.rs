//! nodeset's last step where service nodes have their own tftpdir: their nodes' boot files go there, and are removed from
//! those that no longer serve a node.

use crate::bootconf::address::Lookup;
use crate::bootconf::facts::KnownAs;
use crate::bootconf::plan::{self, NodePlan, Request};
use crate::bootconf::stale::Names;
use crate::hierarchy::boot_files::{self, Kept, Tree};
use crate::hierarchy::remote::{Run, run_all};
use crate::tables::Site;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// How many service nodes are served at a time.
const AT_ONCE: usize = 16;
/// How many nodes an error names.
const NAMED: usize = 10;

/// What goes to one service node.
#[derive(Debug)]
pub(in crate::cli) struct Share {
    name: String,
    nodes: Vec<String>,
    /// Its nodes' plans, or why there are none.
    plans: Result<Vec<NodePlan>, String>,
    /// By tftpdir, nodes that it may have something of and does not serve.
    leaving: BTreeMap<PathBuf, Vec<KnownAs>>,
}

/// What became of it.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct Arrival {
    service_node: String,
    nodes: Vec<String>,
    /// Nodes whose files are to be removed there.
    left: Vec<String>,
    error: Option<String>,
}

/// What every service node gets. `good` are the plans of this host; its own share is not listed.
///
/// # Errors
/// When the trees of service nodes cannot be read.
pub(super) fn shares(
    state: &Path,
    site: &Site,
    good: &[&NodePlan],
    request: &Request,
) -> anyhow::Result<Vec<Share>> {
    let nodes: Vec<_> = good.iter().map(|plan| plan.node.clone()).collect();
    let shares = boot_files::by_service_node(site, &nodes).into_iter();
    let share = |(name, nodes): (String, Vec<String>)| {
        let plans = address(site, &name, request.lookup)?
            .and_then(|address| plans(site, &nodes, request, address));
        Some(Share {
            name,
            nodes,
            plans,
            leaving: BTreeMap::new(),
        })
    };
    let shares = shares.filter_map(share).collect();
    let known_as: Vec<_> = good.iter().map(|plan| &plan.known_as).collect();
    with_leaving(state, site, shares, &known_as, request.lookup)
}

/// The removal of nodes that are no longer in the tables.
///
/// # Errors
/// As [`shares`].
pub(in crate::cli) fn removals(
    state: &Path,
    site: &Site,
    nodes: &[KnownAs],
) -> anyhow::Result<Vec<Share>> {
    let nodes: Vec<_> = nodes.iter().collect();
    with_leaving(state, site, Vec::new(), &nodes, Lookup::default())
}

/// The address of a service node, or why there is none; nothing when it is this host.
fn address(site: &Site, name: &str, lookup: Lookup) -> Option<Result<Ipv4Addr, String>> {
    match lookup.address(site, name) {
        Some(address) if lookup.is_local(address) => None,
        Some(address) => Some(Ok(address)),
        None => Some(Err(
            "no IPv4 address for it: set hosts.ip, or make its name resolve".to_owned(),
        )),
    }
}

/// Adds what service nodes have of nodes that they do not serve, or that is elsewhere now.
fn with_leaving(
    state: &Path,
    site: &Site,
    shares: Vec<Share>,
    nodes: &[&KnownAs],
    lookup: Lookup,
) -> anyhow::Result<Vec<Share>> {
    let mut shares: BTreeMap<String, Share> = shares
        .into_iter()
        .map(|share| (share.name.clone(), share))
        .collect();
    for kept in boot_files::kept(state)? {
        let leaving: Vec<_> = nodes
            .iter()
            .filter(|known_as| kept.concerns(known_as))
            .filter(|known_as| {
                let share = shares.get(&kept.host);
                share.is_none_or(|share| !share.serves(&known_as.node, &kept))
            })
            .map(|known_as| (*known_as).clone())
            .collect();
        if leaving.is_empty() {
            continue;
        }
        let Some(address) = address(site, &kept.host, lookup) else {
            continue;
        };
        let share = shares.entry(kept.host.clone());
        let share = share.or_insert_with(|| Share {
            name: kept.host,
            nodes: Vec::new(),
            plans: address.map(|_| Vec::new()),
            leaving: BTreeMap::new(),
        });
        share.leaving.insert(kept.tftpdir, leaving);
    }
    Ok(shares.into_values().collect())
}

impl Share {
    /// Whether this node's files belong into a tree of this service node. When that is not known, they do.
    fn serves(&self, node: &str, kept: &Kept) -> bool {
        match &self.plans {
            Ok(plans) => plans
                .iter()
                .any(|plan| plan.node == node && plan.tftpdir == kept.tftpdir),
            Err(_) => true,
        }
    }

    /// The nodes whose files are removed.
    fn left(&self) -> Vec<String> {
        let all = self.leaving.values().flatten();
        let names: std::collections::BTreeSet<_> = all.map(|known_as| &known_as.node).collect();
        names.into_iter().cloned().collect()
    }
}

/// As this host plans, but with the service node as the host that faces the nodes.
fn plans(
    site: &Site,
    nodes: &[String],
    request: &Request,
    address: Ipv4Addr,
) -> Result<Vec<NodePlan>, String> {
    let request = Request {
        lookup: Lookup {
            serving: Some(address),
            ..request.lookup
        },
        ..request.clone()
    };
    let mut site = site.clone();
    let outcomes = plan::plan(&mut site, nodes, &request).into_iter();
    let plan = outcomes.map(|(node, outcome)| outcome.map_err(|error| format!("{node}: {error}")));
    plan.collect()
}

/// Writes every share into its tree and brings it to its service node.
pub(in crate::cli) fn carry_out(state: &Path, shares: Vec<Share>, copies: bool) -> Vec<Arrival> {
    let mut errors: BTreeMap<String, String> = BTreeMap::new();
    let mut trees = Vec::new();
    let mut runs: Vec<Run> = Vec::new();
    for share in &shares {
        match staged(state, share, copies) {
            Ok(ready) => {
                for (tree, run) in ready {
                    trees.push((share.name.clone(), tree));
                    runs.push(run);
                }
            }
            Err(error) => drop(errors.insert(share.name.clone(), error)),
        }
    }
    let (out, err) = (Mutex::new(std::io::stderr()), Mutex::new(std::io::stderr()));
    match run_all("rsync", &runs, AT_ONCE, &out, &err) {
        Ok(failed) => errors.extend(failed),
        Err(error) => {
            let all = trees
                .iter()
                .map(|(name, _)| (name.clone(), format!("{error:#}")));
            errors.extend(all);
        }
    }
    for (name, tree) in &trees {
        if !errors.contains_key(name)
            && let Err(error) = tree.arrived()
        {
            errors.insert(name.clone(), error.to_string());
        }
    }
    let arrival = |share: Share| Arrival {
        error: errors.remove(&share.name),
        left: share.left(),
        service_node: share.name,
        nodes: share.nodes,
    };
    shares.into_iter().map(arrival).collect()
}

/// The trees of a service node, one for each tftpdir its nodes have, as they are to arrive.
fn staged(state: &Path, share: &Share, copies: bool) -> Result<Vec<(Tree, Run)>, String> {
    let plans = share.plans.as_ref().map_err(Clone::clone)?;
    let mut by_dir: BTreeMap<&PathBuf, Vec<&NodePlan>> = BTreeMap::new();
    for plan in plans {
        by_dir.entry(&plan.tftpdir).or_default().push(plan);
    }
    for tftpdir in share.leaving.keys() {
        by_dir.entry(tftpdir).or_default();
    }
    let mut ready = Vec::new();
    for (tftpdir, plans) in by_dir {
        let tree = Tree::open(state, &share.name, tftpdir).map_err(|error| error.to_string())?;
        let mut names = Names::default();
        for known_as in share.leaving.get(tftpdir).into_iter().flatten() {
            let cleared = tree.clear(known_as, &mut names);
            cleared.map_err(|error| format!("{}: {error}", known_as.node))?;
        }
        for plan in plans {
            let written = tree.apply(plan, copies, &mut names);
            written.map_err(|error| format!("{}: {error}", plan.node))?;
        }
        let run = tree.run().map_err(|error| error.to_string())?;
        ready.push((tree, run));
    }
    Ok(ready)
}

/// What `--dry-run` shows.
pub(super) fn listing(share: &Share) -> String {
    let what = match &share.plans {
        Ok(plans) => {
            let files: usize = plans
                .iter()
                .map(|plan| plan.files.len() + plan.aliases.len())
                .sum();
            format!("{files} boot files")
        }
        Err(error) => format!("nothing, for {error}"),
    };
    let mut text = String::new();
    if !share.nodes.is_empty() {
        text = format!(
            "service node {}: {what} of {}\n",
            share.name,
            some(&share.nodes)
        );
    }
    let left = share.left();
    if !left.is_empty() {
        text += &format!(
            "service node {}: no more boot files of {}\n",
            share.name,
            some(&left)
        );
    }
    text
}

impl Arrival {
    /// Says what went wrong, if anything did.
    pub(in crate::cli) fn complain(&self) -> bool {
        let Some(error) = &self.error else {
            return false;
        };
        let mut lacks = Vec::new();
        if !self.nodes.is_empty() {
            lacks.push(format!(
                "it has not got the boot files of {} (run nodeset again)",
                some(&self.nodes)
            ));
        }
        if !self.left.is_empty() {
            lacks.push(format!(
                "it may still boot {} (remove the files there, or run nodeset again)",
                some(&self.left)
            ));
        }
        eprintln!(
            "Error: service node {}: {error}; {}",
            self.service_node,
            lacks.join("; ")
        );
        true
    }
}

/// The first names, and how many there are.
fn some(nodes: &[String]) -> String {
    let shown: Vec<_> = nodes.iter().take(NAMED).map(String::as_str).collect();
    match nodes.len().saturating_sub(NAMED) {
        0 => shown.join(","),
        more => format!("{} and {more} more", shown.join(",")),
    }
}
