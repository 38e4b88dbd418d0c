//! How a running mount is doing, as data, text and Prometheus metrics.

use crate::overlay::Overlay;
use crate::overlay::layer::Layer;
use crate::overlay::metrics::CounterValues;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// State and counters of a mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Where the view appears.
    pub mountpoint: PathBuf,
    /// Process of the daemon.
    pub pid: u32,
    /// Version of the daemon.
    pub version: String,
    /// Number of the view in force, from 1.
    pub generation: u64,
    /// Rules in force.
    pub rules: usize,
    /// Whether the kernel works on backing files itself.
    pub passthrough: bool,
    /// Serving threads.
    pub threads: usize,
    /// Nodes the kernel knows.
    pub nodes: usize,
    /// Nodes the kernel has forgotten.
    pub forgotten: u64,
    /// Open files and directories.
    pub open_handles: usize,
    /// Cached directory descriptors.
    pub dir_fds: usize,
    /// Files of layers on a server kept open.
    pub kept_files: usize,
    /// Resident memory of the daemon in bytes.
    pub rss_bytes: u64,
    /// Layers and stores, in search order.
    pub layers: Vec<LayerStatus>,
    /// NFS calls per mount this process sees, from `/proc/self/mountstats`.
    pub nfs_calls: Vec<NfsCalls>,
}

/// One layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerStatus {
    /// `image`, `tree 1`, `volatile`, ...
    pub label: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it can be written.
    pub writable: bool,
    /// `live`, `published`; stores are changed by the mount alone.
    pub freshness: String,
    /// Bytes free, if it is a store.
    pub free_bytes: Option<u64>,
    /// Operations and bytes.
    pub counters: CounterValues,
}

/// Calls of one NFS mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NfsCalls {
    /// Server and directory.
    pub device: String,
    /// Calls sent, all operations together.
    pub calls: u64,
}

impl Status {
    /// The present state of `overlay`.
    pub fn of(overlay: &Overlay, mountpoint: PathBuf, passthrough: bool, threads: usize) -> Status {
        let view = overlay.view();
        let stores = view.layers.stores().map(|store| (&store.layer, true));
        let lowers = view.layers.trees.iter().chain(&view.layers.image);
        let layers = stores.chain(lowers.map(|layer| (layer, false)));
        Status {
            mountpoint,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: view.generation,
            rules: view.policy.rules().count(),
            passthrough,
            threads,
            nodes: overlay.nodes.len(),
            forgotten: overlay.nodes.forgotten(),
            open_handles: overlay.handles.len(),
            dir_fds: overlay.fds.len(),
            kept_files: overlay.kept.len(),
            rss_bytes: rss_bytes(),
            layers: layers
                .map(|(layer, writable)| layer_status(layer, writable))
                .collect(),
            nfs_calls: nfs_calls(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}: statelitefs {} (pid {}), generation {}, {} rules",
            self.mountpoint.display(),
            self.version,
            self.pid,
            self.generation,
            self.rules
        );
        let _ = writeln!(
            out,
            "  {} nodes, {} open handles, {} directory descriptors, {} kept files, {} KiB resident, {} threads, passthrough {}",
            self.nodes,
            self.open_handles,
            self.dir_fds,
            self.kept_files,
            self.rss_bytes >> 10,
            self.threads,
            if self.passthrough { "on" } else { "off" }
        );
        for layer in &self.layers {
            let c = &layer.counters;
            let _ = writeln!(
                out,
                "  {:<14} {}  [{}]  lookups {}, listings {}, opens {}, read {} B, written {} B, copy-ups {} ({} B){}",
                layer.label,
                layer.path.display(),
                if layer.writable {
                    "store"
                } else {
                    layer.freshness.as_str()
                },
                c.lookups,
                c.listings,
                c.opens,
                c.read_bytes,
                c.written_bytes,
                c.copy_ups,
                c.copied_bytes,
                layer
                    .free_bytes
                    .map_or_else(String::new, |b| format!(", {} MiB free", b >> 20)),
            );
        }
        for nfs in &self.nfs_calls {
            let _ = writeln!(out, "  NFS {}: {} calls", nfs.device, nfs.calls);
        }
        out
    }

