//! Firmware that modules name, from beside the modules.

use super::archive::Archive;
use super::unpack;
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the kernel looks in the initramfs.
const PLACE: &str = "lib/firmware";

/// Directories with firmware, in the order in which the kernel looks through them.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<PathBuf>);

impl Places {
    /// Those of the system whose modules are in `dir` (`lib/modules/VERSION`): `lib/firmware` there.
    pub fn of(dir: &Path) -> Places {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let (Some(version), Some(lib)) = (dir.file_name(), dir.ancestors().nth(2)) else {
            return Places::default();
        };
        let all = lib.join("firmware");
        let updates = all.join("updates");
        Places(vec![updates.join(version), updates, all.join(version), all])
    }

    /// Adds the files that `module` names and that are there. They are unpacked: not every kernel reads them
    /// compressed. A module names files of several releases, of which few are installed.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn add(&self, archive: &mut Archive, module: &[u8]) -> anyhow::Result<()> {
        for name in named(module) {
            let to = format!("{PLACE}/{name}");
            if archive.has(&to) {
                continue;
            }
            if let Some(data) = self.read(&name)? {
                archive.file(&to, 0o644, data)?;
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        for dir in &self.0 {
            for ending in ["", ".zst", ".xz"] {
                let path = dir.join(format!("{name}{ending}"));
                if !path.is_file() {
                    continue;
                }
                let file = || path.display().to_string();
                let data = std::fs::read(&path).with_context(file)?;
                // By the ending that was added: a file that is called so for itself is as the driver wants it.
                return unpack::unpack(ending, data).with_context(file).map(Some);
            }
        }
        Ok(None)
    }
}

/// Files that a module says it may want: `firmware=NAME` in its `.modinfo`, each ended by a zero.
fn named(module: &[u8]) -> BTreeSet<String> {
    module
        .split(|byte| *byte == 0)
        .filter_map(|text| text.strip_prefix(b"firmware="))
        .filter_map(|name| std::str::from_utf8(name).ok())
        // Nothing from outside the directory.
        .filter(|name| !name.is_empty() && !name.starts_with('/') && !name.contains(".."))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn what_a_module_names_and_is_there_goes_along() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("lib");
        let modules = lib.join("modules/6.12");
        std::fs::create_dir_all(&modules).unwrap();
        let write = |name: &str, data: &[u8]| {
            let file = lib.join("firmware").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, data).unwrap();
        };
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(6)).unwrap();
        xz.write_all(b"packed").unwrap();
        write("bnx2x/e2.fw.xz", &xz.finish().unwrap());
        write("bnx2x/e1.fw", b"plain");
        write("6.12/bnx2x/e1.fw", b"of this kernel");
        write("other.fw", b"not named");
        let module = b"\x7fELF\0firmware=bnx2x/e1.fw\0license=GPL\0firmware=bnx2x/e2.fw\0firmware=bnx2x/old.fw\0\
            firmware=../../etc/shadow\0";
        let mut archive = Archive::default();
        let places = Places::of(&modules);
        for _ in 0..2 {
            places.add(&mut archive, module).unwrap();
        }
        let mut written = Vec::new();
        archive.write(&mut written).unwrap();
        let text = String::from_utf8_lossy(&written);
        for there in [
            "lib/firmware/bnx2x/e1.fw",
            "of this kernel",
            "lib/firmware/bnx2x/e2.fw",
            "packed",
        ] {
            assert!(text.contains(there), "{there}");
        }
        for left_out in ["plain", "not named", "old.fw", "shadow"] {
            assert!(!text.contains(left_out), "{left_out}");
        }
    }
}
