//! Calls and bytes of NFS mounts, from the text of `/proc/PID/mountstats`.

use std::collections::BTreeMap;

/// One NFS mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// `SERVER:DIR`.
    pub device: String,
    /// Calls of each operation that was used, re-transmissions not counted.
    pub calls: BTreeMap<String, u64>,
    /// Bytes of all requests.
    pub sent: u64,
    /// Bytes of all answers.
    pub received: u64,
}

impl Traffic {
    /// Calls of all operations.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// The NFS mounts of the text. What the kernel counts together is told once: the same device mounted twice, and
/// directories of one file system of a server, mounted with the same options, which show the same numbers.
#[must_use]
pub fn parse(text: &str) -> Vec<Traffic> {
    let mut mounts: Vec<Traffic> = Vec::new();
    let mut current: Option<Traffic> = None;
    let mut operations = false;
    for line in text.lines().chain(["device end"]) {
        if let Some(rest) = line.strip_prefix("device ") {
            let server = |one: &Traffic| one.device.split(':').next().map(str::to_owned);
            let known = |one: &Traffic| {
                let together = |other: &Traffic| {
                    server(other) == server(one) && other.calls.keys().eq(one.calls.keys())
                        // They go on while they are read: a call or two of many thousands.
                        && near(other.total(), one.total())
                        && near(other.sent, one.sent)
                };
                mounts
                    .iter()
                    .any(|other| other.device == one.device || together(other))
            };
            mounts.extend(current.take().filter(|one| !known(one)));
            operations = false;
            if rest.contains(" with fstype nfs") {
                let device = rest.split(' ').next().unwrap_or_default().to_owned();
                current = Some(Traffic {
                    device,
                    ..Traffic::default()
                });
            }
        } else if line.trim() == "per-op statistics" {
            operations = true;
        } else if let (true, Some(traffic)) = (operations, current.as_mut())
            && let Some((name, numbers)) = line.trim().split_once(':')
        {
            let mut numbers = numbers
                .split_whitespace()
                .map(|word| word.parse().unwrap_or(0));
            // Calls, transmissions, time-outs, bytes sent, bytes received, ...
            let calls: u64 = numbers.next().unwrap_or(0);
            traffic.sent += numbers.nth(2).unwrap_or(0);
            traffic.received += numbers.next().unwrap_or(0);
            if calls > 0 {
                traffic.calls.insert(name.to_owned(), calls);
            }
        }
    }
    mounts
}

/// Less than one in a hundred apart.
fn near(one: u64, other: u64) -> bool {
    one.abs_diff(other) * 100 <= one
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "device proc mounted on /proc with fstype proc\n\
        device 10.77.0.2:/rootimg mounted on /run/lower with fstype nfs statvers=1.1\n\
        \topts:\tro,vers=3\n\tper-op statistics\n\
        \t        NULL: 1 1 0 44 24 4 0 4 0\n\
        \t     GETATTR: 20 20 0 2480 2240 1 9 13 0\n\
        \t     SETATTR: 0 0 0 0 0 0 0 0 0\n\n\
        device 10.77.0.2:/rootimg mounted on /again with fstype nfs statvers=1.1\n\
        \tper-op statistics\n\t     GETATTR: 20 20 0 2480 2240 1 9 13 0\n\
        device 10.77.0.3:/state/n01 mounted on /p with fstype nfs4 statvers=1.1\n\
        \tper-op statistics\n\t        READ: 2 2 0 10 20 0 0 0 0\n";

    #[test]
    fn directories_of_one_file_system_count_once() {
        let mount = |device: &str, calls: u64, sent: u64| {
            format!(
                "device {device} mounted on /m with fstype nfs statvers=1.1\n\
                 \tper-op statistics\n\tGETATTR: {calls} {calls} 0 {sent} 0 0 0 0 0\n"
            )
        };
        let text = [
            mount("10.77.0.2:/rootimg", 1780, 429_448),
            mount("10.77.0.2:/trees/high/etc/motd", 1781, 429_544),
            mount("10.77.0.2:/trees/low", 5, 480),
            mount("10.77.0.2:/trees/other", 6, 576),
        ];
        let told = parse(&text.concat());
        let totals: Vec<_> = told.iter().map(Traffic::total).collect();
        assert_eq!(totals, [1780, 5, 6]);
    }

    #[test]
    fn each_device_is_counted_once() {
        let mounts = parse(TEXT);
        let told: Vec<_> = mounts
            .iter()
            .map(|one| (one.device.as_str(), one.total(), one.sent, one.received))
            .collect();
        assert_eq!(
            told,
            [
                ("10.77.0.2:/rootimg", 21, 2524, 2264),
                ("10.77.0.3:/state/n01", 2, 10, 20)
            ]
        );
        assert_eq!(mounts.first().unwrap().calls.len(), 2);
    }

    #[test]
    fn one_connection_is_counted_once() {
        let mount = |device: &str, calls: u32| {
            format!(
                "device {device} mounted on /m with fstype nfs4 statvers=1.1\n\tper-op statistics\n\
                 \tGETATTR: {calls} 1 0 100 200 0 0 0 0\n"
            )
        };
        let text = mount("s:/a", 7) + &mount("s:/b", 7) + &mount("t:/c", 7) + &mount("s:/d", 8);
        let devices: Vec<_> = parse(&text).into_iter().map(|one| one.device).collect();
        assert_eq!(devices, ["s:/a", "t:/c", "s:/d"]);
    }
}
