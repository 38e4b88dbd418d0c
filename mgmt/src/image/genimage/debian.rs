//! Debian and Ubuntu: mmdebstrap makes the root, apt on the management node does the rest in it.

use super::sources;
use super::spec::Spec;
use super::steps::Step;
use crate::image::command::CommandLine;
use crate::image::distro::debian_arch;
use crate::image::lists::{Pass, RepoKind};
use anyhow::Context as _;
use std::path::Path;

/// Variables for every command: packages ask nothing, and make no initrd of their own (genimage makes the one that
/// counts).
const ENV: &[(&str, &str)] = &[("DEBIAN_FRONTEND", "noninteractive"), ("INITRD", "No")];

/// What is in the path of an index made for the repository list, and in no other.
const INDEX_OF_REPO: &str = "/.genimage/repo-";

/// The plan.
///
/// # Errors
/// When the release or its sources cannot be told.
pub fn plan(spec: &Spec, fresh: bool) -> anyhow::Result<Vec<Step>> {
    let suite = suite(spec)?;
    let ubuntu = spec.distro.vendor == "ubuntu";
    let mut lines = match spec.pkgdirs.as_slice() {
        [] => sources::of_this_machine(&suite)?,
        dirs => sources::of_dirs(dirs, &suite, ubuntu)?,
    };
    let (root, work) = (spec.root(fresh), spec.work());
    let mut steps = vec![Step::RemoveTree(work.clone()), Step::MakeDir(work.clone())];
    for (index, repo) in spec.repos.iter().enumerate() {
        let name = format!("repo-{index}");
        lines.push(match (repo.kind, repo.url.strip_prefix("file://")) {
            (RepoKind::PlainDir, Some(dir)) => {
                let line = plain(spec, Path::new(dir), &name, &mut steps);
                line.with_context(|| {
                    format!("repository \"{}\": {dir} is no directory", repo.name)
                })?
            }
            // Where apt cannot look, the directory must have its index.
            (RepoKind::PlainDir, None) => format!("deb [trusted=yes] {} ./", repo.url),
            _ => format!("deb {}", repo.url),
        });
    }
    let mut passes = spec.packages.passes.iter();
    if fresh {
        let first = passes.next().cloned().unwrap_or_default();
        steps.push(Step::Title(format!(
            "the base of {suite} into {}",
            root.display()
        )));
        steps.push(Step::RemoveTree(root.clone()));
        steps.push(Step::Run(bootstrap(spec, &suite, &first, &lines, &root)));
        // The management node's name, which mmdebstrap brought along, is no node's.
        steps.push(Step::RemoveIn {
            root: root.clone(),
            path: "/etc/hostname",
        });
    }
    let mut all = lines;
    other_sources(spec, &mut all, &mut steps);
    let rest: Vec<&Pass> = passes.chain(&spec.others.passes).collect();
    if rest.is_empty() && (fresh || !spec.update) {
        finish(spec, fresh, &mut steps);
        return Ok(steps);
    }
    steps.push(Step::Write {
        path: work.join("sources.list"),
        text: all.join("\n") + "\n",
    });
    steps.push(Step::Write {
        path: work.join("apt.conf"),
        text: config(spec, &root, &work),
    });
    steps.push(Step::MakeDir(work.join("lists/partial")));
    let apt = Apt { spec, root: &root };
    steps.push(Step::Title("the package lists".to_owned()));
    steps.push(apt.step(&[], "update", &[]));
    if !fresh && spec.update {
        steps.push(Step::Title("updates".to_owned()));
        steps.push(apt.step(&[], "dist-upgrade", &[]));
    }
    for pass in rest {
        let env = pass.env.as_slice();
        let (before, after) = (owned(&pass.remove_before), owned(&pass.remove_after));
        let install: Vec<String> = pass.names().map(task).collect();
        for (what, action, names) in [
            ("removing", "purge", before),
            ("installing", "install", install),
            ("removing", "purge", after),
        ] {
            if !names.is_empty() {
                steps.push(Step::Title(format!("{what} {}", names.join(" "))));
                steps.push(apt.step(env, action, &names));
            }
        }
    }
    steps.push(apt.step(&[], "clean", &[]));
    finish(spec, fresh, &mut steps);
    Ok(steps)
}

fn finish(spec: &Spec, fresh: bool, steps: &mut Vec<Step>) {
    if fresh {
        steps.push(Step::Rename {
            from: spec.root(true),
            to: spec.root(false),
        });
    }
    steps.push(Step::RemoveTree(spec.work()));
}

fn owned(names: &[String]) -> Vec<String> {
    names.to_vec()
}

