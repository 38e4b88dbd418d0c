//! Which machines serve a node: its image, its management (facts §7, "NFS server").
//!
//! Pure but for one thing: which of this machine's addresses a node sees is asked of a [`Facing`].

use super::{ResolveError, image_of};
use crate::tables::Site;
use crate::tables::schema::{LINUXIMAGE, NODERES, NODETYPE, OSIMAGE};

/// Where images are unless `site.installdir` says otherwise.
pub const INSTALLDIR: &str = "/install";
/// In a server column this stands for the node's master, as if the column were empty.
const MASTER_WORD: &str = "<xcatmaster>";

/// Knows the address of this machine that a node sees.
pub trait Facing {
    /// The address of this machine on the network of the node; `None` when there is none.
    fn facing(&self, node: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Facing for F {
    fn facing(&self, node: &str) -> Option<String> {
        self(node)
    }
}

/// Why a server or a directory of a node is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// {node}: no address of this machine faces the node: set noderes.{column} or site.master
    #[error(
        "{node}: no address of this machine faces the node: set noderes.{column} or site.master"
    )]
    NoAddress {
        /// The node.
        node: String,
        /// The column that would say it.
        column: &'static str,
    },
    /// {0}
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

/// What `os`, `arch` and `profile` are for a node: those of its osimage, else those of nodetype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Operating system and version, for instance `rhels6.2`.
    pub os: String,
    /// Architecture, for instance `x86_64`.
    pub arch: String,
    /// Profile, for instance `compute`.
    pub profile: String,
}

impl System {
    /// `<os>/<arch>/<profile>`, the usual directory of an image below `netboot`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.os, self.arch, self.profile)
    }

    /// Whether it is a SUSE, which does some things of its own way.
    #[must_use]
    pub fn is_suse(&self) -> bool {
        self.os.starts_with("sle") || self.os.contains("suse")
    }
}

/// The system of a node.
///
/// # Errors
/// As [`image_of`].
pub fn system(site: &Site, node: &str) -> Result<System, ResolveError> {
    let image = image_of(site, node)?;
    let row = site.row(&OSIMAGE, &[&image]);
    let value = |of_image: &str, of_node: &'static str| {
        let own = row.and_then(|row| row.get(&OSIMAGE, of_image));
        let own = own.map(str::to_owned);
        own.or_else(|| site.node_value(node, &NODETYPE, of_node))
            .ok_or_else(|| ResolveError::Incomplete {
                node: node.to_owned(),
                column: of_node,
            })
    };
    Ok(System {
        os: value("osvers", "os")?,
        arch: value("osarch", "arch")?,
        profile: value("profile", "profile")?,
    })
}

/// The first of these noderes columns that names a server for the node.
fn column(site: &Site, node: &str, columns: &[&str]) -> Option<String> {
    let values = columns
        .iter()
        .filter_map(|column| site.node_value(node, &NODERES, column));
    values.into_iter().find(|value| value != MASTER_WORD)
}

fn or_facing(
    named: Option<String>,
    site: &Site,
    node: &str,
    facing: &dyn Facing,
    column: &'static str,
) -> Result<String, ServerError> {
    named
        .or_else(|| facing.facing(node))
        .or_else(|| site.setting("master").map(str::to_owned))
        .ok_or_else(|| ServerError::NoAddress {
            node: node.to_owned(),
            column,
        })
}

/// The server of a node's image: `noderes.nfsserver`, else `tftpserver`, else `xcatmaster`, else the address that faces
/// the node, else `site.master`. A name stays a name.
///
/// # Errors
/// [`ServerError::NoAddress`].
pub fn nfs_server(site: &Site, node: &str, facing: &dyn Facing) -> Result<String, ServerError> {
    let named = column(site, node, &["nfsserver", "tftpserver", "xcatmaster"]);
    or_facing(named, site, node, facing, "nfsserver")
}

/// The node's master, which answers its requests: `noderes.xcatmaster`, else the address that faces the node, else
/// `site.master`.
///
/// # Errors
/// [`ServerError::NoAddress`].
pub fn master(site: &Site, node: &str, facing: &dyn Facing) -> Result<String, ServerError> {
    let named = column(site, node, &["xcatmaster"]);
    or_facing(named, site, node, facing, "xcatmaster")
}

/// The directory of an image on the master, without `/rootimg`: `linuximage.rootimgdir`, else
/// `<installdir>/netboot/<os>/<arch>/<profile>`.
#[must_use]
pub fn rootimgdir(site: &Site, image: &str, system: &System) -> String {
    let row = site.row(&LINUXIMAGE, &[image]);
    let set = row.and_then(|row| row.get(&LINUXIMAGE, "rootimgdir"));
    match set {
        Some(dir) if dir != "/" => dir.trim_end_matches('/').to_owned(),
        _ => {
            let install = site.setting("installdir").unwrap_or(INSTALLDIR);
            format!(
                "{}/netboot/{}",
                install.trim_end_matches('/'),
                system.path()
            )
        }
    }
}

