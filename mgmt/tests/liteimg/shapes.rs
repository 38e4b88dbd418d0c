//! Single situations, each with what must come of it.

use crate::tree::{assert_same, lines, make};
use crate::{QUICK, apply, rule, rules};
use statelite_mgmt::image::lite::{self, LiteError, Options};
use statelite_policy::Dialect;
use std::fs;
use std::path::Path;

fn link(root: &Path, path: &str) -> String {
    let text = fs::read_link(root.join(path)).unwrap();
    text.into_os_string().into_string().unwrap()
}

fn text(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn two_links_with_exact_texts_and_undo_gives_the_tree_back() {
    let dir = temp();
    let root = dir.path();
    make(
        root,
        &[
            "etc/ntp.conf=server x:640",
            "tmp/:1777",
            "root/.ssh/id=key:600",
            "root/:700",
        ],
    );
    let before = lines(root);
    let all = rules(&[
        "/etc/ntp.conf",
        "/tmp/",
        "/root/.ssh/",
        "/etc/absent",
        "/var/lib/none/",
    ]);
    apply(root, &all).unwrap();
    for (path, wanted) in [
        ("etc/ntp.conf", "../.statelite/tmpfs/etc/ntp.conf"),
        (
            ".statelite/tmpfs/etc/ntp.conf",
            "../../../.default/etc/ntp.conf",
        ),
        ("tmp", "./.statelite/tmpfs/tmp"),
        (".statelite/tmpfs/tmp", "../.././.default/tmp"),
        ("var/lib/none", "../../.statelite/tmpfs/var/lib/none"),
        (
            ".statelite/tmpfs/var/lib/none",
            "../../../../.default/var/lib/none",
        ),
    ] {
        assert_eq!(link(root, path), wanted, "{path}");
    }
    assert_eq!(
        text(root, "etc/ntp.conf"),
        "server x",
        "reached through both links"
    );
    assert!(root.join(".default/var/lib/none").is_dir());
    assert_eq!(text(root, ".default/etc/absent"), "");
    let mode = |path: &str| lines(root)[path].split(' ').next().unwrap().to_owned();
    assert_eq!(
        mode(".default/root"),
        "40700",
        "no way to the secrets that was not there"
    );
    assert_eq!(mode(".default/tmp"), "41777");
    assert_eq!(
        apply(root, &all).unwrap().steps,
        [],
        "a second run has nothing to do"
    );
    apply(root, &[]).unwrap();
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn a_bind_path_stays_and_dropping_its_row_loses_nothing() {
    let dir = temp();
    let root = dir.path();
    make(root, &["var/log/a=1", "var/log/b&var/log/a", "etc/f=x"]);
    let before = lines(root);
    let two = rules(&["/var/ tmpfs", "/etc/f rw"]);
    apply(root, &two).unwrap();
    assert_eq!(text(root, ".default/var/log/b"), "1");
    assert_eq!(text(root, "var/log/a"), "1");
    // Another bind option, then no row: xCAT removes the real path at either.
    apply(root, &rules(&["/var/ localdisk", "/etc/f ro"])).unwrap();
    assert_eq!(text(root, "etc/f"), "x");
    fs::write(root.join("var/log/a"), "22").unwrap();
    apply(root, &rules(&["/var/ localdisk"])).unwrap();
    assert_eq!(text(root, "etc/f"), "x");
    assert_eq!(text(root, ".default/var/log/b"), "22", "the copy follows");
    assert!(!root.join(".default/etc").exists());
    fs::remove_file(root.join("var/log/a")).unwrap();
    make(root, &["var/log/a&var/log/b"]);
    fs::write(root.join("var/log/a"), "1").unwrap();
    apply(root, &[]).unwrap();
    let names = |lines: &crate::tree::Lines| lines.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&lines(root)), names(&before));
}

#[test]
fn stale_files_leave_the_copy_of_a_bind_path() {
    let dir = temp();
    let root = dir.path();
    make(root, &["var/a=1", "var/b=2"]);
    let one = rules(&["/var/ tmpfs"]);
    apply(root, &one).unwrap();
    fs::remove_file(root.join("var/b")).unwrap();
    apply(root, &one).unwrap();
    assert!(!root.join(".default/var/b").exists() && root.join(".default/var/a").exists());
}

