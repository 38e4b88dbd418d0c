//! The steps of the tour. Each does what its command line says, prints what came of it, and says
//! whether that is what the rules ask for.

use super::console::{At, Console};
use super::image::Snapshot;
use super::place::{ISSUE, Place};
use crate::cli::query::explanation_text;
use crate::control::{Answer, Request, client};
use anyhow::bail;
use rustix::io::Errno;
use std::io::{self, Write as _};

const LOG: &str = "/var/log/statelite-demo.log";
const KEPT: &str = "/var/lib/statelite-demo/boots";
const EXPLAINED: [&str; 4] = [LOG, "/etc/motd", KEPT, "/usr"];

/// Mounts, shows everything, unmounts.
///
/// # Errors
/// If mounting, unmounting or asking the daemon fails. What merely comes out wrong is counted.
pub fn run(place: &Place, console: &mut Console) -> anyhow::Result<()> {
    let before = Snapshot::take();
    let mut tour = Tour { place, console };
    tour.mount()?;
    tour.volatile();
    tour.read_only();
    tour.trees();
    tour.remount()?;
    tour.explain()?;
    place.umount()?;
    tour.console.step("Nothing of this has touched the image.");
    let changed = before.changed_in(&Snapshot::take());
    if !changed.is_empty() {
        tour.console
            .output(&format!("changed: {}", changed.join(" ")));
    }
    let what = format!(
        "{} files and directories are as before: inode, mode, owner, content, names",
        before.len()
    );
    tour.console.expect(changed.is_empty(), &what);
    tour.console
        .note("\nUnmounted and removed. `demo --shell` lets you look around yourself.");
    Ok(())
}

struct Tour<'a> {
    place: &'a Place,
    console: &'a mut Console,
}

impl Tour<'_> {
    fn mount(&mut self) -> anyhow::Result<()> {
        self.console.step("Mount.");
        self.console.command(At::Host, &self.place.mount_command());
        self.place.mount()
    }

    fn volatile(&mut self) {
        self.console
            .step("A path in the table can be changed. Changes stay in RAM.");
        let wrote = self.append("hello", LOG);
        self.console
            .expect(wrote.is_ok(), "/var/log takes the write");
        let read = self.cat(LOG);
        self.console
            .expect(read.as_deref() == Some("hello\n"), "and shows it");
        let removed = self.rm("/etc/fstab");
        let gone = self.place.on_node("/etc/fstab").symlink_metadata().is_err();
        self.console.expect(
            removed.is_ok() && gone,
            "/etc/fstab is gone here; the image keeps its own",
        );
    }

    fn read_only(&mut self) {
        self.console
            .step("Everything else is the image, read-only.");
        let wrote = self.append("x", "/usr/statelite-demo");
        self.console.expect(is_read_only(&wrote), "/usr refuses");
        let removed = self.rm("/etc/passwd");
        self.console
            .expect(is_read_only(&removed), "and so does /etc outside the rows");
    }

    fn trees(&mut self) {
        self.console
            .step("Files can come from trees on a server, and con joins those of all trees.");
        let motd = self.cat("/etc/motd").unwrap_or_default();
        let joined = ["rack 7", "site:"].map(|part| motd.find(part));
        let in_order = matches!(joined, [Some(rack), Some(site)] if rack < site);
        self.console.expect(
            in_order,
            "/etc/motd (con) is the rack's text, then the site's",
        );
        let issue = self.cat("/etc/issue");
        self.console.expect(
            issue.as_deref() == Some(ISSUE),
            "/etc/issue (ro) is the site's",
        );
        let wrote = self.append("x", "/etc/issue");
        self.console
            .expect(is_read_only(&wrote), "and cannot be changed here");
    }

    fn remount(&mut self) -> anyhow::Result<()> {
        self.console
            .step("A reboot, as far as files are concerned: unmount, and mount again.");
        let wrote = self.append("first boot", KEPT);
        self.console
            .expect(wrote.is_ok(), "a persistent path takes the write");
        self.console.command(
            At::Host,
            &format!("statelitefs umount {}", self.place.mnt().display()),
        );
        self.place.umount()?;
        self.console.command(At::Host, &self.place.mount_command());
        self.place.mount()?;
        let _ = self.append("second boot", KEPT);
        let kept = self.cat(KEPT);
        let both = kept.as_deref() == Some("first boot\nsecond boot\n");
        self.console
            .expect(both, "what is persistent is still there");
        let volatile = self.cat(LOG);
        self.console
            .expect(volatile.is_none(), "what was volatile is gone");
        Ok(())
    }

    fn explain(&mut self) -> anyhow::Result<()> {
        self.console.step("Why is a path as it is?");
        let _ = self.append("hello again", LOG);
        let mnt = self.place.mnt();
        let command = format!(
            "statelitefs explain --mount {} {}",
            mnt.display(),
            EXPLAINED.join(" ")
        );
        self.console.command(At::Host, &command);
        let paths = EXPLAINED.map(str::to_owned).to_vec();
        let Answer::Explained(all) = client::ask(&mnt, &Request::Explain(paths))? else {
            bail!("unexpected answer");
        };
        let mut placements = Vec::new();
        for explanation in &all {
            self.console.output(&explanation_text(explanation));
            placements.push(explanation.placement.as_str());
        }
        let right = placements == ["volatile", "concatenation", "persistent", "image"];
        self.console.expect(right, "four paths, four placements");
        Ok(())
    }

    /// `echo TEXT >> PATH`
    fn append(&mut self, text: &str, path: &str) -> io::Result<()> {
        self.console
            .command(At::Node, &format!("echo '{text}' >> {path}"));
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.place.on_node(path));
        let result = file.and_then(|mut file| writeln!(file, "{text}"));
        self.complain(path, &result);
        result
    }

    /// `cat PATH`
    fn cat(&mut self, path: &str) -> Option<String> {
        self.console.command(At::Node, &format!("cat {path}"));
        let result = std::fs::read_to_string(self.place.on_node(path));
        self.complain(path, &result);
        self.console.output(result.as_deref().unwrap_or_default());
        result.ok()
    }

    /// `rm PATH`
    fn rm(&mut self, path: &str) -> io::Result<()> {
        self.console.command(At::Node, &format!("rm {path}"));
        let result = std::fs::remove_file(self.place.on_node(path));
        self.complain(path, &result);
        result
    }

    fn complain<T>(&mut self, path: &str, result: &io::Result<T>) {
        if let Err(e) = result {
            self.console.output(&format!("{path}: {e}"));
        }
    }
}

fn is_read_only<T>(result: &io::Result<T>) -> bool {
    result
        .as_ref()
        .is_err_and(|e| Errno::from_io_error(e) == Some(Errno::ROFS))
}
