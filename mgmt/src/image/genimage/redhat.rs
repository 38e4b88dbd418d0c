//! Red Hat and its kin: dnf with an install root.

use super::spec::Spec;
use super::steps::Step;
use crate::image::command::CommandLine;
use crate::image::lists::{Pass, RepoKind};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// From this release on packages come in modules, and dnf must be told whose.
const MODULES_SINCE: u32 = 8;

/// A repository of the build.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    pub url: String,
    pub kind: RepoKind,
}

/// The plan.
#[must_use]
pub fn plan(spec: &Spec, fresh: bool) -> Vec<Step> {
    let (root, work) = (spec.root(fresh), spec.work());
    let mut steps = vec![Step::RemoveTree(work.clone()), Step::MakeDir(work.clone())];
    if fresh {
        steps.push(Step::RemoveTree(root.clone()));
        steps.push(Step::MakeDir(root.clone()));
    }
    let mut text = String::from("[main]\nkeepcache=0\ninstall_weak_deps=False\n");
    for source in sources(spec, &mut steps) {
        // A copied medium and a site's own packages are not signed by keys the management node knows.
        let _ = write!(
            text,
            "\n[{0}]\nname={0}\nbaseurl={1}\ngpgcheck=0\nskip_if_unavailable=False\n",
            source.name, source.url
        );
    }
    let path = work.join("dnf.conf");
    steps.push(Step::Write { path, text });
    let dnf = Dnf { spec, root: &root };
    let packages = spec.packages.passes.iter();
    for pass in packages.chain(&spec.others.passes) {
        let install: Vec<String> = pass.names().map(str::to_owned).collect();
        for (what, action, names) in [
            ("removing", "remove", &pass.remove_before),
            ("installing", "install", &install),
            ("removing", "remove", &pass.remove_after),
        ] {
            if !names.is_empty() {
                steps.push(Step::Title(format!("{what} {}", names.join(" "))));
                steps.push(dnf.step(&pass.env, action, names));
            }
        }
    }
    if !fresh && spec.update {
        steps.push(Step::Title("updates".to_owned()));
        steps.push(dnf.step(&[], "upgrade", &[]));
    }
    steps.push(dnf.step(&[], "clean", &["all".to_owned()]));
    if fresh {
        steps.push(Step::Rename {
            from: root,
            to: spec.root(false),
        });
    }
    steps.push(Step::RemoveTree(work));
    steps
}

struct Dnf<'a> {
    spec: &'a Spec,
    root: &'a Path,
}

impl Dnf<'_> {
    fn step(&self, env: &[(String, String)], action: &str, names: &[String]) -> Step {
        let work = self.spec.work();
        let mut command = CommandLine::new("dnf");
        for (name, value) in env {
            command = command.env(name, value);
        }
        if !self.spec.interactive {
            command = command.arg("-y");
        }
        command = command
            .arg("-c")
            .arg(work.join("dnf.conf"))
            .arg(format!("--installroot={}", self.root.display()))
            .arg(format!("--setopt=reposdir={}", work.join("none").display()))
            .arg("--setopt=plugins=False");
        if let Some(major) = self.spec.distro.major() {
            command = command.arg(format!("--releasever={major}"));
            if major >= MODULES_SINCE && self.spec.distro.vendor != "fedora" {
                command = command.arg(format!("--setopt=module_platform_id=platform:el{major}"));
            }
        }
        Step::Within {
            root: self.root.to_owned(),
            command: command.arg(action).args(names),
        }
    }
}

/// The repositories: the distribution's directories, the list of repositories, and the directories of other packages.
/// Of a directory without metadata, metadata is made in the work directory.
pub(super) fn sources(spec: &Spec, steps: &mut Vec<Step>) -> Vec<Source> {
    let mut sources = Vec::new();
    for dir in &spec.pkgdirs {
        let urls = match dir.contains("://") {
            true => vec![(dir.clone(), RepoKind::RpmMd)],
            false => repositories(Path::new(dir)),
        };
        for (url, kind) in urls {
            let name = format!("{}-{}-{}", spec.os, spec.arch, sources.len());
            sources.push(Source { name, url, kind });
        }
    }
    for repo in &spec.repos {
        sources.push(Source {
            name: repo.name.clone(),
            url: repo.url.clone(),
            kind: repo.kind,
        });
    }
    let mut dirs: Vec<Option<&str>> = spec.others.passes.iter().flat_map(Pass::dirs).collect();
    dirs.sort_unstable();
    dirs.dedup();
    for (index, dir) in dirs.into_iter().enumerate() {
        let from = dir.map_or_else(|| spec.otherdir.clone(), |dir| spec.otherdir.join(dir));
        if !from.is_dir() {
            continue;
        }
        let name = format!("otherpkgs{index}");
        let url = format!("file://{}", from.display());
        let kind = match from.join("repodata").is_dir() {
            true => RepoKind::RpmMd,
            false => RepoKind::PlainDir,
        };
        sources.push(Source { name, url, kind });
    }
    if spec.distro.family == crate::image::distro::Family::RedHat {
        // dnf has no plain directories.
        for source in &mut sources {
            let Some(dir) = source.url.strip_prefix("file://") else {
                continue;
            };
            if source.kind == RepoKind::PlainDir && !Path::new(dir).join("repodata").is_dir() {
                let into = spec.work().join(format!("metadata-{}", source.name));
                let command = CommandLine::new("createrepo_c").arg("--quiet");
                let command = command
                    .arg("--outputdir")
                    .arg(&into)
                    .arg("--baseurl")
                    .arg(&source.url);
                steps.push(Step::MakeDir(into.clone()));
                steps.push(Step::Run(command.arg(dir)));
                source.url = format!("file://{}", into.display());
            }
        }
    }
    sources
}

/// The repositories in a directory: itself, or those up to two levels below it, as media have them.
fn repositories(dir: &Path) -> Vec<(String, RepoKind)> {
    let url = |dir: &Path| format!("file://{}", dir.display());
    let mut found: Vec<PathBuf> = Vec::new();
    for depth in 0..=2 {
        let walk = walkdir::WalkDir::new(dir)
            .min_depth(depth)
            .max_depth(depth)
            .sort_by_file_name();
        let dirs = walk
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_dir());
        let new: Vec<PathBuf> = dirs
            .map(walkdir::DirEntry::into_path)
            .filter(|dir| dir.join("repodata").is_dir() || dir.join("suse").is_dir())
            .filter(|dir| !found.iter().any(|outer| dir.starts_with(outer)))
            .collect();
        found.extend(new);
    }
    let kind = |dir: &Path| match dir.join("repodata").is_dir() {
        true => RepoKind::RpmMd,
        false => RepoKind::Yast2,
    };
    match found.as_slice() {
        [] => vec![(url(dir), RepoKind::PlainDir)],
        found => found.iter().map(|dir| (url(dir), kind(dir))).collect(),
    }
}
