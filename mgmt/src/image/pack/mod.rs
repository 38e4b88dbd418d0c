//! The ramdisk form of an image: all of it in one compressed archive, `rootimg-statelite.gz` beside the image.
//!
//! The same image gives the same bytes, but for what `opt/xcat/xcatinfo` says. That file is made in the archive only;
//! the image stays as it is. What is mounted below the image is not packed. What the archive has no place for ([`lost`]) is
//! warned of.

pub mod exlist;
mod lost;
pub mod newc;

use super::lite::LiteError;
use super::lite::root::{INSIDE, Root, names};
use super::lite::tree::xattrs;
use super::lite::world::World;
use exlist::Exlist;
use flate2::{Compression, GzBuilder};
use newc::Header;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Name of the archive.
pub const NAME: &str = "rootimg-statelite.gz";
/// Where a node finds out what it runs.
const INFO: &str = "opt/xcat/xcatinfo";
/// Kept by liteimg for people, not for nodes.
const PRIVATE: [&[u8]; 3] = [
    b".statelite/replaced",
    b".statelite/originals",
    b".statelite/liteimg.state",
];

/// Why an image was not packed. The archive of the last time stays.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Something in the image, or the archive.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is too large.
    #[error(
        "/{path} in the image has {size} bytes: the archive format ends at 4 GiB - 1; leave it out with exlist, or boot over NFS"
    )]
    Large {
        /// Which.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A file changed.
    #[error(
        "/{0} in the image changed while it was packed: pack again when nobody works in the image"
    )]
    Changed(String),
    /// The image cannot be packed.
    #[error(transparent)]
    Lite(#[from] LiteError),
}

/// What `xcatinfo` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The image.
    pub name: String,
    /// A new name for every packing.
    pub uuid: String,
    /// When, as `date` writes it.
    pub timestamp: String,
}

impl Info {
    fn text(&self) -> String {
        let Self {
            name,
            uuid,
            timestamp,
        } = self;
        format!("IMAGENAME='{name}'\nIMAGEUUID='{uuid}'\nTIMESTAMP='{timestamp}'\n")
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The archive.
    pub path: PathBuf,
    /// Names in it.
    pub entries: usize,
    /// Bytes of content before compression.
    pub bytes: u64,
    /// What an administrator should know.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    stat: Stat,
    link: Vec<u8>,
    /// What the archive cannot carry of it.
    lost: Vec<lost::Kind>,
}

fn io_at(path: &[u8]) -> impl FnOnce(io::Error) -> PackError {
    let path = format!("/{} in the image", String::from_utf8_lossy(path));
    move |source| PackError::Io { path, source }
}

/// Packs the image `root` into `rootimg-statelite.gz` in the directory above it.
///
/// # Errors
/// [`PackError`].
pub fn pack(
    root: &Path,
    list: &Exlist,
    info: &Info,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Packed, PackError> {
    let open = |source| LiteError::Open {
        path: root.to_owned(),
        source,
    };
    let image = Root::open(root, true, None).map_err(open)?;
    let mut found = Found::default();
    let top = image.dir("").map_err(io_at(b""))?;
    let stat = rustix::fs::fstat(&top).map_err(|error| io_at(b"")(error.into()))?;
    found.device = stat.st_dev;
    found.entries.insert(
        Vec::new(),
        Entry {
            stat,
            link: Vec::new(),
            lost: lost_of(&top, b".").map_err(io_at(b""))?,
        },
    );
    found.walk(&top, b"").map_err(|(path, e)| io_at(&path)(e))?;
    let place = World::new(&image, BTreeSet::new()).place(INFO)?;
    let chosen = list.choose(found.entries.keys().map(Vec::as_slice));
    let packed = found.entries.iter().map(|(path, entry)| (&**path, entry));
    let packed = packed.filter(|(path, _)| chosen.contains(path));
    let lost = lost::warnings(packed.map(|(path, entry)| (path, &*entry.lost)));
    let target = root.join("..").join(NAME);
    let new = root.join("..").join(format!("{NAME}.new"));
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |source| PackError::Io { path, source }
    };
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(at(&new))?;
    let gzip = GzBuilder::new().write(io::BufWriter::new(file), Compression::default());
    let mut writer = Writer {
        image: &image,
        out: gzip,
        numbers: HashMap::new(),
        next: 1,
        done: 0,
    };
    let result = writer.all(&found.entries, &chosen, (&place, info), progress);
    let sealed = result.and_then(|()| {
        let bytes = writer.done;
        let file = writer.out.finish().and_then(|out| Ok(out.into_inner()?));
        file.and_then(|file| {
            file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
            file.sync_all()?;
            std::fs::rename(&new, &target)
        })
        .map_err(at(&target))?;
        Ok(bytes)
    });
    let bytes = sealed.inspect_err(|_| {
        // It is of no use to anybody; if it cannot be removed either, the next run writes over it.
        let _ = std::fs::remove_file(&new);
    })?;
    Ok(Packed {
        path: target,
        entries: chosen.len(),
        bytes,
        warnings: [found.warnings, lost].concat(),
    })
}

/// What is in the image.
#[derive(Debug, Default)]
struct Found {
    device: u64,
    entries: BTreeMap<Vec<u8>, Entry>,
    warnings: Vec<String>,
}

impl Found {
    fn walk(&mut self, dir: &OwnedFd, path: &[u8]) -> Result<(), (Vec<u8>, io::Error)> {
        let here = |error: io::Error| (path.to_vec(), error);
        for name in names(dir).map_err(here)? {
            let inner = match path {
                b"" => name.clone(),
                path => [path, b"/", &name].concat(),
            };
            if PRIVATE.contains(&&*inner) {
                continue;
            }
            self.entry(dir, &name, &inner)
                .map_err(|error| (inner.clone(), error))?
                .map_or(Ok(()), |below| self.walk(&below, &inner))?;
        }
        Ok(())
    }

