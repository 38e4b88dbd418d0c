//! Which files of an image liteimg changes besides the litefile table, as xCAT's does: the fstab, root's password, and the files
//! of the synclists.

use super::target::Target;
use crate::image::lists::synclist::Synclist;
use crate::image::lite::edit::{Change, Content, Edit, is_hash};
use crate::tables::Site;
use crate::tables::schema::PASSWD;
use anyhow::Context as _;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The largest file of a synclist, bytes: it is kept in the journal.
const LARGEST: u64 = 16 << 20;

/// The files to change, and what an administrator should know.
///
/// # Errors
/// When a synclist, or a file it names, cannot be read.
pub(super) fn edits(site: &Site, target: &Target) -> anyhow::Result<(Vec<Edit>, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut edits = Vec::new();
    if let Some(files) = &target.synclists {
        let list = Synclist::read(files).context("osimage.synclists")?;
        for line in list.left_out {
            warnings.push(format!("synclists: not done in an image: {line}"));
        }
        for sync in list.files {
            let file = read(&sync.from).with_context(|| format!("{}", sync.from.display()))?;
            let (path, change) = (sync.to, Change::File(file));
            edits.push(Edit { path, change });
        }
    }
    let change = |edits: &mut Vec<Edit>, path: &str, change: Change| {
        // A synchronised file is as it is.
        if !edits.iter().any(|edit| edit.path == path) {
            let path = path.to_owned();
            edits.push(Edit { path, change });
        }
    };
    if let (Some(profile), Some(arch)) = (&target.profile, &target.arch) {
        let name = format!("{profile}_{arch}");
        change(&mut edits, "etc/fstab", Change::ReadOnlyRoot(name));
    }
    let row = site.row(&PASSWD, &["system", "root"]);
    if let Some(hash) = row.and_then(|row| row.get(&PASSWD, "password")) {
        match is_hash(hash) {
            Ok(()) => change(&mut edits, "etc/shadow", Change::RootHash(hash.to_owned())),
            Err(reason) => warnings.push(format!(
                "passwd: the password of root for the key system is not used: {reason}"
            )),
        }
    }
    Ok((edits, warnings))
}

/// A file of this host, with owner, mode and time; what a link leads to.
fn read(path: &Path) -> anyhow::Result<Content> {
    let file = std::fs::File::open(path)?;
    let meta = file.metadata()?;
    anyhow::ensure!(
        meta.is_file(),
        "it is no file; a synclist of an image names single files"
    );
    anyhow::ensure!(
        meta.len() <= LARGEST,
        "it is larger than 16 MiB; install it with genimage"
    );
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Content {
        bytes,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: Some((meta.mtime(), meta.mtime_nsec())),
    })
}
