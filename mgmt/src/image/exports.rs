//! What servers must export so that nodes can mount: images and trees to read, persistent stores to write.
//!
//! Options are xCAT's (facts §7). Trees are read-only here, since nodes only read them; xCAT exports them writable.
//! A directory below another that is exported the same way needs no line of its own.

use crate::bootconf::address::Lookup;
use crate::bootconf::check::MASTER_WORD;
use crate::hierarchy::{boot_files, service};
use crate::resolve::{self, ResolveError};
use crate::tables::Site;
use crate::tables::schema::{LINUXIMAGE, NODERES, NODETYPE};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The root of an image.
    Image,
    /// A litetree layer.
    Tree,
    /// A persistent store.
    Persistent,
}

/// A directory of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Export {
    /// The server; `None` is the one an image's nodes boot from when the tables do not name it.
    pub server: Option<String>,
    /// The directory, without trailing slash.
    pub path: String,
    /// What is in it.
    pub content: Content,
}

/// How the lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Whom they are for, as `exports(5)` has it: `*`, a network, a host name pattern.
    pub clients: String,
    /// Whether clients may come from unprivileged ports.
    pub insecure: bool,
    /// Whether trees may be written to, as xCAT exports them.
    pub writable_trees: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            clients: "*".to_owned(),
            insecure: false,
            writable_trees: false,
        }
    }
}

impl Style {
    fn writable(&self, content: Content) -> bool {
        match content {
            Content::Image => false,
            Content::Tree => self.writable_trees,
            Content::Persistent => true,
        }
    }
}

/// What servers must export for some nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The directories, sorted by server and path.
    pub exports: Vec<Export>,
    /// The nodes whose directories are not known, and why.
    pub failed: Vec<(String, ResolveError)>,
}

/// The directories these nodes need. A node whose tables are incomplete or refused stops no other.
#[must_use]
pub fn of_nodes(site: &Site, nodes: &[String]) -> Found {
    let mut found = Found::default();
    let results = resolve::many::map(nodes, |node| of_node(site, node));
    for (node, result) in nodes.iter().zip(results) {
        match result {
            Ok(exports) => found.exports.extend(exports),
            Err(error) => found.failed.push((node.clone(), error)),
        }
    }
    found.exports.sort();
    found.exports.dedup();
    found
}

fn of_node(site: &Site, node: &str) -> Result<Vec<Export>, ResolveError> {
    let image = resolve::image_of(site, node)?;
    let path = image_root(site, node, &image);
    let servers = image_servers(site, node).into_iter();
    let mut exports: Vec<_> = servers
        .map(|server| Export {
            server,
            path: path.clone(),
            content: Content::Image,
        })
        .collect();
    let policy = resolve::policy(site, node)?;
    let layers = policy.layers.into_iter();
    let mut sources: Vec<_> = layers.map(|layer| (layer.source, Content::Tree)).collect();
    sources.extend(policy.statemnt.map(|source| (source, Content::Persistent)));
    for (source, content) in sources {
        // A directory without a server is the node's own.
        if let Some(server) = source.server {
            exports.push(Export {
                server: Some(server),
                path: trimmed(&source.path),
                content,
            });
        }
    }
    Ok(exports)
}