    /// Takes in one name; if it is a directory to go on in, opens that.
    fn entry(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> io::Result<Option<OwnedFd>> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut link = Vec::new();
        if kind == FileType::Symlink {
            link = rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes();
        }
        let mut below = None;
        if stat.st_dev != self.device {
            let path = String::from_utf8_lossy(path);
            self.warnings.push(format!(
                "something is mounted at /{path} in the image: it is not packed"
            ));
        } else if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            below = Some(rustix::fs::openat(dir, name, flags, Mode::empty())?);
        }
        // What is mounted there is not packed.
        let lost = match stat.st_dev == self.device {
            true => lost_of(dir, name)?,
            false => Vec::new(),
        };
        self.entries
            .insert(path.to_vec(), Entry { stat, link, lost });
        Ok(below)
    }
}

/// What the archive cannot carry of a name.
fn lost_of(dir: &OwnedFd, name: &[u8]) -> io::Result<Vec<lost::Kind>> {
    let keys = xattrs(dir.as_fd(), name)?;
    let mut kinds: Vec<_> = keys.iter().filter_map(|(key, _)| lost::kind(key)).collect();
    kinds.sort();
    kinds.dedup();
    Ok(kinds)
}

#[derive(Debug)]
struct Writer<'r, W: Write> {
    image: &'r Root,
    out: W,
    /// The number in the archive of a file with several names, and how many of them are still to come.
    numbers: HashMap<u64, (u32, u32, u32)>,
    next: u32,
    done: u64,
}

