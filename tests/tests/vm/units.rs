//! The systemd units that are given away, on a node whose systemd runs them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use statelite_tests::paths;
use statelite_tests::vm::initramfs;
use statelite_tests::vm::node::Node;
use statelite_tests::vm::site::Site;

/// What the units need in the table.
pub const ROWS: &str = "\"ALL\",\"/etc/statelite/\",,,\n\"ALL\",\"/var/lib/statelite/\",,,\n";

/// Installs programs and units in the image, and enables what nodes have: the socket of the metrics.
pub fn install(site: &Site) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let units = site.image().join("etc/systemd/system");
    for unit in [
        "fs/systemd/statelitefs-metrics.socket",
        "fs/systemd/statelitefs-metrics@.service",
        "mgmt/systemd/statelite.service",
    ] {
        let from = source.join(unit);
        fs::copy(&from, units.join(from.file_name().unwrap_or_default()))?;
    }
    fs::create_dir_all(units.join("sockets.target.wants"))?;
    symlink(
        "/etc/systemd/system/statelitefs-metrics.socket",
        units.join("sockets.target.wants/statelitefs-metrics.socket"),
    )?;
    let programs = site.image().join("usr/bin");
    fs::copy(initramfs::static_binary()?, programs.join("statelitefs"))?;
    fs::copy(paths::statelite()?, programs.join("statelite"))?;
    Ok(())
}

/// The metrics of the node's root are given out; a management server starts, answers and stops, under its unit's rules.
pub fn work(node: &mut Node) -> Result<()> {
    let metrics = "python3 -c \"import urllib.request as u
print(u.urlopen('http://127.0.0.1:9323/metrics').read().decode())\" | grep '^statelitefs_generation{'";
    let health = "python3 -c \"import ssl, urllib.request as u
c = ssl.create_default_context(cafile='/etc/statelite/ca/ca.pem')
print(u.urlopen('https://127.0.0.1:3443/v1/health', context=c).read().decode())\" 2>&1";
    let stopped = "systemctl stop statelite; systemctl show -P Result statelite";
    crate::health::checks(
        node,
        &[
            (metrics, "statelitefs_generation{mountpoint=\"/\"} 1"),
            // It serves what is there, and makes no tables of its own.
            (
                "statelite chtab key=master site.value=10.77.1.1 2>&1",
                "~new tables are made",
            ),
            (
                "systemctl start statelite && systemctl is-active statelite || journalctl -b --no-pager -u statelite",
                "active",
            ),
            (health, "~ok"),
            (stopped, "success"),
            ("systemctl --failed --no-legend --plain", ""),
        ],
    )
}
