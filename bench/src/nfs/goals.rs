//! What the numbers have to be, and whether they are.

use super::result::{NfsReport, Run};

/// The baseline's name.
const BASELINE: &str = "overlayfs";
/// Link mode of today.
const LINKS: &str = "links";
/// The mode that has the goals: ours as it comes.
const OURS: &str = "statelitefs";
/// Bytes of RAM that files may take at multi-user.
const TMPFS: u64 = 5_000_000;

/// One goal over one NFS version.
#[derive(Debug, PartialEq)]
pub struct Goal {
    /// The goal and what was found.
    pub text: String,
    /// Whether it is reached.
    pub met: bool,
}

/// The goals that can be judged by these runs.
pub fn judge(report: &NfsReport) -> Vec<Goal> {
    let mut goals = Vec::new();
    for version in report.versions() {
        let find = |mode: &str| {
            let mut runs = report.runs.iter();
            runs.find(|run| run.nfs == version && run.mode == mode)
        };
        let Some(ours) = find(OURS) else { continue };
        let mut add = |text: String, met: bool| {
            goals.push(Goal {
                text: format!("NFS {version}: {text}"),
                met,
            });
        };
        let calls = |run: &Run, name: &str| run.phase(name).map(|p| p.traffic.total());
        let wall = |run: &Run| run.phase("boot").map(|phase| phase.wall);
        if let Some(run) = find(BASELINE) {
            if let (Some(a), Some(b)) = (calls(ours, "boot"), calls(run, "boot")) {
                let text = format!(
                    "from mount to multi-user no more RPCs than overlayfs: {a} against {b}"
                );
                add(text, a <= b);
            }
            if let (Some(a), Some(b)) = (wall(ours), wall(run)) {
                let ratio = a / b;
                let text = format!(
                    "boot in at most 1.25 of overlayfs's time: {a:.1} s against {b:.1} s, {ratio:.2}"
                );
                add(text, ratio <= 1.25);
            }
        }
        if let Some(run) = find(LINKS)
            && let (Some(a), Some(b)) = (calls(ours, "boot"), calls(run, "boot"))
        {
            let text = format!(
                "from mount to multi-user at most half the RPCs of link mode: {a} against {b}"
            );
            add(text, a * 2 <= b);
        }
        if let Some(a) = calls(ours, "policy paths") {
            add(
                format!("no RPC for 1,000 accesses to volatile paths: {a}"),
                a == 0,
            );
        }
        let tmpfs = ours.tmpfs_bytes;
        let text = format!(
            "at most 5 MB of tmpfs at multi-user: {:.1} MB",
            tmpfs as f64 / 1e6
        );
        add(text, tmpfs <= TMPFS);
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::sample;
    use super::*;

    #[test]
    fn goals_are_judged_by_what_is_there() {
        let goals = judge(&sample());
        let told: Vec<_> = goals.iter().map(|g| (g.text.as_str(), g.met)).collect();
        assert_eq!(
            told,
            [
                (
                    "NFS 3: from mount to multi-user no more RPCs than overlayfs: 17 against 34",
                    true
                ),
                (
                    "NFS 3: boot in at most 1.25 of overlayfs's time: 10.5 s against 10.5 s, 1.00",
                    true
                ),
                ("NFS 3: at most 5 MB of tmpfs at multi-user: 3.1 MB", true),
            ]
        );
        let mut worse = sample();
        worse.runs.swap(0, 1);
        if let [first, second] = worse.runs.as_mut_slice() {
            std::mem::swap(&mut first.mode, &mut second.mode);
        }
        assert!(!judge(&worse).iter().all(|goal| goal.met));
    }
}
