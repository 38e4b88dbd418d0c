//! A site in memory with an image's directory on disk.

use statelite_mgmt::bootconf::Era;
use statelite_mgmt::bootconf::address::Lookup;
use statelite_mgmt::bootconf::plan::{NodePlan, Outcome, Request, plan};
use statelite_mgmt::bootconf::target::Target;
use statelite_mgmt::tables::schema::{self, SITE};
use statelite_mgmt::tables::{Row, Site};
use std::path::Path;
use tempfile::TempDir;

/// A site with the node `n01` in the group `all`.
pub struct World {
    pub site: Site,
    pub dir: TempDir,
}

/// No name is known, and this host faces nobody.
pub const NOBODY: Lookup = Lookup {
    name: |_| None,
    facing: |_| None,
    serving: None,
};

impl World {
    /// The site of the samples of today.
    pub fn current() -> Self {
        let mut world = Self::bare("rhels9.4", "x86_64");
        world.set(
            "osimage",
            "rhels9.4-x86_64-statelite-compute",
            &[
                ("provmethod", "statelite"),
                ("osvers", "rhels9.4"),
                ("osarch", "x86_64"),
                ("profile", "compute"),
            ],
        );
        world.console();
        world.set("statelite", "all", &[("statemnt", "cnfs:/gpfs/state")]);
        world
    }

    /// The site of the cookbook.
    pub fn seed(arch: &str) -> Self {
        let mut world = Self::bare("rhel5.3", arch);
        world.setting("statelitedialect", "2010");
        world
    }

    /// A node with an image of this system and nothing else.
    pub fn bare(os: &str, arch: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self {
            site: Site::default(),
            dir,
        };
        world.set("nodelist", "n01", &[("groups", "all")]);
        world.set("hosts", "n01", &[("ip", "172.10.1.1")]);
        world.set("mac", "n01", &[("mac", "52:54:00:AB:CD:EF")]);
        world.set(
            "nodetype",
            "all",
            &[("os", os), ("arch", arch), ("profile", "compute")],
        );
        // What nodes see is below /install; what this host has is in the test's directory.
        world.set(
            "noderes",
            "all",
            &[
                ("xcatmaster", "172.10.0.1"),
                ("nfsdir", "/install"),
                ("netboot", "pxe"),
            ],
        );
        let rootimgdir = world.image().display().to_string();
        world.set(
            "linuximage",
            &format!("{os}-{arch}-statelite-compute"),
            &[("rootimgdir", &rootimgdir)],
        );
        std::fs::create_dir_all(world.image().join("rootimg/etc")).unwrap();
        for name in [
            "kernel",
            "initrd.gz",
            "initrd-statelite.gz",
            "initrd-stateless.gz",
            "rootimg-statelite.gz",
        ] {
            std::fs::write(world.image().join(name), format!("{name} of {os}")).unwrap();
        }
        world
    }

    pub fn console(&mut self) {
        self.set(
            "nodehm",
            "all",
            &[
                ("serialport", "0"),
                ("serialspeed", "115200"),
                ("serialflow", "hard"),
            ],
        );
    }

    /// The image's directory.
    pub fn image(&self) -> std::path::PathBuf {
        self.dir.path().join("image")
    }

    /// A directory for boot files that really is there; noderes.tftpdir points to it.
    pub fn tftpdir(&mut self) -> std::path::PathBuf {
        let dir = self.dir.path().join("tftpboot");
        self.set("noderes", "all", &[("tftpdir", dir.to_str().unwrap())]);
        dir
    }

    /// Sets columns of the row with this first key.
    pub fn set(&mut self, table: &str, key: &str, values: &[(&str, &str)]) {
        let table = schema::table(table).unwrap();
        let mut rows = self.site.rows(table).to_vec();
        let place = rows
            .iter()
            .position(|row| row.key(table)[0] == key)
            .unwrap_or_else(|| {
                rows.push(Row::new(table).with(table, table.keys[0], key));
                rows.len() - 1
            });
        for (column, value) in values {
            assert!(
                rows[place].set(table, column, Some((*value).to_owned())),
                "{column}"
            );
        }
        self.site.put(table, rows);
    }

    pub fn setting(&mut self, key: &str, value: &str) {
        self.set(SITE.name, key, &[("value", value)]);
    }

    pub fn netboot(&mut self, netboot: &str) {
        self.set("noderes", "all", &[("netboot", netboot)]);
    }

    /// What nodeset would do for n01.
    pub fn outcome(&mut self, state: &str, lookup: Lookup) -> Outcome {
        let target: Target = state.parse().unwrap();
        let era = statelite_mgmt::resolve::dialect(&self.site);
        target.in_dialect(era).unwrap();
        let request = Request {
            target,
            era,
            lookup,
        };
        plan(&mut self.site, &["n01".to_owned()], &request)
            .remove(0)
            .1
    }

    pub fn plan(&mut self, state: &str) -> NodePlan {
        self.outcome(state, NOBODY).unwrap()
    }

    /// The node's usual state in the dialect of the site.
    pub fn usual(&mut self) -> NodePlan {
        let state = match statelite_mgmt::resolve::dialect(&self.site) {
            Era::Seed2010 => "statelite",
            Era::Current => "osimage=rhels9.4-x86_64-statelite-compute",
        };
        self.plan(state)
    }

    /// The text of the node's first file, with the test's directory as `DIR`.
    pub fn text(&mut self) -> String {
        let plan = self.usual();
        plan.files[0]
            .1
            .replace(self.dir.path().to_str().unwrap(), "/DIR")
    }

    /// The words after `APPEND initrd=FILE `.
    pub fn line(&mut self) -> String {
        self.netboot("pxe");
        let text = self.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(" APPEND initrd="))
            .unwrap();
        line.split_once(' ').unwrap().1.to_owned()
    }
}

/// The paths below a directory, links with their targets, in order.
pub fn listing(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            match std::fs::read_link(&path) {
                Ok(target) => found.push(format!("{name} -> {}", target.display())),
                Err(_) if path.is_dir() => open.push(path),
                Err(_) => found.push(name),
            }
        }
    }
    found.sort();
    found
}
