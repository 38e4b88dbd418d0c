//! The command lines that mount the targets.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Site;
use crate::tree::layout::WORK_DIR;

pub fn bare(site: &Site) -> Vec<(Command, PathBuf)> {
    vec![
        bind(&site.lower, site.mnt.clone()),
        bind(&site.upper, site.mnt.join(WORK_DIR)),
    ]
}

/// The machine's `/dev` in a mounted target: FUSE mounts show no devices, and git wants `/dev/null`.
pub fn dev(site: &Site) -> (Command, PathBuf) {
    bind(Path::new("/dev"), site.mnt.join("dev"))
}

/// Private, or what is mounted in the copy would show in the original as well.
fn bind(from: &Path, to: PathBuf) -> (Command, PathBuf) {
    (
        command(
            "mount",
            [
                "--bind".into(),
                "--make-private".into(),
                from.into(),
                to.clone().into(),
            ],
        ),
        to,
    )
}

pub fn overlay(site: &Site) -> Vec<(Command, PathBuf)> {
    one(
        site,
        "mount",
        [
            "-t".into(),
            "overlay".into(),
            "overlay".into(),
            "-o".into(),
            layers(site),
            mnt(site),
        ],
    )
}

pub fn fuse_overlayfs(site: &Site) -> Vec<(Command, PathBuf)> {
    one(site, &site.program, ["-o".into(), layers(site), mnt(site)])
}

pub fn unionfs_fuse(site: &Site) -> Vec<(Command, PathBuf)> {
    one(
        site,
        &site.program,
        [
            "-o".into(),
            "cow,allow_other,use_ino".into(),
            branches(site),
            mnt(site),
        ],
    )
}

pub fn mergerfs(site: &Site) -> Vec<(Command, PathBuf)> {
    one(
        site,
        &site.program,
        [
            "-o".into(),
            "allow_other,use_ino".into(),
            branches(site),
            mnt(site),
        ],
    )
}

pub fn ours(site: &Site, rule: &str, freshness: &str) -> Vec<(Command, PathBuf)> {
    let mut mount = Command::new(&site.program);
    mount
        .arg("mount")
        .arg("--image")
        .arg(&site.lower)
        .arg("--volatile")
        .arg(&site.upper);
    mount
        .args(["--rule", rule, "--freshness", freshness])
        .arg(&site.mnt);
    vec![(mount, site.mnt.clone())]
}

fn one<const N: usize>(
    site: &Site,
    program: impl AsRef<Path>,
    words: [OsString; N],
) -> Vec<(Command, PathBuf)> {
    vec![(command(program, words), site.mnt.clone())]
}

pub fn command<const N: usize>(program: impl AsRef<Path>, words: [OsString; N]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(words);
    command
}

fn mnt(site: &Site) -> OsString {
    site.mnt.clone().into_os_string()
}

/// The layers as both overlayfs take them.
fn layers(site: &Site) -> OsString {
    let (lower, upper, work) = (
        site.lower.display(),
        site.upper.display(),
        site.work.display(),
    );
    format!("lowerdir={lower},upperdir={upper},workdir={work}").into()
}

/// The layers as unionfs-fuse and mergerfs take them.
fn branches(site: &Site) -> OsString {
    format!("{}=RW:{}=RO", site.upper.display(), site.lower.display()).into()
}