#[test]
fn children_of_a_link_are_inside_of_it_only() {
    let dir = temp();
    let root = dir.path();
    make(root, &["var/log/messages=m", "var/db/"]);
    let before = lines(root);
    let nested = rules(&[
        "/var/",
        "/var/log/messages link,persistent",
        "/var/new/deep link",
        "/var/log/sub/ link",
    ]);
    apply(root, &nested).unwrap();
    assert_eq!(link(root, "var"), "./.statelite/tmpfs/var");
    assert_eq!(text(root, ".default/var/log/messages"), "m");
    assert_eq!(text(root, ".default/var/new/deep"), "");
    assert!(root.join(".default/var/log/sub").is_dir());
    assert_eq!(link(root, ".statelite/tmpfs/var"), "../.././.default/var");
    assert_eq!(apply(root, &nested).unwrap().steps, []);
    // The parent goes: the children stand for themselves. And back.
    apply(
        root,
        &rules(&["/var/log/messages link,persistent", "/var/new/deep link"]),
    )
    .unwrap();
    assert_eq!(
        link(root, "var/log/messages"),
        "../../.statelite/tmpfs/var/log/messages"
    );
    assert_eq!(
        link(root, "var/new/deep"),
        "../../.statelite/tmpfs/var/new/deep"
    );
    apply(root, &nested).unwrap();
    assert_eq!(text(root, ".default/var/log/messages"), "m");
    apply(root, &[]).unwrap();
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn links_of_the_image_are_kept() {
    let dir = temp();
    let root = dir.path();
    make(
        root,
        &[
            "etc/resolv.conf>/run/resolv.conf",
            "etc/rel>other",
            "var/run>/run",
            "run/",
        ],
    );
    let before = lines(root);
    let report = apply(root, &rules(&["/etc/resolv.conf", "/etc/rel", "/var/run/"])).unwrap();
    assert_eq!(link(root, ".default/etc/resolv.conf"), "/run/resolv.conf");
    assert_eq!(link(root, ".default/var/run"), "/run");
    let relative = report.warnings.iter();
    let relative = relative.filter(|warning| warning.contains("/etc/rel is a relative link"));
    assert_eq!(relative.count(), 1, "{:?}", report.warnings);
    apply(root, &[]).unwrap();
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn a_path_below_a_link_is_done_where_the_link_leads_inside_the_image() {
    let outside = temp();
    let dir = temp();
    let root = dir.path();
    fs::create_dir(outside.path().join("lock")).unwrap();
    let out = outside.path().display().to_string();
    make(
        root,
        &[
            "var/run>/run",
            "run/utmp=u",
            &format!("esc>{out}"),
            "up>../../../../../../../tmp/x",
        ],
    );
    let before = lines(root);
    let all = rules(&["/var/run/utmp", "/esc/lock", "/up/f"]);
    apply(root, &all).unwrap();
    assert_eq!(link(root, "run/utmp"), "../.statelite/tmpfs/var/run/utmp");
    assert_eq!(text(root, "run/utmp"), "u");
    assert!(
        outside.path().join("lock").is_dir(),
        "nothing outside is touched"
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(root.join("tmp/x/f").is_symlink());
    assert_eq!(apply(root, &all).unwrap().steps, []);
    let error = apply(root, &rules(&["/run/", "/var/run/utmp"])).unwrap_err();
    assert!(
        error.to_string().contains("list /run/utmp instead"),
        "{error}"
    );
    apply(root, &[]).unwrap();
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn a_path_through_a_link_to_that_link_is_refused() {
    let dir = temp();
    let root = dir.path();
    make(root, &["c/b>../c", "d/e/f>../../d", "d/g=1"]);
    for path in ["/c/b/b", "/d/e/f/e", "/d/e/f/e/"] {
        let error = apply(root, &rules(&[path])).unwrap_err().to_string();
        assert!(
            error.contains("leads through a circle of links"),
            "{path}: {error}"
        );
    }
    apply(root, &rules(&["/d/e/f/g"])).unwrap();
    assert_eq!(text(root, "d/g"), "1");
}

#[test]
fn two_names_of_one_place_are_done_once() {
    let dir = temp();
    let root = dir.path();
    make(root, &["var/run>/run", "run/utmp=u"]);
    let before = lines(root);
    let both = rules(&["/var/run/utmp persistent", "/run/utmp"]);
    let report = apply(root, &both).unwrap();
    assert!(
        report.warnings[0].contains("/var/run/utmp is /run/utmp by another name"),
        "{:?}",
        report.warnings
    );
    assert_eq!(link(root, "run/utmp"), "../.statelite/tmpfs/run/utmp");
    assert_eq!(apply(root, &both).unwrap().steps, []);
    apply(root, &rules(&["/var/run/utmp"])).unwrap();
    assert_eq!(link(root, "run/utmp"), "../.statelite/tmpfs/var/run/utmp");
    apply(root, &[]).unwrap();
    assert_same(&lines(root), &before, "undone");
}

#[test]
fn mtab_that_leads_to_the_kernels_table_is_left_alone() {
    let dir = temp();
    let root = dir.path();
    make(root, &["etc/mtab>../proc/self/mounts"]);
    apply(root, &rules(&["/etc/mtab"])).unwrap();
    assert_eq!(link(root, "etc/mtab"), "../proc/self/mounts");
    assert_eq!(
        text(root, ".statelite/litefile.save"),
        "img: link          /etc/mtab\n"
    );
    fs::remove_file(root.join("etc/mtab")).unwrap();
    fs::write(root.join("etc/mtab"), "").unwrap();
    apply(root, &rules(&["/etc/mtab"])).unwrap();
    assert_eq!(link(root, "etc/mtab"), "../.statelite/tmpfs/etc/mtab");
}

#[test]
fn a_file_that_replaced_a_link_becomes_the_new_default_and_the_old_one_is_kept() {
    let dir = temp();
    let root = dir.path();
    make(root, &["etc/a=old", "etc/b=old"]);
    let both = rules(&["/etc/a", "/etc/b"]);
    apply(root, &both).unwrap();
    for name in ["etc/a", "etc/b"] {
        fs::remove_file(root.join(name)).unwrap();
        fs::write(root.join(name), "new").unwrap();
    }
    let report = apply(root, &rules(&["/etc/a"])).unwrap();
    assert_eq!(text(root, ".default/etc/a"), "new");
    assert_eq!(
        text(root, "etc/b"),
        "new",
        "a removed row whose link was replaced: what is there stays"
    );
    assert_eq!(report.warnings.len(), 2);
    let kept = |n: &str| text(root, &format!(".statelite/replaced/{n}"));
    assert_eq!((kept("1/b"), kept("2/a")), ("old".into(), "old".into()));
}

#[test]
fn an_image_prepared_by_xcat_is_taken_over() {
    let dir = temp();
    let root = dir.path();
    make(
        root,
        &[
            ".statelite/litefile.save=img: link          /etc/a\nimg: tmpfs         /var/b\nimg: link          /srv/\nimg: link          /srv/x\n",
            "etc/a>../.statelite/tmpfs/etc/a",
            ".statelite/tmpfs/etc/a>../../../.default/etc/a",
            ".default/etc/a=A",
            "var/b=B",
            ".default/var/b=B",
            "srv>./.statelite/tmpfs/srv",
            ".statelite/tmpfs/srv>../.././.default/srv",
            ".default/srv/x=X",
        ],
    );
    let mut names: Vec<String> = lines(root).keys().cloned().collect();
    apply(
        root,
        &rules(&["/etc/a link,persistent", "/var/b tmpfs", "/srv/", "/srv/x"]),
    )
    .unwrap();
    names.push(".statelite/liteimg.state".into());
    names.sort();
    assert_eq!(lines(root).keys().cloned().collect::<Vec<_>>(), names);
    apply(root, &[]).unwrap();
    let found: Vec<String> = lines(root).keys().cloned().collect();
    assert_eq!(
        found,
        [
            "",
            ".statelite",
            "etc",
            "etc/a",
            "srv",
            "srv/x",
            "var",
            "var/b"
        ]
    );
    assert_eq!(
        (text(root, "etc/a"), text(root, "srv/x")),
        ("A".into(), "X".into())
    );
}

#[test]
fn refusals_touch_nothing() {
    let dir = temp();
    let root = dir.path();
    make(root, &["etc/passwd=p", "a>b", "b>a", "own>.statelite"]);
    let before = lines(root);
    for (rows, wanted) in [
        (vec!["/p/ ro", "/p/c tmpfs"], "should not be with \"ro\""),
        (
            vec!["/etc/passwd/x"],
            "/etc/passwd in the image is not a directory",
        ),
        (vec!["/a/x"], "circle"),
        (vec!["/.default/x"], "cannot be listed"),
        (vec!["/own/x"], "liteimg keeps its own files"),
    ] {
        let error = apply(root, &rules(&rows)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert_same(&lines(root), &before, wanted);
    }
    let error = apply(Path::new("/nonexistent/rootimg"), &[]).unwrap_err();
    assert!(matches!(error, LiteError::Open { .. }));
}

#[test]
fn a_dry_run_plans_the_same_steps_and_does_nothing() {
    let dir = temp();
    let root = dir.path();
    make(root, &["etc/a=1", "var/log/x=2"]);
    let before = lines(root);
    let all = rules(&["/etc/a", "/var/ tmpfs"]);
    let dry = Options {
        dry_run: true,
        ..QUICK
    };
    let plan = lite::apply(root, "img", &all, Dialect::Current, dry).unwrap();
    assert_same(&lines(root), &before, "a dry run");
    assert_eq!(apply(root, &all).unwrap().steps, plan.steps);
}

#[test]
fn only_one_run_at_a_time() {
    let dir = temp();
    let root = dir.path();
    let _held = lite::root::Root::open(root, true, None).unwrap();
    assert!(matches!(
        apply(root, &[rule("/a")]),
        Err(LiteError::Busy(_))
    ));
}

#[test]
fn thousands_of_rows_are_done_in_one_go() {
    let dir = temp();
    let root = dir.path();
    let option = |n: usize| ["", "tmpfs", "link,persistent", "ro"][n % 4];
    let all: Vec<_> = (0..3000)
        .map(|n| rule(&format!("/d{}/e{}/f{n} {}", n % 50, n % 7, option(n))))
        .collect();
    make(root, &["d1/e1/f1=1", "d2/e2/f2=2"]);
    let before = lines(root);
    apply(root, &all).unwrap();
    assert_eq!(apply(root, &all).unwrap().steps, []);
    apply(root, &[]).unwrap();
    assert_same(&lines(root), &before, "undone");
}
