//! Tables of a site with many nodes.

use anyhow::Result;
use statelite_mgmt::tables::schema::{
    HOSTS, LITEFILE, LITETREE, NODELIST, NODERES, NODETYPE, OSIMAGE, STATELITE,
};
use statelite_mgmt::tables::{Row, Site, Store, Table};
use std::net::Ipv4Addr;
use std::path::Path;

/// Litefile rows: as many as the cookbook's table has.
const FILES: u32 = 42;

/// The file of the tables.
pub const DB: &str = "tables.sqlite";

/// The address of a node.
pub fn address(number: u32) -> Ipv4Addr {
    // 127.1.0.0 and up: nothing else on a machine uses these.
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number)
}

/// The name of a node.
pub fn name(number: u32) -> String {
    format!("n{number:05}")
}

/// Makes the tables.
pub fn make(dir: &Path, nodes: u32) -> Result<()> {
    let mut store = Store::open(&dir.join(DB).to_string_lossy())?;
    let edit = |site: &mut Site| {
        fill(site, nodes);
        Ok(())
    };
    store.change(edit, true)?;
    Ok(())
}

/// One more row, for a change that every node hears of.
pub fn change(dir: &Path) -> Result<()> {
    let mut store = Store::open(&dir.join(DB).to_string_lossy())?;
    let edit = |site: &mut Site| {
        let path = format!("/etc/changed{}", site.rows(&LITEFILE).len());
        site.add(
            &LITEFILE,
            row(
                &LITEFILE,
                &[("image", "ALL"), ("file", &path), ("options", "tmpfs")],
            ),
        );
        Ok(())
    };
    store.change(edit, true)?;
    Ok(())
}

fn fill(site: &mut Site, nodes: u32) {
    for number in 0..nodes {
        let (node, ip) = (name(number), address(number).to_string());
        site.add(
            &NODELIST,
            row(&NODELIST, &[("node", &node), ("groups", "compute,all")]),
        );
        site.add(&HOSTS, row(&HOSTS, &[("node", &node), ("ip", &ip)]));
    }
    let kind = [
        ("node", "compute"),
        ("os", "debian12"),
        ("arch", "x86_64"),
        ("profile", "compute"),
        ("provmethod", "image"),
    ];
    site.add(&NODETYPE, row(&NODETYPE, &kind));
    site.add(
        &NODERES,
        row(&NODERES, &[("node", "compute"), ("nfsserver", "10.0.0.1")]),
    );
    site.add(
        &OSIMAGE,
        row(
            &OSIMAGE,
            &[("imagename", "image"), ("provmethod", "statelite")],
        ),
    );
    site.add(
        &STATELITE,
        row(
            &STATELITE,
            &[("node", "compute"), ("statemnt", "10.0.0.1:/state")],
        ),
    );
    for number in 0..FILES {
        let path = format!("/etc/file{number}");
        let option = if number % 3 == 0 {
            "persistent"
        } else {
            "tmpfs"
        };
        site.add(
            &LITEFILE,
            row(
                &LITEFILE,
                &[("image", "ALL"), ("file", &path), ("options", option)],
            ),
        );
    }
    for (priority, directory) in [
        ("1", "$noderes.nfsserver:/statelite/$node"),
        ("2", "10.0.0.2:/statelite/$nodetype.profile"),
    ] {
        site.add(
            &LITETREE,
            row(
                &LITETREE,
                &[
                    ("priority", priority),
                    ("image", "ALL"),
                    ("directory", directory),
                ],
            ),
        );
    }
}

fn row(table: &Table, cells: &[(&str, &str)]) -> Row {
    let row = Row::new(table);
    cells
        .iter()
        .fold(row, |row, (column, value)| row.with(table, column, value))
}
