//! nodeset's last step where service nodes have their own tftpdir: their nodes' boot files go there.

use crate::bootconf::address::Lookup;
use crate::bootconf::plan::{self, NodePlan, Request};
use crate::bootconf::write;
use crate::cli::Context;
use crate::hierarchy::boot_files::{self, Tree};
use crate::hierarchy::remote::{Run, run_all};
use crate::resolve::given::state_dir;
use crate::tables::Site;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How many service nodes are served at a time.
const AT_ONCE: usize = 16;
/// How many nodes an error names.
const NAMED: usize = 10;

/// What goes to one service node.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) name: String,
    pub(super) nodes: Vec<String>,
    /// Its nodes' plans, or why there are none.
    plans: Result<Vec<NodePlan>, String>,
}

/// What became of it.
#[derive(Debug, serde::Serialize)]
pub(super) struct Arrival {
    service_node: String,
    nodes: Vec<String>,
    error: Option<String>,
}

/// What every service node gets. `nodes` are those whose own plans are good; this host's share is not listed.
pub(super) fn shares(site: &Site, nodes: &[String], request: &Request) -> Vec<Share> {
    let shares = boot_files::by_service_node(site, nodes).into_iter();
    let share = |(name, nodes): (String, Vec<String>)| {
        let address = request.lookup.address(site, &name);
        if address.is_some_and(|address| request.lookup.is_local(address)) {
            return None;
        }
        let plans = match address {
            None => Err("no IPv4 address for it: set hosts.ip, or make its name resolve".into()),
            Some(address) => plans(site, &nodes, request, address),
        };
        Some(Share { name, nodes, plans })
    };
    shares.filter_map(share).collect()
}

/// As this host plans, but with the service node as the host that faces the nodes.
fn plans(
    site: &Site,
    nodes: &[String],
    request: &Request,
    address: std::net::Ipv4Addr,
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
pub(super) fn carry_out(context: &Context, shares: Vec<Share>, copies: bool) -> Vec<Arrival> {
    let state = state_dir(&context.global.db);
    let mut errors: BTreeMap<String, String> = BTreeMap::new();
    let mut trees = Vec::new();
    let mut runs: Vec<Run> = Vec::new();
    for share in &shares {
        match staged(&state, share, copies) {
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
        service_node: share.name,
        nodes: share.nodes,
    };
    shares.into_iter().map(arrival).collect()
}

/// The trees of a service node, one for each tftpdir its nodes have, as they are to arrive.
fn staged(
    state: &std::path::Path,
    share: &Share,
    copies: bool,
) -> Result<Vec<(Tree, Run)>, String> {
    let plans = share.plans.as_ref().map_err(Clone::clone)?;
    let mut by_dir: BTreeMap<&PathBuf, Vec<&NodePlan>> = BTreeMap::new();
    for plan in plans {
        by_dir.entry(&plan.tftpdir).or_default().push(plan);
    }
    let mut ready = Vec::new();
    for (tftpdir, plans) in by_dir {
        let tree = Tree::open(state, &share.name, tftpdir).map_err(|error| error.to_string())?;
        let mut names = write::Names::default();
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
    format!(
        "service node {}: {what} of {}\n",
        share.name,
        some(&share.nodes)
    )
}

impl Arrival {
    /// Says what went wrong, if anything did.
    pub(super) fn complain(&self) -> bool {
        let Some(error) = &self.error else {
            return false;
        };
        eprintln!(
            "Error: service node {}: {error}; it has not got the boot files of {} (run nodeset again)",
            self.service_node,
            some(&self.nodes)
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
