//! What the numbers were measured on.

use std::fs;

use serde::{Deserialize, Serialize};

/// The machine, as far as it matters for reading the numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Kernel release.
    pub kernel: String,
    /// Hardware name, `x86_64`.
    pub arch: String,
    /// CPUs this process may use, unpinned.
    pub cpus: usize,
    /// CPU model, from `/proc/cpuinfo`.
    pub cpu: Option<String>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Distribution, from `/etc/os-release`.
    pub system: Option<String>,
    /// `/proc/loadavg` at the start: anything much above 0 says that others were working.
    pub load: Option<String>,
}

/// Looks at the machine.
pub fn describe() -> Machine {
    let name = rustix::system::uname();
    Machine {
        kernel: name.release().to_string_lossy().into_owned(),
        arch: name.machine().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        cpu: field("/proc/cpuinfo", "model name", ':'),
        memory_mib: meminfo_kib("MemTotal").map(|kib| kib / 1024),
        system: field("/etc/os-release", "PRETTY_NAME", '=')
            .map(|name| name.trim_matches('"').to_owned()),
        load: fs::read_to_string("/proc/loadavg")
            .ok()
            .map(|text| text.trim().to_owned()),
    }
}

/// One number of `/proc/meminfo`, in KiB.
pub fn meminfo_kib(name: &str) -> Option<u64> {
    field("/proc/meminfo", name, ':')?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn field(file: &str, name: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(separator)?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}