/// The directory of a node's image as its NFS server exports it, without `/rootimg`: the image's directory when
/// `noderes.nfsdir` is not set, else `<nfsdir>/netboot/<os>/<arch>/<profile>`. An nfsdir that starts with `//` is used
/// as it is less one slash, except on SUSE.
///
/// # Errors
/// As [`image_of`].
pub fn nfs_root(site: &Site, node: &str) -> Result<String, ResolveError> {
    let system = system(site, node)?;
    let Some(dir) = site.node_value(node, &NODERES, "nfsdir") else {
        return Ok(rootimgdir(site, &image_of(site, node)?, &system));
    };
    match dir.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') && !system.is_suse() => Ok(rest.to_owned()),
        _ => {
            let dir = dir.trim_end_matches('/');
            Ok(format!("{dir}/netboot/{}", system.path()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::{NODELIST, SITE};

    fn site(noderes: &[(&str, &str)], os: &str) -> Site {
        let mut site = Site::default();
        let node = Row::new(&NODELIST).with(&NODELIST, "node", "n1");
        site.add(&NODELIST, node.with(&NODELIST, "groups", "all"));
        let kind = Row::new(&NODETYPE).with(&NODETYPE, "node", "all");
        let kind = kind.with(&NODETYPE, "os", os);
        let kind = kind.with(&NODETYPE, "arch", "x86_64");
        site.add(&NODETYPE, kind.with(&NODETYPE, "profile", "compute"));
        let mut row = Row::new(&NODERES).with(&NODERES, "node", "all");
        for (column, value) in noderes {
            row = row.with(&NODERES, column, value);
        }
        site.add(&NODERES, row);
        site
    }

    fn nobody(_: &str) -> Option<String> {
        None
    }

    fn us(_: &str) -> Option<String> {
        Some("10.0.0.1".into())
    }

    #[test]
    fn the_first_server_named_serves_the_image() {
        let all = [
            ("nfsserver", "nfs"),
            ("tftpserver", "tftp"),
            ("xcatmaster", "mn"),
        ];
        for (skip, wanted) in [(0, "nfs"), (1, "tftp"), (2, "mn"), (3, "10.0.0.1")] {
            let site = site(all.get(skip..).unwrap(), "rhels6.2");
            assert_eq!(nfs_server(&site, "n1", &us).unwrap(), wanted);
            let master_of = if skip < 3 { "mn" } else { "10.0.0.1" };
            assert_eq!(master(&site, "n1", &us).unwrap(), master_of);
        }
        let site = site(&[("nfsserver", "<xcatmaster>"), ("xcatmaster", "mn")], "x");
        assert_eq!(nfs_server(&site, "n1", &us).unwrap(), "mn");
    }

    #[test]
    fn without_any_address_the_message_names_the_column() {
        let mut site = site(&[], "rhels6.2");
        assert_eq!(
            nfs_server(&site, "n1", &nobody).unwrap_err().to_string(),
            "n1: no address of this machine faces the node: set noderes.nfsserver or site.master"
        );
        let row = Row::new(&SITE).with(&SITE, "key", "master");
        site.add(&SITE, row.with(&SITE, "value", "10.9.9.9"));
        assert_eq!(master(&site, "n1", &nobody).unwrap(), "10.9.9.9");
    }

    #[test]
    fn directories_of_images() {
        let usual = "netboot/rhels6.2/x86_64/compute";
        for (nfsdir, os, wanted) in [
            (None, "rhels6.2", format!("/install/{usual}")),
            (Some("/vol1"), "rhels6.2", format!("/vol1/{usual}")),
            (Some("/vol1/"), "rhels6.2", format!("/vol1/{usual}")),
            (
                Some("/vol1/xcat/"),
                "rhels6.2",
                format!("/vol1/xcat/{usual}"),
            ),
            (Some("//images/one"), "rhels6.2", "/images/one".to_owned()),
            (
                Some("//images/one"),
                "sles11.1",
                "//images/one/netboot/sles11.1/x86_64/compute".to_owned(),
            ),
        ] {
            let cells: Vec<_> = nfsdir.iter().map(|dir| ("nfsdir", *dir)).collect();
            assert_eq!(nfs_root(&site(&cells, os), "n1").unwrap(), wanted);
        }
    }

    #[test]
    fn the_osimage_knows_its_system_and_directory() {
        let mut site = site(&[], "rhels6.2");
        let name = "rhels6.2-x86_64-statelite-compute";
        let row = Row::new(&OSIMAGE).with(&OSIMAGE, "imagename", name);
        site.add(&OSIMAGE, row.with(&OSIMAGE, "osvers", "rhels6.3"));
        assert_eq!(
            system(&site, "n1").unwrap().path(),
            "rhels6.3/x86_64/compute"
        );
        let row = Row::new(&LINUXIMAGE).with(&LINUXIMAGE, "imagename", name);
        site.add(
            &LINUXIMAGE,
            row.with(&LINUXIMAGE, "rootimgdir", "/images/c/"),
        );
        assert_eq!(nfs_root(&site, "n1").unwrap(), "/images/c");
    }
}
