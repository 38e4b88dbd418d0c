//! The lines one node is told, without its name.

use crate::resolve;
use crate::tables::Site;
use crate::tables::schema::{LITEFILE, LITETREE};
use std::collections::BTreeMap;

/// `OPTION PATH`, sorted by path, as the wire has them.
///
/// # Errors
/// Why the node has none, for people.
pub fn litefile(site: &Site, node: &str) -> Result<Vec<String>, String> {
    let identity = resolve::identity(site, node).map_err(|error| error.to_string())?;
    let mut rows = BTreeMap::new();
    for row in site.live(&LITEFILE) {
        let cell = |column| row.get(&LITEFILE, column).unwrap_or_default();
        let Some(level) = identity.level(cell("image")) else {
            continue;
        };
        let option = Some(cell("options")).filter(|text| !text.is_empty());
        let entry = (level, option.unwrap_or("tmpfs,rw"));
        let old = rows.entry(cell("file")).or_insert(entry);
        if old.0 <= entry.0 {
            *old = entry;
        }
    }
    let line = |(path, (_, option))| statelite_policy::wire::litefile_line(option, path);
    Ok(rows.into_iter().map(line).collect())
}

/// `SERVER:DIR[ :MNTOPTS]`, by priority, as the wire has them.
///
/// # Errors
/// Why the node has none, for people.
pub fn litetree(site: &Site, node: &str) -> Result<Vec<String>, String> {
    let policy = resolve::policy(site, node).map_err(|error| error.to_string())?;
    let line = |layer: &statelite_policy::TreeLayer| {
        let row = site.row(&LITETREE, &[&layer.priority]);
        let options = row.and_then(|row| row.get(&LITETREE, "mntopts"));
        match options {
            Some(options) => format!("{} :{options}", layer.source),
            None => layer.source.to_string(),
        }
    };
    Ok(policy.layers.iter().map(line).collect())
}
