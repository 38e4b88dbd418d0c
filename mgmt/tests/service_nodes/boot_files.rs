use crate::sshd::{Sshd, can_run};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A site: n01 and n02 belong to sn1 (n02 with sn2 as standby), n03 to nobody.
struct Site {
    dir: tempfile::TempDir,
    sshd: Option<Sshd>,
}

const IMAGE: &str = "osimage=img";

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tftp", "theirs", "ssh", "img"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("img/kernel"), "kernel 1").unwrap();
        std::fs::write(dir.path().join("img/initrd-statelite.gz"), "initrd").unwrap();
        let site = Self { dir, sshd: None };
        for words in [
            "nodeadd n01-n03 groups=all hosts.ip=|n(\\d+)|10.0.0.($1+0)| noderes.netboot=pxe",
            "nodeadd sn1,sn2 groups=service hosts.ip=|sn(\\d)|10.0.9.$1|",
            "nodech n01-n02 noderes.servicenode=sn1",
            "nodech n02 noderes.servicenode=sn1,sn2",
            "nodech n03 noderes.xcatmaster=10.0.9.200",
            "chtab key=sharedtftp site.value=0",
            "chtab imagename=img osimage.provmethod=statelite osimage.osvers=rhels9.4 osimage.osarch=x86_64 osimage.profile=c",
        ] {
            site.good(words);
        }
        let set = |key: &str, value: String| site.good(&format!("chtab {key} {value}"));
        set(
            "imagename=img",
            format!("linuximage.rootimgdir={}", site.path("img").display()),
        );
        set(
            "key=tftpdir",
            format!("site.value={}", site.path("tftp").display()),
        );
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(mut self) -> Self {
        let (seen, theirs) = (self.path("tftp"), self.path("theirs"));
        self.sshd = Some(Sshd::start(&self.path("ssh"), "sn1", "sn2", &seen, &theirs));
        self
    }

    fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_statelite"));
        command.arg("--db").arg(self.path("tables.sqlite"));
        match &self.sshd {
            Some(sshd) => command.env("RSYNC_RSH", sshd.remote_shell()),
            None => command.env("RSYNC_RSH", "false"),
        };
        command.args(words.split(' ')).output().unwrap()
    }

    fn good(&self, words: &str) -> String {
        let done = self.run(words);
        assert!(done.status.success(), "{words}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn bad(&self, words: &str) -> String {
        let done = self.run(words);
        assert_eq!(done.status.code(), Some(1), "{words}: {done:?}");
        String::from_utf8(done.stderr).unwrap()
    }
}

/// Every file and link below a directory with its text or target.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let entries = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| !entry.file_type().is_dir());
    let text = |entry: walkdir::DirEntry| {
        let name = entry
            .path()
            .strip_prefix(dir)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = match entry.path_is_symlink() {
            true => format!("-> {}", std::fs::read_link(entry.path()).unwrap().display()),
            false => std::fs::read_to_string(entry.path()).unwrap(),
        };
        (name, text)
    };
    files.map(text).collect()
}

fn names(dir: &Path) -> Vec<String> {
    tree(dir).into_keys().collect()
}