fn trimmed(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// Where a node's image is mounted from. With a tftpdir of their own (`site.sharedtftp=0`), service nodes name themselves
/// in boot files when the tables name nobody.
fn image_servers(site: &Site, node: &str) -> Vec<Option<String>> {
    let value = |column| site.node_value(node, &NODERES, column);
    let named = ["nfsserver", "tftpserver", "xcatmaster"].map(value);
    let mut named = named.into_iter().flatten();
    if let Some(server) = named.find(|server| server != MASTER_WORD) {
        return vec![Some(server)];
    }
    let service_nodes = match boot_files::shared(site) {
        true => Vec::new(),
        false => service::service_nodes_of(site, node),
    };
    match service_nodes.is_empty() {
        true => vec![None],
        false => service_nodes.into_iter().map(Some).collect(),
    }
}

/// The directory `rootimg` a node mounts (facts §7).
fn image_root(site: &Site, node: &str, image: &str) -> String {
    let value = |column| site.node_value(node, &NODETYPE, column).unwrap_or_default();
    let place = format!(
        "netboot/{}/{}/{}",
        value("os"),
        value("arch"),
        value("profile")
    );
    if let Some(dir) = site.node_value(node, &NODERES, "nfsdir") {
        let dir = trimmed(&dir);
        return match dir.strip_prefix("//") {
            Some(rest) => format!("/{rest}/rootimg"),
            None => format!("{dir}/{place}/rootimg"),
        };
    }
    let row = site.row(&LINUXIMAGE, &[image]);
    let own = row.and_then(|row| row.get(&LINUXIMAGE, "rootimgdir"));
    match own {
        Some(dir) => format!("{}/rootimg", trimmed(dir)),
        None => format!("{}/{place}/rootimg", super::genimage::install_dir(site)),
    }
}

/// Whether an export is one of this host, which may be named otherwise there, or by an address.
#[must_use]
pub fn is_of(export: &Export, site: &Site, host: &str, lookup: Lookup) -> bool {
    let Some(server) = export.server.as_deref() else {
        return false;
    };
    let address = |name| lookup.address(site, name);
    server == host || address(server).is_some_and(|ours| address(host) == Some(ours))
}

/// The exports of each server, with those left out that another one covers.
fn by_server<'a>(
    exports: &'a [Export],
    style: &Style,
) -> BTreeMap<Option<&'a str>, Vec<&'a Export>> {
    let mut servers: BTreeMap<Option<&str>, Vec<&Export>> = BTreeMap::new();
    for export in exports {
        servers
            .entry(export.server.as_deref())
            .or_default()
            .push(export);
    }
    for list in servers.values_mut() {
        let all = list.clone();
        list.retain(|export| {
            let writable = style.writable(export.content);
            let covers = |other: &&&Export| {
                let below = export.path.strip_prefix(other.path.trim_end_matches('/'));
                let same = style.writable(other.content) == writable;
                same && below.is_some_and(|rest| rest.starts_with('/'))
            };
            !all.iter().any(|other| covers(&other))
        });
        // The same directory for two purposes is one line, and the writable one of them.
        list.sort_by_key(|export| (&export.path, !style.writable(export.content)));
        list.dedup_by_key(|export| &export.path);
    }
    servers
}

/// Lines for `/etc/exports`; a comment line names the server they are for.
#[must_use]
pub fn lines(exports: &[Export], style: &Style) -> String {
    let mut text = String::new();
    for (server, list) in by_server(exports, style) {
        let server = server.unwrap_or("the server of the images");
        let _ = writeln!(text, "# {server}");
        for export in list {
            let access = if style.writable(export.content) {
                "rw"
            } else {
                "ro"
            };
            let insecure = if style.insecure { ",insecure" } else { "" };
            let _ = writeln!(
                text,
                "{} {}({access},no_root_squash,sync,no_subtree_check{insecure})",
                escaped(&export.path),
                style.clients
            );
        }
    }
    text
}

/// A path as `exports(5)` takes it: blanks and the like as octal escapes.
fn escaped(path: &str) -> String {
    let mut text = String::new();
    for c in path.chars() {
        match c {
            ' ' | '\t' | '\n' | '#' | '\\' | '"' => {
                let _ = write!(text, "\\{:03o}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// Blocks for NFS-Ganesha.
///
/// NFSv4.2 is left out: its answer to READ_PLUS makes Linux 6.12 read files full of zero bytes.
#[must_use]
pub fn ganesha(exports: &[Export], style: &Style) -> String {
    let mut text = "# Not 4.2: with it, a client that reads by READ_PLUS (Linux 6.12) gets files full of zero bytes.\n\
                    NFSv4 { Minor_Versions = 0,1; }\n"
        .to_owned();
    let mut id = 0;
    for (server, list) in by_server(exports, style) {
        let server = server.unwrap_or("the server of the images");
        let _ = writeln!(text, "\n# {server}");
        for export in list {
            id += 1;
            let access = if style.writable(export.content) {
                "RW"
            } else {
                "RO"
            };
            let path = export.path.replace('\\', "\\\\").replace('"', "\\\"");
            let clients = match style.clients.as_str() {
                "*" => String::new(),
                clients => format!("  CLIENT {{ Clients = {clients}; Access_Type = {access}; }}\n"),
            };
            let _ = write!(
                text,
                "EXPORT {{\n  Export_Id = {id};\n  Path = \"{path}\";\n  Pseudo = \"{path}\";\n  \
                 Access_Type = {};\n  Squash = No_Root_Squash;\n  SecType = sys;\n  Protocols = 3,4;\n  \
                 Transports = TCP;\n  PrivilegedPort = {};\n{clients}  FSAL {{ Name = VFS; }}\n}}\n",
                if clients.is_empty() { access } else { "NONE" },
                !style.insecure,
            );
        }
    }
    text
}

#[cfg(test)]
mod tests;
