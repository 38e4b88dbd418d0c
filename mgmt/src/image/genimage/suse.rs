//! SUSE: zypper with a root. Its repositories are described outside the root, so that none of the build stays in it.

use super::redhat;
use super::spec::Spec;
use super::steps::Step;
use crate::image::command::CommandLine;
use std::path::Path;

/// The plan.
#[must_use]
pub fn plan(spec: &Spec, fresh: bool) -> Vec<Step> {
    let (root, work) = (spec.root(fresh), spec.work());
    let mut steps = vec![
        Step::RemoveTree(work.clone()),
        Step::MakeDir(work.join("repos")),
    ];
    if fresh {
        steps.push(Step::RemoveTree(root.clone()));
        steps.push(Step::MakeDir(root.clone()));
    }
    for source in redhat::sources(spec, &mut steps) {
        let text = format!(
            "[{0}]\nname={0}\nenabled=1\nautorefresh=1\nbaseurl={1}\ntype={2}\ngpgcheck=0\n",
            source.name, source.url, source.kind
        );
        let path = work.join("repos").join(format!("{}.repo", source.name));
        steps.push(Step::Write { path, text });
    }
    let zypper = Zypper { spec, root: &root };
    let packages = spec.packages.passes.iter();
    for pass in packages.chain(&spec.others.passes) {
        let install: Vec<String> = pass.names().map(pattern).collect();
        for (what, action, names) in [
            ("removing", REMOVE, &pass.remove_before),
            ("installing", INSTALL, &install),
            ("removing", REMOVE, &pass.remove_after),
        ] {
            if !names.is_empty() {
                steps.push(Step::Title(format!("{what} {}", names.join(" "))));
                steps.push(zypper.step(&pass.env, action, names));
            }
        }
    }
    if !fresh && spec.update {
        steps.push(Step::Title("updates".to_owned()));
        steps.push(zypper.step(&[], &["update", "--no-recommends"], &[]));
    }
    if fresh {
        steps.push(Step::Rename {
            from: root,
            to: spec.root(false),
        });
    }
    steps.push(Step::RemoveTree(work));
    steps
}

const INSTALL: &[&str] = &["install", "--auto-agree-with-licenses", "--no-recommends"];
const REMOVE: &[&str] = &["remove"];

/// zypper's word for a package, or for a group, which SUSE calls a pattern.
fn pattern(name: &str) -> String {
    match name.strip_prefix('@') {
        Some(group) => format!("pattern:{group}"),
        None => name.to_owned(),
    }
}

struct Zypper<'a> {
    spec: &'a Spec,
    root: &'a Path,
}

impl Zypper<'_> {
    fn step(&self, env: &[(String, String)], action: &[&str], names: &[String]) -> Step {
        let work = self.spec.work();
        let mut command = CommandLine::new("zypper");
        for (name, value) in env {
            command = command.env(name, value);
        }
        if !self.spec.interactive {
            command = command.arg("--non-interactive");
        }
        command = command
            .arg("--no-gpg-checks")
            .arg("--root")
            .arg(self.root)
            .arg("--reposd-dir")
            .arg(work.join("repos"))
            .arg("--cache-dir")
            .arg(work.join("cache"));
        Step::Within {
            root: self.root.to_owned(),
            command: command.args(action).args(names),
        }
    }
}