#[test]
fn service_nodes_get_the_boot_files_of_their_nodes() {
    if !can_run() {
        return;
    }
    let site = Site::new().start();
    let (ours, theirs) = (site.path("tftp"), site.path("theirs"));
    std::fs::write(theirs.join("pxelinux.0"), "theirs").unwrap();
    site.good("nodech n02 noderes.servicenode=sn1");
    assert_eq!(
        site.good(&format!("nodeset n01-n03 {IMAGE}"))
            .lines()
            .count(),
        3
    );
    let common = [
        "xcat/osimage/img/initrd-statelite.gz",
        "xcat/osimage/img/kernel",
    ];
    let mut wanted = vec![
        "pxelinux.0",
        "pxelinux.cfg/0A000001",
        "pxelinux.cfg/0A000002",
        "pxelinux.cfg/n01",
        "pxelinux.cfg/n02",
    ];
    wanted.extend(common);
    assert_eq!(names(&theirs), wanted);
    let there = tree(&theirs);
    assert_eq!(there["pxelinux.cfg/0A000001"], "-> n01");
    assert_eq!(there["xcat/osimage/img/kernel"], "kernel 1");
    let text = &there["pxelinux.cfg/n01"];
    assert!(
        text.contains("root=nfs:10.0.9.1:") && text.contains("XCAT=10.0.9.1:3001"),
        "the service node faces its nodes: {text}"
    );
    // This host has all of them, and says the state.
    let here = tree(&ours);
    assert!(here["pxelinux.cfg/n03"].contains("XCAT=10.0.9.200:3001"));
    assert!(
        site.good("nodeset n01 stat")
            .contains("n01: statelite rhels9.4-x86_64-c")
    );

    // Nothing changed: nothing is written again.
    let before = std::fs::metadata(theirs.join("pxelinux.cfg/n01"))
        .unwrap()
        .ino();
    site.good("nodeset n02 boot");
    assert!(tree(&theirs)["pxelinux.cfg/n02"].contains("LOCALBOOT"));
    let after = std::fs::metadata(theirs.join("pxelinux.cfg/n01"))
        .unwrap()
        .ino();
    assert_eq!(before, after);

    // What is gone here goes there, also the name of an address the node had; what is the service node's own stays.
    site.good("nodech n01 hosts.ip=10.0.0.77");
    site.good(&format!("nodeset n01 {IMAGE}"));
    site.good("nodeset n02 offline");
    let mut wanted = vec!["pxelinux.0", "pxelinux.cfg/0A00004D", "pxelinux.cfg/n01"];
    wanted.extend(common);
    assert_eq!(names(&theirs), wanted);
    assert_eq!(tree(&theirs)["pxelinux.0"], "theirs");

    // A new kernel comes with the next nodeset, not with --noupdateinitrd.
    std::fs::write(site.path("img/kernel"), "kernel two").unwrap();
    site.good(&format!("nodeset n01 {IMAGE} --noupdateinitrd"));
    assert_eq!(tree(&theirs)["xcat/osimage/img/kernel"], "kernel 1");
    site.good(&format!("nodeset n01 {IMAGE}"));
    assert_eq!(tree(&theirs)["xcat/osimage/img/kernel"], "kernel two");
}

#[test]
fn a_service_node_that_does_not_answer_is_named_and_served_later() {
    if !can_run() {
        return;
    }
    let site = Site::new().start();
    let theirs = site.path("theirs");
    let error = site.bad(&format!("nodeset n01-n03 {IMAGE}"));
    assert!(
        error.contains("Error: service node sn2: rsync: exit status: ")
            && error.contains("it has not got the boot files of n02 (run nodeset again)"),
        "{error}"
    );
    assert!(error.contains("sn2: ssh: connect to host"), "{error}");
    assert!(!error.contains("service node sn1"), "{error}");
    assert!(
        theirs.join("pxelinux.cfg/n01").exists(),
        "sn1 has its files"
    );
    // The one that is away misses a removal; when it is there again it gets it.
    site.good("nodech n01 noderes.servicenode=sn1");
    site.good("nodech n02 noderes.servicenode=sn1");
    for _ in 0..2 {
        let error = site.bad(&format!("nodeset n01-n03 {IMAGE}"));
        assert!(error.contains("; it may still boot n02"), "{error}");
    }
    site.good("noderm sn2");
    site.good(&format!("nodeset n01-n03 {IMAGE}"));
    let json = site.run("nodeset n01 offline --json").stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json[1]["service_node"], "sn1");
    assert_eq!(json[1]["error"], serde_json::Value::Null);
    assert!(!theirs.join("pxelinux.cfg/n01").exists());
}

#[test]
fn a_removal_that_was_missed_is_made_up_for() {
    if !can_run() {
        return;
    }
    let mut site = Site::new().start();
    site.good("nodech n02 noderes.servicenode=sn1");
    site.good(&format!("nodeset n01-n02 {IMAGE}"));
    let theirs = site.path("theirs");
    let sshd = site.sshd.take();
    let error = site.bad("nodeset n01 offline");
    assert!(
        error.contains("Error: service node sn1: rsync: "),
        "{error}"
    );
    assert!(theirs.join("pxelinux.cfg/n01").exists());
    site.sshd = sshd;
    site.good("nodeset n02 offline");
    assert!(!theirs.join("pxelinux.cfg/n01").exists());
    assert!(!theirs.join("pxelinux.cfg/0A000001").exists());
}

