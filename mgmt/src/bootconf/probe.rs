//! What an image's directory holds: the only reading of files that deciding needs.

use super::image::{Family, Image, RootFs};
use super::{BootError, Era};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// Whether the kernel is told its root in dracut's form.
    pub dracut: bool,
    /// Whether the packed image has a description beside it that the initrd fetches instead.
    pub metainfo: bool,
    /// Whether the kernel can be started by UEFI itself.
    pub efistub: bool,
    /// Whether the local disk is to be partitioned.
    pub partition: bool,
    /// The initrd to copy.
    pub initrd: PathBuf,
    /// Its name below tftpdir.
    pub initrd_name: &'static str,
    /// What is odd, for the administrator.
    pub warnings: Vec<String>,
}

/// Looks at the image's directory.
///
/// # Errors
/// [`BootError::Missing`] when there is no kernel, no initrd, or, for a ramdisk root, no packed image.
pub fn probe(image: &Image, era: Era) -> Result<Probe, BootError> {
    let dir = Path::new(&image.rootimgdir);
    let kernel = dir.join("kernel");
    readable(&kernel, "run genimage before nodeset")?;
    let dracut = image.dracut_by_name() || dir.join("rootimg/etc/dracut.conf").exists();
    let name = initrd_name(image, era, dracut);
    // xCAT copies an initrd.gz of an older genimage to the current name; the other direction helps a site that boots a
    // current image in the form of 2010.
    let initrd = [name, "initrd.gz", "initrd-statelite.gz"]
        .iter()
        .take(if image.rootfs == RootFs::Ramdisk {
            2
        } else {
            3
        })
        .map(|name| dir.join(name))
        .find(|path| path.is_file());
    let Some(initrd) = initrd else {
        let path = dir.join(name);
        let hint = "run genimage before nodeset";
        return Err(BootError::Missing { path, hint });
    };
    let packed = dir.join("rootimg-statelite.gz");
    if image.rootfs == RootFs::Ramdisk {
        readable(&packed, "run liteimg to pack the image")?;
    }
    let mut warnings = Vec::new();
    Ok(Probe {
        dracut,
        metainfo: dir.join("rootimg-statelite.gz.metainfo").is_file(),
        efistub: efistub(&kernel)?,
        partition: partition(image, &mut warnings),
        initrd,
        initrd_name: name,
        warnings,
    })
}

/// The initrd's name below tftpdir.
///
/// A ramdisk root is unpacked by the stateless initrd (facts §6). xCAT copies one file and names another for dracut on
/// SLES and for Red Hat without dracut; here the file that is named is the file that is copied.
#[must_use]
pub fn initrd_name(image: &Image, era: Era, dracut: bool) -> &'static str {
    match (era, image.rootfs) {
        (Era::Seed2010, _) => "initrd.gz",
        (Era::Current, RootFs::Nfs) => "initrd-statelite.gz",
        (Era::Current, RootFs::Ramdisk) if image.family() == Family::Sles && !dracut => {
            "initrd-statelite.gz"
        }
        (Era::Current, RootFs::Ramdisk) => "initrd-stateless.gz",
    }
}

fn readable(path: &Path, hint: &'static str) -> Result<(), BootError> {
    if path.is_file() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(BootError::Missing { path, hint })
}

/// A PE header for x86-64 in the first 512 bytes of the kernel.
fn efistub(kernel: &Path) -> Result<bool, BootError> {
    let mut head = Vec::new();
    let file = std::fs::File::open(kernel).map_err(|e| BootError::io(kernel, &e))?;
    let read = file.take(512).read_to_end(&mut head);
    read.map_err(|e| BootError::io(kernel, &e))?;
    let mark = b"PE\0\0\x64\x86";
    Ok(head.windows(mark.len()).any(|window| window == mark))
}