/// apt's word for a package, or for a group, which Debian calls a task.
fn task(name: &str) -> String {
    match name.strip_prefix('@') {
        Some(group) => format!("{group}^"),
        None => name.to_owned(),
    }
}

fn suite(spec: &Spec) -> anyhow::Result<String> {
    let known = spec
        .suite
        .clone()
        .or_else(|| spec.distro.suite().map(str::to_owned));
    let found = known.or_else(|| {
        spec.pkgdirs
            .iter()
            .find_map(|dir| sources::only_suite(Path::new(dir)))
    });
    found.with_context(|| {
        format!(
            "the release name of {} is not known: say it with --suite",
            spec.os
        )
    })
}

fn bootstrap(spec: &Spec, suite: &str, first: &Pass, lines: &[String], root: &Path) -> CommandLine {
    let mut command = CommandLine::new("mmdebstrap")
        .arg("--mode=root")
        .arg("--variant=minbase")
        .arg("--format=directory")
        .arg(format!("--architectures={}", debian_arch(&spec.arch)));
    let names: Vec<String> = first.names().map(task).collect();
    if !names.is_empty() {
        command = command.arg(format!("--include={}", names.join(",")));
    }
    // An index in the work directory is gone when the image is done.
    if lines.iter().any(|line| line.contains(INDEX_OF_REPO)) {
        command = command.arg(format!(
            "--customize-hook=sed -i '\\|{INDEX_OF_REPO}|d' \"$1/etc/apt/sources.list\""
        ));
    }
    // What the archive's index needs on the management node is not for the nodes.
    command = command.arg(suite).arg(root).args(lines);
    let env = ENV
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    env.chain(first.env.iter().cloned())
        .fold(command, |command, (name, value)| command.env(&name, value))
}

struct Apt<'a> {
    spec: &'a Spec,
    root: &'a Path,
}

impl Apt<'_> {
    fn step(&self, env: &[(String, String)], action: &str, names: &[String]) -> Step {
        let mut command =
            CommandLine::new("apt-get").env("APT_CONFIG", self.spec.work().join("apt.conf"));
        for (name, value) in ENV {
            command = command.env(name, value);
        }
        for (name, value) in env {
            command = command.env(name, value);
        }
        if !self.spec.interactive {
            command = command.arg("-y");
        }
        Step::Within {
            root: self.root.to_owned(),
            command: command.arg(action).args(names),
        }
    }
}

/// apt's settings: the root's packages and states, our sources, dpkg run inside the root.
fn config(spec: &Spec, root: &Path, work: &Path) -> String {
    let (root, work) = (root.display(), work.display());
    let arch = debian_arch(&spec.arch);
    format!(
        "Dir \"{root}/\";\n\
         Dir::State::status \"{root}/var/lib/dpkg/status\";\n\
         Dir::State::lists \"{work}/lists/\";\n\
         Dir::Cache::pkgcache \"\";\n\
         Dir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::sourcelist \"{work}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::trusted \"/etc/apt/trusted.gpg\";\n\
         Dir::Etc::trustedparts \"/etc/apt/trusted.gpg.d/\";\n\
         APT::Architecture \"{arch}\";\n\
         APT::Architectures {{ \"{arch}\"; }};\n\
         APT::Install-Recommends \"false\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         DPkg::Chroot-Directory \"{root}\";\n\
         DPkg::Options {{ \"--force-confdef\"; \"--force-confold\"; }};\n"
    )
}

/// The line for a plain directory of packages: one with an index is a source, of another an index is made. None if it is not
/// there.
fn plain(spec: &Spec, dir: &Path, name: &str, steps: &mut Vec<Step>) -> Option<String> {
    let from = dir.to_owned();
    let place = if sources::indexed(dir) {
        from
    } else if dir.is_dir() {
        let into = spec.work().join(name);
        steps.push(Step::IndexDebs {
            from,
            into: into.clone(),
        });
        into
    } else {
        return None;
    };
    Some(format!("deb [trusted=yes] copy:{} ./", place.display()))
}

/// The directories of other packages.
fn other_sources(spec: &Spec, lines: &mut Vec<String>, steps: &mut Vec<Step>) {
    let mut dirs: Vec<Option<&str>> = spec.others.passes.iter().flat_map(Pass::dirs).collect();
    dirs.sort_unstable();
    dirs.dedup();
    for (index, dir) in dirs.into_iter().enumerate() {
        let from = dir.map_or_else(|| spec.otherdir.clone(), |dir| spec.otherdir.join(dir));
        lines.extend(plain(spec, &from, &format!("other-{index}"), steps));
    }
}