    /// In the Prometheus text format.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        let mount = escape(&self.mountpoint.to_string_lossy());
        for (name, kind, help, value) in [
            (
                "generation",
                "gauge",
                "Number of the policy in force",
                self.generation,
            ),
            ("rules", "gauge", "Rules in force", self.rules as u64),
            (
                "nodes",
                "gauge",
                "Nodes the kernel knows",
                self.nodes as u64,
            ),
            (
                "forgotten_total",
                "counter",
                "Nodes the kernel has forgotten",
                self.forgotten,
            ),
            (
                "open_handles",
                "gauge",
                "Open files and directories",
                self.open_handles as u64,
            ),
            (
                "dir_fds",
                "gauge",
                "Cached directory descriptors",
                self.dir_fds as u64,
            ),
            (
                "kept_files",
                "gauge",
                "Files of layers on a server kept open",
                self.kept_files as u64,
            ),
            (
                "resident_bytes",
                "gauge",
                "Resident memory of the daemon",
                self.rss_bytes,
            ),
        ] {
            let _ = writeln!(
                out,
                "# HELP statelitefs_{name} {help}\n# TYPE statelitefs_{name} {kind}"
            );
            let _ = writeln!(out, "statelitefs_{name}{{mountpoint=\"{mount}\"}} {value}");
        }
        type Pick = fn(&CounterValues) -> u64;
        let counters: [(&str, &str, Pick); 7] = [
            ("lookups", "Names looked up", |c| c.lookups),
            ("listings", "Directories read", |c| c.listings),
            ("opens", "Files opened", |c| c.opens),
            ("read_bytes", "Bytes read through the daemon", |c| {
                c.read_bytes
            }),
            ("written_bytes", "Bytes written through the daemon", |c| {
                c.written_bytes
            }),
            ("copy_ups", "Files copied up or seeded", |c| c.copy_ups),
            ("copied_bytes", "Bytes copied up or seeded", |c| {
                c.copied_bytes
            }),
        ];
        for (name, help, pick) in counters {
            let name = format!("statelitefs_layer_{name}_total");
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
            for layer in &self.layers {
                let label = escape(&layer.label);
                let value = pick(&layer.counters);
                let _ = writeln!(
                    out,
                    "{name}{{mountpoint=\"{mount}\",layer=\"{label}\"}} {value}"
                );
            }
        }
        let name = "statelitefs_nfs_calls_total";
        let _ = writeln!(out, "# HELP {name} NFS calls sent\n# TYPE {name} counter");
        for nfs in &self.nfs_calls {
            let _ = writeln!(
                out,
                "{name}{{device=\"{}\"}} {}",
                escape(&nfs.device),
                nfs.calls
            );
        }
        out
    }
}

fn layer_status(layer: &Arc<Layer>, writable: bool) -> LayerStatus {
    let free = || {
        let st = rustix::fs::fstatvfs(layer.root()).ok()?;
        Some(st.f_bavail.saturating_mul(st.f_frsize))
    };
    LayerStatus {
        label: layer.label.clone(),
        path: layer.path.clone(),
        writable,
        freshness: format!("{:?}", layer.freshness).to_lowercase(),
        free_bytes: if writable { free() } else { None },
        counters: layer.counters.values(),
    }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn rss_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

fn nfs_calls() -> Vec<NfsCalls> {
    std::fs::read_to_string("/proc/self/mountstats")
        .map(|text| parse_mountstats(&text))
        .unwrap_or_default()
}

/// Sums the per-operation calls of each NFS mount in the text of `/proc/self/mountstats`.
fn parse_mountstats(text: &str) -> Vec<NfsCalls> {
    let mut all: Vec<NfsCalls> = Vec::new();
    let mut counting = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("device ") {
            counting = false;
            if let Some((device, fstype)) = rest.split_once(" mounted on ").and_then(|(d, r)| {
                Some((
                    d,
                    r.split(" with fstype ").nth(1)?.split_whitespace().next()?,
                ))
            }) && fstype.starts_with("nfs")
            {
                all.push(NfsCalls {
                    device: device.to_owned(),
                    calls: 0,
                });
            }
        } else if line.trim() == "per-op statistics" {
            counting = true;
        } else if counting
            && let Some((_, numbers)) = line.split_once(':')
            && let Some(n) = numbers
                .split_whitespace()
                .next()
                .and_then(|n| n.parse::<u64>().ok())
            && let Some(last) = all.last_mut()
        {
            last.calls += n;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountstats_are_summed_per_mount() {
        let text = "device rootfs mounted on / with fstype rootfs\n\
            device srv:/img mounted on /lower with fstype nfs4 statvers=1.1\n\
            \tper-op statistics\n\t        NULL: 1 1 0 44 24 0 0 0 0\n\t        READ: 41 41 0 0 0 0 0 0 0\n\n\
            device tmpfs mounted on /run with fstype tmpfs\n";
        let calls = parse_mountstats(text);
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0].device.as_str(), calls[0].calls), ("srv:/img", 42));
    }
}