/// A script counts when it is there, a description when it says `enable=yes`.
fn partition(image: &Image, warnings: &mut Vec<String>) -> bool {
    let Some(value) = image.partitionfile.as_deref() else {
        return false;
    };
    if let Some(script) = value.strip_prefix("s:") {
        let there = Path::new(script).is_file();
        if !there {
            warnings.push(format!(
                "linuximage.partitionfile: no script {script}; the local disk is not partitioned"
            ));
        }
        return there;
    }
    match std::fs::read_to_string(value) {
        Ok(text) => text.lines().any(|line| line.contains("enable=yes")),
        Err(error) => {
            warnings.push(format!(
                "linuximage.partitionfile: {value}: {error}; the local disk is not partitioned"
            ));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Site;

    fn image(dir: &Path, os: &str) -> Image {
        let mut image = Image::new(&Site::default(), "i", os, "x86_64", "compute").unwrap();
        image.rootimgdir = dir.display().to_string();
        image
    }

    #[test]
    fn missing_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut image = image(dir.path(), "rhels9.4");
        let error = |image: &Image| probe(image, Era::Current).unwrap_err().to_string();
        assert!(error(&image).contains("kernel is missing: run genimage"));
        std::fs::write(dir.path().join("kernel"), "k").unwrap();
        assert!(error(&image).contains("initrd-statelite.gz is missing"));
        std::fs::write(dir.path().join("initrd.gz"), "i").unwrap();
        let found = probe(&image, Era::Current).unwrap();
        assert_eq!(found.initrd, dir.path().join("initrd.gz"));
        assert_eq!(found.initrd_name, "initrd-statelite.gz");
        image.rootfs = RootFs::Ramdisk;
        assert!(error(&image).contains("rootimg-statelite.gz is missing: run liteimg"));
    }

    #[test]
    fn the_file_that_is_named_is_the_file_that_is_copied() {
        for (os, dracut, rootfs, wanted) in [
            ("rhels9.4", true, RootFs::Ramdisk, "initrd-stateless.gz"),
            ("rhel5.3", false, RootFs::Ramdisk, "initrd-stateless.gz"),
            ("sles12", true, RootFs::Ramdisk, "initrd-stateless.gz"),
            ("sles11", false, RootFs::Ramdisk, "initrd-statelite.gz"),
            ("sles11", false, RootFs::Nfs, "initrd-statelite.gz"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut image = image(dir.path(), os);
            image.rootfs = rootfs;
            for name in [
                "kernel",
                "initrd-stateless.gz",
                "initrd-statelite.gz",
                "rootimg-statelite.gz",
            ] {
                std::fs::write(dir.path().join(name), name).unwrap();
            }
            if dracut {
                std::fs::create_dir_all(dir.path().join("rootimg/etc")).unwrap();
                std::fs::write(dir.path().join("rootimg/etc/dracut.conf"), "").unwrap();
            }
            let found = probe(&image, Era::Current).unwrap();
            assert_eq!(found.dracut, dracut, "{os}");
            assert_eq!(found.initrd_name, wanted, "{os}");
            assert_eq!(
                std::fs::read_to_string(found.initrd).unwrap(),
                wanted,
                "{os}"
            );
        }
    }

    #[test]
    fn partition_files_count_when_enabled() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let on = file("on", "enable=yes\nenablepart=no\n");
        let off = file("off", "enable=no\n");
        for (value, wanted, warned) in [
            (on.clone(), true, 0),
            (off, false, 0),
            (format!("s:{on}"), true, 0),
            ("s:/nonexistent".to_owned(), false, 1),
            ("/nonexistent".to_owned(), false, 1),
        ] {
            let mut image = image(dir.path(), "rhels9.4");
            image.partitionfile = Some(value.clone());
            let mut warnings = Vec::new();
            assert_eq!(partition(&image, &mut warnings), wanted, "{value}");
            assert_eq!(warnings.len(), warned, "{value}");
        }
    }

    #[test]
    fn kernels_that_uefi_can_start() {
        let dir = tempfile::tempdir().unwrap();
        let kernel = dir.path().join("kernel");
        let mut bytes = vec![0; 600];
        std::fs::write(&kernel, &bytes).unwrap();
        assert!(!efistub(&kernel).unwrap());
        bytes[128..134].copy_from_slice(b"PE\0\0\x64\x86");
        std::fs::write(&kernel, &bytes).unwrap();
        assert!(efistub(&kernel).unwrap());
    }
}