impl<W: Write> Writer<'_, W> {
    fn all(
        &mut self,
        entries: &BTreeMap<Vec<u8>, Entry>,
        chosen: &BTreeSet<&[u8]>,
        (place, info): (&str, &Info),
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), PackError> {
        let mut total = 0;
        for (path, entry) in entries.iter().filter(|(path, _)| chosen.contains(&***path)) {
            let regular = FileType::from_raw_mode(entry.stat.st_mode) == FileType::RegularFile;
            let several = entry.stat.st_nlink > 1;
            if regular && path != place.as_bytes() {
                total += size(path, entry)?;
            }
            if regular && several {
                let next = self.next;
                let numbered = self.numbers.entry(entry.stat.st_ino);
                let number = numbered.or_insert((next, 0, 0));
                self.next += u32::from(number.0 == next);
                number.1 += 1;
                number.2 += 1;
            }
        }
        let mut told = false;
        for (path, entry) in entries.iter().filter(|(path, _)| chosen.contains(&***path)) {
            if !told && &**path > place.as_bytes() {
                told = true;
                self.info(chosen, place, info)?;
            }
            if path != place.as_bytes() {
                self.one(path, entry)?;
                progress(self.done, total);
            }
        }
        if !told {
            self.info(chosen, place, info)?;
        }
        newc::trailer(&mut self.out).map_err(io_at(b"the archive's end"))
    }

    /// `xcatinfo` and, if they are not packed, the directories above it.
    fn info(
        &mut self,
        chosen: &BTreeSet<&[u8]>,
        place: &str,
        info: &Info,
    ) -> Result<(), PackError> {
        let text = info.text();
        let mut header = Header {
            mode: 0o040_755,
            nlink: 2,
            ..Header::default()
        };
        let slashes = place.match_indices('/').map(|(index, _)| index);
        for end in slashes {
            let dir = place.get(..end).unwrap_or_default();
            if !chosen.contains(dir.as_bytes()) {
                header.ino = self.number();
                let begun = newc::begin(&mut self.out, dir.as_bytes(), &header);
                begun.map_err(io_at(dir.as_bytes()))?;
            }
        }
        header.ino = self.number();
        header.mode = 0o100_644;
        header.nlink = 1;
        header.size = u32::try_from(text.len()).unwrap_or(0);
        newc::begin(&mut self.out, place.as_bytes(), &header)
            .and_then(|()| self.out.write_all(text.as_bytes()))
            .and_then(|()| newc::end(&mut self.out, header.size))
            .map_err(io_at(place.as_bytes()))
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    fn one(&mut self, path: &[u8], entry: &Entry) -> Result<(), PackError> {
        let stat = &entry.stat;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut header = Header {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            mtime: u32::try_from(stat.st_mtime.max(0)).unwrap_or(u32::MAX),
            rdev: (
                rustix::fs::major(stat.st_rdev),
                rustix::fs::minor(stat.st_rdev),
            ),
            ..Header::default()
        };
        let mut content = kind == FileType::RegularFile;
        match self.numbers.get_mut(&stat.st_ino).filter(|_| content) {
            Some((number, count, left)) => {
                *left = left.saturating_sub(1);
                // As cpio does: the last of its names has the content.
                content = *left == 0;
                (header.ino, header.nlink) = (*number, *count);
            }
            None => header.ino = self.number(),
        }
        if kind == FileType::Symlink {
            header.size = u32::try_from(entry.link.len()).unwrap_or(0);
        } else if content {
            header.size = u32::try_from(size(path, entry)?).unwrap_or(0);
        }
        let name = if path.is_empty() { b"." } else { path };
        newc::begin(&mut self.out, name, &header).map_err(io_at(path))?;
        if kind == FileType::Symlink {
            self.out.write_all(&entry.link).map_err(io_at(path))?;
        } else if content {
            self.content(path, header.size)?;
        }
        newc::end(&mut self.out, header.size).map_err(io_at(path))
    }

    fn content(&mut self, path: &[u8], size: u32) -> Result<(), PackError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(self.image.as_fd(), path, flags, Mode::empty(), INSIDE);
        let file = File::from(file.map_err(|error| io_at(path)(error.into()))?);
        let mut part = file.take(u64::from(size));
        let copied = io::copy(&mut part, &mut self.out).map_err(io_at(path))?;
        self.done += copied;
        if copied == u64::from(size) {
            Ok(())
        } else {
            let path = String::from_utf8_lossy(path).into_owned();
            Err(PackError::Changed(path))
        }
    }
}

fn size(path: &[u8], entry: &Entry) -> Result<u64, PackError> {
    let size = u64::try_from(entry.stat.st_size).unwrap_or(0);
    match u32::try_from(size) {
        Ok(_) => Ok(size),
        Err(_) => Err(PackError::Large {
            path: String::from_utf8_lossy(path).into_owned(),
            size,
        }),
    }
}

#[cfg(test)]
mod tests;
