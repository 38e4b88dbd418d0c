//! The command itself: what it prints, its exit status, and that it can be killed.

use crate::tree::{Lines, assert_same, lines, make};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const LITEFILE: &str = "#image,file,options,comments,disable\n\"ALL\",\"/etc/a\",,,\n\"img\",\"/var/\",\"tmpfs\",,\n\"ALL\",\"/tmp/\",,,\n\"other\",\"/etc/b\",,,\n";

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_statelite"));
    command.arg("liteimg");
    command.arg("--tables").arg(dir.join("tables"));
    command.arg("--rootimg").arg(dir.join("rootimg"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("tables")).unwrap();
    fs::write(dir.path().join("tables/litefile.csv"), LITEFILE).unwrap();
    make(
        &dir.path().join("rootimg"),
        &[
            "etc/a=1",
            "etc/b=2",
            "var/log/x=3",
            "var/log/y&var/log/x",
            "tmp/:1777",
        ],
    );
    dir
}

#[test]
fn it_prints_what_xcat_prints() {
    let dir = place();
    let root = dir.path().join("rootimg");
    let before = lines(&root);
    let check = run(dir.path(), &["img", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(
        out(&check).contains("not as the tables say"),
        "{}",
        out(&check)
    );
    let dry = run(dir.path(), &["img", "--tracker", "--dry-run"]);
    assert!(
        out(&dry).contains("mv etc/a .default/etc/a\nln -s ../.statelite/tmpfs/etc/a etc/a\n"),
        "{}",
        out(&dry)
    );
    assert_same(&lines(&root), &before, "only asked");
    let done = run(dir.path(), &["img"]);
    let shown = root.display();
    assert_eq!(
        out(&done),
        format!("Modifying {shown} ...\ncreating {shown}/.statelite\nModifying {shown} done.\n"),
        "{}",
        err(&done)
    );
    assert!(err(&done).contains("FUSE mode run from the image as it is"));
    assert_eq!(run(dir.path(), &["img", "--check"]).status.code(), Some(0));
    let save = fs::read_to_string(root.join(".statelite/litefile.save")).unwrap();
    assert_eq!(
        save,
        "img: link          /etc/a\nimg: link          /etc/mtab\nimg: link          /tmp/\nimg: tmpfs         /var/\n"
    );
    let json = run(dir.path(), &["img", "--check", "--json"]);
    assert!(out(&json).contains("\"matches\": true"), "{}", out(&json));
    assert_eq!(run(dir.path(), &["img", "--undo"]).status.code(), Some(0));
    assert_same(&lines(&root), &before, "undone");
}

#[test]
fn the_password_of_root_and_synchronised_files_get_in() {
    let dir = place();
    let root = dir.path().join("rootimg");
    make(
        &root,
        &[
            "etc/shadow=root:*:1:0:9:7:::\n:600",
            "etc/fstab=compute_x86_64 / tmpfs rw 0 1\n",
        ],
    );
    let before = lines(&root);
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("banner", "hello\n");
    write(
        "list",
        &format!("{}/banner -> /etc/a\nEXECUTE:\n/x\n", dir.path().display()),
    );
    write(
        "tables/osimage.csv",
        &format!(
            "#imagename,provmethod,osvers,osarch,profile,synclists\nimg,statelite,rhels5.3,x86_64,compute,{}/list\n",
            dir.path().display()
        ),
    );
    write(
        "tables/passwd.csv",
        "#key,username,password\nsystem,root,cluster\n",
    );
    let done = run(dir.path(), &["img"]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert!(
        err(&done)
            .contains("passwd: the password of root for the key system is not used: it is no hash"),
        "{}",
        err(&done)
    );
    assert!(
        err(&done).contains("list: line 3: EXECUTE: /x"),
        "{}",
        err(&done)
    );
    let text = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(text("etc/fstab"), "compute_x86_64 / tmpfs ro 0 1\n");
    assert_eq!(
        text(".default/etc/a"),
        "hello\n",
        "below the link of the litefile row"
    );
    assert!(text("etc/shadow").starts_with("root:*:"));
    write(
        "tables/passwd.csv",
        "#key,username,password\nsystem,root,$6$salt$hash\n",
    );
    let check = run(dir.path(), &["img", "--check"]);
    assert_eq!(check.status.code(), Some(1), "the password has changed");
    let dry = out(&run(dir.path(), &["img", "--dry-run", "--json"]));
    assert!(dry.contains("\"do\": \"content\""), "{dry}");
    // Neither as it is nor in hexadecimal digits.
    assert!(!dry.contains("hash") && !dry.contains("68617368"), "{dry}");
    assert_eq!(run(dir.path(), &["img"]).status.code(), Some(0));
    assert_eq!(text("etc/shadow"), "root:$6$salt$hash:1:0:9:7:::\n");
    assert_eq!(run(dir.path(), &["img", "--check"]).status.code(), Some(0));
    assert_eq!(
        run(dir.path(), &["img", "--links-only"]).status.code(),
        Some(0)
    );
    assert!(text("etc/shadow").starts_with("root:*:") && text("etc/fstab").contains("rw"));
    run(dir.path(), &["img"]);
    assert_eq!(run(dir.path(), &["img", "--undo"]).status.code(), Some(0));
    assert_same(&lines(&root), &before, "undone");
    fs::remove_file(dir.path().join("banner")).unwrap();
    let done = run(dir.path(), &["img"]);
    assert!(
        err(&done).contains("banner: No such file"),
        "{}",
        err(&done)
    );
    assert_same(&lines(&root), &before, "refused before anything is touched");
}

#[test]
fn a_refused_table_touches_nothing_and_says_why() {
    let dir = place();
    let root = dir.path().join("rootimg");
    let before = lines(&root);
    let rows = format!("{LITEFILE}\"ALL\",\"/var/x\",\"link\",,\n\"ALL\",\"/tmp/x\",\"tmpfs\",,\n");
    fs::write(dir.path().join("tables/litefile.csv"), rows).unwrap();
    let refused = run(dir.path(), &["img"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        err(&refused),
        "Error: Based on the option of /tmp/, /tmp/x can only use \"link\"-based options\n"
    );
    assert_same(&lines(&root), &before, "refused");
}

/// Kills the program at more and more times after its start, each time in the middle of a change if it happens so,
/// and lets the next run finish it.
#[test]
fn it_can_be_killed_at_any_time() {
    let dir = place();
    let root = dir.path().join("rootimg");
    let many: Vec<String> = (0..40).map(|n| format!("var/log/{n}/f={n}")).collect();
    make(&root, &many.iter().map(String::as_str).collect::<Vec<_>>());
    let before = lines(&root);
    let other = "#image,file,options,comments,disable\n\"ALL\",\"/etc/\",,,\n\"ALL\",\"/var/log/\",,,\n\"ALL\",\"/tmp/\",\"tmpfs\",,\n\"ALL\",\"/srv/new\",,,\n";
    let mut killed = 0;
    for turn in 0..60u64 {
        let table = if turn % 2 == 0 { LITEFILE } else { other };
        fs::write(dir.path().join("tables/litefile.csv"), table).unwrap();
        let mut child = command(dir.path(), &["img"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(500 + turn * 700 % 20_000));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
        if turn % 5 == 4 {
            let undone = run(dir.path(), &["img", "--undo"]);
            assert!(undone.status.success(), "{}", err(&undone));
            assert_same(&lines(&root), &before, &format!("after turn {turn}"));
        }
    }
    assert!(killed > 0, "not one run was killed: the test shows nothing");
    let done = run(dir.path(), &["img"]);
    assert!(done.status.success(), "{}", err(&done));
    assert_eq!(run(dir.path(), &["img", "--check"]).status.code(), Some(0));
}

/// What cpio made of the archive, where it is installed; else what our own reader says.
fn unpack(dir: &Path, archive: &Path) -> Option<Lines> {
    fs::create_dir(dir).unwrap();
    let script = format!("zcat {} | cpio -idm --quiet", archive.display());
    let which = Command::new("cpio").arg("--version").output();
    if which.is_err() {
        eprintln!("SKIPPED: unpacking with cpio: it is not installed");
        return None;
    }
    let done = Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", err(&done));
    Some(lines(dir))
}

#[test]
fn the_ramdisk_form_unpacks_to_the_same_tree() {
    let dir = place();
    let root = dir.path().join("rootimg");
    let list = dir.path().join("exlist");
    make(
        &root,
        &[
            "usr/share/doc/a=1",
            "usr/share/doc/keep/b=2",
            "usr/bin/x=3:4755",
            "lib>usr/lib",
        ],
    );
    fs::write(&list, "./usr/share/doc*  # texts\n+./usr/share/doc/keep*\n").unwrap();
    let args = ["img", "-t", "ramdisk", "--exlist", list.to_str().unwrap()];
    let done = run(dir.path(), &args);
    let shown = root.display();
    assert!(out(&done).ends_with(&format!(
        "Modifying {shown} done.\nPacking contents of {shown} ...\ncompress method: gzip\nPacking contents of {shown} done.\n"
    )), "{}{}", out(&done), err(&done));
    let archive = dir.path().join("rootimg-statelite.gz");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&archive).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o644);
    assert!(
        !root.join("opt").exists(),
        "the image is not changed by packing"
    );
    let names = crate::archive::names(&archive);
    assert!(
        names.contains(&"opt/xcat/xcatinfo".to_owned()) && names.contains(&"opt/xcat".to_owned())
    );
    let Some(mut unpacked) = unpack(&dir.path().join("out"), &archive) else {
        return;
    };
    let info = unpacked.remove("opt/xcat/xcatinfo").unwrap();
    assert!(
        info.contains("IMAGENAME='img'\\nIMAGEUUID='") && info.contains("TIMESTAMP='"),
        "{info}"
    );
    for made in ["opt", "opt/xcat"] {
        unpacked.remove(made);
    }
    let mut wanted = lines(&root);
    for gone in ["usr/share/doc/a", ".statelite/liteimg.state"] {
        wanted.remove(gone);
    }
    let plain = |lines: Lines| -> Lines {
        // The archive has whole seconds, and cpio gives directories and links no time back.
        let plain = |line: String| {
            let mut words: Vec<&str> = line.split(' ').collect();
            let time = words[2].split('.').next().unwrap_or_default();
            words[2] = if words[0].starts_with('4') || words[0].starts_with("12") {
                ""
            } else {
                time
            };
            words.join(" ")
        };
        lines
            .into_iter()
            .map(|(name, line)| (name, plain(line)))
            .collect()
    };
    assert_same(&plain(unpacked), &plain(wanted), "unpacked");
}
