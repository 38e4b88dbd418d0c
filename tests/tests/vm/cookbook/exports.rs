//! What `statelite exports --ganesha` prints, carried out: the directories are where the machine has them on the disk.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use statelite_tests::vm::nfs::Export;

/// The exports of the text; `place` tells where a directory of the server is.
pub fn parse(text: &str, place: impl Fn(&str) -> PathBuf) -> Result<Vec<Export>> {
    let mut exports = Vec::new();
    for block in text.split("EXPORT {").skip(1) {
        let value = |key: &str| {
            let line = block
                .lines()
                .map(str::trim)
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            let line = line.with_context(|| format!("no {key} in an export of\n{text}"))?;
            anyhow::Ok(line.trim_end_matches(';').trim_matches('"').to_owned())
        };
        let path = value("Path")?;
        ensure!(value("Squash")? == "No_Root_Squash", "{block}");
        exports.push(Export {
            path: place(&path),
            name: value("Pseudo")?,
            writable: value("Access_Type")? == "RW",
        });
    }
    ensure!(!exports.is_empty(), "no exports in\n{text}");
    Ok(exports)
}
