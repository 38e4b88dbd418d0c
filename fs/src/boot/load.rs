//! Loading kernel modules in a bare initramfs, as [`crate::initramfs`] has listed them.

use crate::initramfs::{DRIVERS, LOAD, modules};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// Loads what every node needs, then the drivers of the devices that are there.
pub fn all() {
    let mut loaded = BTreeSet::new();
    let list = std::fs::read_to_string(Path::new("/").join(LOAD)).unwrap_or_default();
    for file in list.lines() {
        load(file, &mut loaded);
    }
    let drivers = std::fs::read_to_string(Path::new("/").join(DRIVERS)).unwrap_or_default();
    // A driver may bring further devices (a virtio bus, for instance).
    loop {
        let before = loaded.len();
        for device in devices() {
            for (pattern, files) in drivers.lines().filter_map(|line| line.split_once(' ')) {
                if modules::matches(pattern, &device) {
                    files.split(' ').for_each(|file| load(file, &mut loaded));
                }
            }
        }
        if loaded.len() == before {
            return;
        }
    }
}

fn load(file: &str, loaded: &mut BTreeSet<String>) {
    if !loaded.insert(file.to_owned()) {
        return;
    }
    let result = File::open(Path::new("/").join(file))
        .map_err(|e| e.to_string())
        .and_then(
            |module| match rustix::system::finit_module(&module, c"", 0) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(e) => Err(e.to_string()),
            },
        );
    match result {
        Ok(()) => tracing::debug!("loaded {file}"),
        Err(e) => tracing::warn!("module {file} cannot be loaded: {e}"),
    }
}

/// What the devices call themselves, each once.
fn devices() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for bus in entries(Path::new("/sys/bus")) {
        for device in entries(&bus.join("devices")) {
            if let Ok(alias) = std::fs::read_to_string(device.join("modalias")) {
                found.insert(alias.trim_end().to_owned());
            }
        }
    }
    found
}

fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    let read = std::fs::read_dir(dir).into_iter().flatten();
    read.filter_map(|entry| Some(entry.ok()?.path())).collect()
}