#[test]
fn what_would_go_where_is_shown_and_a_host_can_be_left_to_itself() {
    let site = Site::new();
    let shown = site.good(&format!("nodeset n01-n03 {IMAGE} --dry-run"));
    for line in [
        "service node sn1: 4 boot files of n01,n02\n",
        "service node sn2: 2 boot files of n02\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!site.path("boot-files").exists());
    site.good(&format!("nodeset n01-n03 {IMAGE} --local"));
    assert!(site.path("tftp/pxelinux.cfg/n01").exists());
    assert!(!site.path("boot-files").exists());
    site.good("chtab key=sharedtftp site.value=1");
    site.good(&format!("nodeset n01-n03 {IMAGE}"));
    assert!(!site.path("boot-files").exists());
    site.good("chtab key=sharedtftp site.value=no");
    site.good("nodech sn1,sn2 hosts.ip=127.0.0.1");
    site.good(&format!("nodeset n01-n03 {IMAGE}"));
    assert!(!site.path("boot-files").exists(), "they are this host");
    site.good("noderm sn2");
    let error = site.bad(&format!("nodeset n02 {IMAGE}"));
    let wanted = "Error: service node sn2: no IPv4 address for it: set hosts.ip, or make its name resolve; it has not \
                  got the boot files of n02 (run nodeset again)";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn a_service_node_loses_the_files_of_nodes_that_it_no_longer_serves() {
    if !can_run() {
        return;
    }
    let mut site = Site::new().start();
    let theirs = site.path("theirs");
    let there = || {
        let mut names = names(&theirs);
        names.retain(|name| name.starts_with("pxelinux.cfg/"));
        names
    };
    site.good("nodech n01-n03 noderes.servicenode=sn1");
    site.good(&format!("nodeset n01-n03 {IMAGE}"));
    assert_eq!(there().len(), 6);
    // n01 belongs to this host now.
    site.good("nodech n01 noderes.servicenode=");
    let shown = site.good(&format!("nodeset n01 {IMAGE} --dry-run"));
    assert!(
        shown.ends_with("service node sn1: no more boot files of n01\n"),
        "{shown}"
    );
    assert_eq!(there().len(), 6);
    let sshd = site.sshd.take();
    let error = site.bad(&format!("nodeset n01 {IMAGE}"));
    assert!(
        error.contains("Error: service node sn1: rsync: ")
            && error
                .contains("; it may still boot n01 (remove the files there, or run nodeset again)")
            && !error.contains("has not got"),
        "{error}"
    );
    site.sshd = sshd;
    site.good(&format!("nodeset n01 {IMAGE}"));
    let others = [
        "pxelinux.cfg/0A000002",
        "pxelinux.cfg/0A000003",
        "pxelinux.cfg/n02",
        "pxelinux.cfg/n03",
    ];
    assert_eq!(there(), others);
    assert!(site.path("tftp/pxelinux.cfg/n01").exists());

    // n01 gets the address that n02 had, while nodeset was not run for n02: sn1 must not boot n01 as n02.
    site.good("nodech n02 hosts.ip=10.0.0.77");
    site.good("nodech n01 hosts.ip=10.0.0.2");
    site.good(&format!("nodeset n01 {IMAGE}"));
    assert_eq!(there(), others[1..]);
    assert_eq!(tree(&site.path("tftp"))["pxelinux.cfg/0A000002"], "-> n01");

    // Who is removed is removed there too, and a service node that is removed is forgotten.
    site.good("noderm n02");
    assert_eq!(there(), ["pxelinux.cfg/0A000003", "pxelinux.cfg/n03"]);
    assert!(!site.path("tftp/pxelinux.cfg/n02").exists());
    let done = site.run("noderm sn1");
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        said.contains("Warning: sn1 keeps the boot files that nodeset brought to it"),
        "{said}"
    );
    assert!(!site.path("boot-files/sn1").exists());
}
