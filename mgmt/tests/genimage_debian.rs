//! A Debian image, built by the real command with real packages of the machine's own archive.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod images;

use images::{Place, can_run, stand_in, tool};
use statelite_mgmt::tables::schema::{LINUXIMAGE, OSIMAGE};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const IMAGE: &str = "debian12-x86_64-statelite-compute";

/// Whether the machine can install Debian 12 at all.
fn has_bookworm() -> bool {
    let found = statelite_mgmt::image::genimage::sources::of_this_machine("bookworm").is_ok();
    if !found {
        eprintln!("SKIPPED: building a Debian image: this machine's apt sources have no bookworm");
    }
    found
}

fn lists(place: &Place) {
    let custom = "install/custom/netboot/debian";
    let list = "# tiny\nkmod, mine, #INCLUDE:more#\n#NEW_INSTALL_LIST#\nlinux-image-cloud-amd64\n";
    place.write(&format!("{custom}/compute.pkglist"), list, 0o644);
    place.write(&format!("{custom}/more"), "procps\n", 0o644);
    let other = "-procps\nsub/ours\n--nano\n";
    place.write(&format!("{custom}/compute.otherpkgs.pkglist"), other, 0o644);
    let script = "#!/bin/sh\necho \"$2 $3 $4 $IMG_NAME\" >\"$1/postinstalled\"\n\
                  [ \"$IMG_ROOTIMGDIR\" = \"$1\" ] || exit 1\n";
    place.write(
        &format!("{custom}/compute.debian12.postinstall"),
        script,
        0o755,
    );
    // A package of the site: it wants nano, which is taken away again, and starts a service if it may.
    let control = "Package: ours\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\n\
                   Recommends: vim\nDescription: ours\n";
    place.write("deb/DEBIAN/control", control, 0o644);
    let script = "#!/bin/sh\nset -e\ntest -e /proc/self/status\n/usr/sbin/policy-rc.d || echo $? >/etc/ours.policy\n";
    place.write("deb/DEBIAN/postinst", script, 0o755);
    place.write("deb/etc/ours", "1\n", 0o644);
    let dir = "install/post/otherpkgs/debian12/x86_64/sub";
    fs::create_dir_all(place.path(dir)).unwrap();
    tool("dpkg-deb", &["--build", "deb", dir], &place.path(""));
    // One of a plain directory, there from the first pass on.
    let control = "Package: mine\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: mine\n";
    place.write("plain/DEBIAN/control", control, 0o644);
    place.write("plain/etc/mine", "2\n", 0o644);
    fs::create_dir_all(place.path("heap")).unwrap();
    tool("dpkg-deb", &["--build", "plain", "heap"], &place.path(""));
    let list = format!(
        "plaintext | file://{} | heap\n",
        place.path("heap").display()
    );
    place.write(&format!("{custom}/compute.repolist"), &list, 0o644);
}

#[test]
fn a_debian_image_is_built_and_built_again() {
    let what = "building a Debian image";
    if !can_run(what, &["mmdebstrap", "dpkg-deb", "unshare"]) || !has_bookworm() {
        return;
    }
    let place = Place::new();
    lists(&place);
    let statelitefs = stand_in(&place).display().to_string();
    let image = ["-o", "debian12", "-a", "x86_64", "-p", "compute"];
    let more = [
        "-n",
        "igb,mlx4_en",
        "-i",
        "eth0",
        "-m",
        "statelite",
        "--permission",
        "777",
        "--statelitefs",
    ];
    let args: Vec<&str> = image
        .into_iter()
        .chain(more)
        .chain([statelitefs.as_str()])
        .collect();

    let plan = place.good("genimage", &[&image[..], &["--dryrun"]].concat());
    assert!(plan.contains("mmdebstrap --mode=root"), "{plan}");
    assert!(
        !place.path("install/netboot").exists(),
        "a dry run makes nothing"
    );

    place.good("genimage", &args);
    let dir = "install/netboot/debian12/x86_64/compute";
    let root = format!("{dir}/rootimg");
    let there = |name: &str| place.path(&format!("{root}/{name}")).exists();
    assert!(there("usr/bin/kmod") || there("bin/kmod"));
    assert!(
        !there("usr/bin/ps"),
        "procps is removed before the other packages"
    );
    assert_eq!(place.text(&format!("{root}/etc/ours")), "1\n");
    assert_eq!(place.text(&format!("{root}/etc/mine")), "2\n");
    let sources = place.text(&format!("{root}/etc/apt/sources.list"));
    assert!(
        sources.contains("bookworm") && !sources.contains(".genimage"),
        "{sources}"
    );
    assert_eq!(
        place.text(&format!("{root}/etc/ours.policy")),
        "101\n",
        "no service starts"
    );
    assert!(!there("usr/sbin/policy-rc.d") && !there("etc/hostname"));
    assert!(!there(".statelite"), "FUSE mode adds nothing");
    assert!(
        !there("usr/bin/vim.basic"),
        "recommended packages are not wanted"
    );
    let postinstalled = place.text(&format!("{root}/postinstalled"));
    assert_eq!(postinstalled, format!("debian12 x86_64 compute {IMAGE}\n"));

    let kernel = fs::read(place.path(&format!("{dir}/kernel"))).unwrap();
    assert_eq!(kernel.get(514..518), Some(&b"HdrS"[..]), "a Linux kernel");
    let initrd = place.text(&format!("{dir}/initrd-statelite.gz"));
    let modules = format!("{}/lib/modules/", place.path(&root).display());
    assert!(
        initrd.contains(&format!("initramfs --modules-dir {modules}")),
        "{initrd}"
    );
    assert!(initrd.contains("--module igb --module mlx4_en"), "{initrd}");
    assert_eq!(place.text(&format!("{dir}/initrd.gz")), initrd);
    let mut names: Vec<_> = fs::read_dir(place.path(dir))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".genimage.lock",
            "initrd-statelite.gz",
            "initrd.gz",
            "kernel",
            "rootimg"
        ]
    );
    assert_no_mounts(&place.path(""));

    let site = place.store().site().unwrap();
    let row = site.row(&OSIMAGE, &[IMAGE]).expect("registered");
    assert_eq!(row.get(&OSIMAGE, "provmethod"), Some("statelite"));
    let row = site.row(&LINUXIMAGE, &[IMAGE]).expect("registered");
    for (column, wanted) in [
        ("permission", "777"),
        ("netdrivers", "igb,mlx4_en"),
        ("nodebootif", "eth0"),
    ] {
        assert_eq!(row.get(&LINUXIMAGE, column), Some(wanted), "{column}");
    }

    again(&place, &root, &statelitefs);
    with_the_images_tool(&place, dir, &statelitefs);
    bare(&place, dir);
    broken(&place, &root, &statelitefs);
}

/// By its name, in link mode, with one package more: the root is brought up to date in place.
fn again(place: &Place, root: &str, statelitefs: &str) {
    place.write(&format!("{root}/etc/kept"), "by hand\n", 0o644);
    place.write(
        "install/custom/netboot/debian/more",
        "procps\npatch\n",
        0o644,
    );
    place.write(
        "install/custom/netboot/debian/compute.otherpkgs.pkglist",
        "",
        0o644,
    );
    place.good(
        "genimage",
        &[
            IMAGE,
            "--mode",
            "links",
            "--noupdate",
            "--statelitefs",
            statelitefs,
        ],
    );
    let there = |name: &str| place.path(&format!("{root}/{name}")).exists();
    assert!(there("usr/bin/patch") && there("usr/bin/ps"));
    assert_eq!(place.text(&format!("{root}/etc/kept")), "by hand\n");
    assert!(there(".statelite") && there(".sllocal/localmnt") && there(".sllocal/log"));
    assert!(
        place
            .text(&format!("{root}/etc/fstab"))
            .contains("compute_x86_64 / tmpfs ro 0 1\n")
    );
}

/// initramfs-tools of the image makes the initrd, with a hook that the image never gets.
fn with_the_images_tool(place: &Place, dir: &str, statelitefs: &str) {
    let hook = "#!/bin/sh\n[ \"$1\" = prereqs ] && exit 0\n. /usr/share/initramfs-tools/hook-functions\n\
                copy_exec /usr/sbin/statelitefs /bin/statelitefs\ncopy_file ca /etc/statelite/ca.pem\n\
                grep -qx mlx4_en /etc/initramfs-tools/modules\n";
    place.write("ca.pem", "certificate\n", 0o644);
    place.write("share/initramfs-tools/hooks/statelite", hook, 0o755);
    place.write(
        "share/initramfs-tools/conf.d/statelite",
        "COMPRESS=gzip\nMODULES=netboot\n",
        0o644,
    );
    let share = place.path("share").display().to_string();
    let ca = place.path("ca.pem").display().to_string();
    place.good(
        "genimage",
        &[
            IMAGE,
            "--onlyinitrd",
            "--share",
            &share,
            "--ca",
            &ca,
            "--statelitefs",
            statelitefs,
        ],
    );
    let data = fs::read(place.path(&format!("{dir}/initrd-statelite.gz"))).unwrap();
    let names = initrd_names(&data);
    for wanted in ["init", "usr/bin/statelitefs", "etc/statelite/ca.pem"] {
        assert!(
            names.iter().any(|name| name == wanted),
            "{wanted} in {names:?}"
        );
    }
    assert!(
        !place
            .path(&format!(
                "{dir}/rootimg/etc/initramfs-tools/hooks/statelite"
            ))
            .exists()
    );
    assert!(
        !place
            .path(&format!("{dir}/rootimg/usr/sbin/statelitefs"))
            .exists()
    );
    assert_no_mounts(&place.path(""));
}

/// A bare initrd by the real statelitefs, where it is built.
fn bare(place: &Place, dir: &str) {
    // A program that may run in an initramfs is linked statically; the usual test build is not.
    let beside = Path::new(env!("CARGO_BIN_EXE_statelite")).with_file_name("statelitefs");
    let program = std::env::var_os("STATELITEFS").map_or(beside, PathBuf::from);
    let probe = place.path("probe");
    let mut command = Command::new(&program);
    let able = command
        .arg("initramfs")
        .arg("--output")
        .arg(&probe)
        .output();
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED: a bare initrd: {} is not there or not static; name a static one in STATELITEFS",
            program.display()
        );
        return;
    }
    let program = program.display().to_string();
    let args = [
        "--onlyinitrd",
        "--initrd",
        "bare",
        "-n",
        "bonding",
        "--statelitefs",
        &program,
    ];
    place.good("genimage", &[&[IMAGE], &args[..]].concat());
    let data = fs::read(place.path(&format!("{dir}/initrd-statelite.gz"))).unwrap();
    let names = initrd_names(&data);
    let has = |wanted: &str| names.iter().any(|name| name.contains(wanted));
    for wanted in ["init", "/fuse.ko", "/nfsv3.ko", "/bonding.ko"] {
        assert!(has(wanted), "{wanted} in {names:?}");
    }
}

/// The names in an initrd, of which the last part is packed with gzip.
fn initrd_names(data: &[u8]) -> Vec<String> {
    let start = data
        .windows(3)
        .position(|bytes| bytes == [0x1f, 0x8b, 0x08])
        .expect("gzip");
    let mut reader: Box<dyn std::io::Read> = Box::new(flate2::read::GzDecoder::new(&data[start..]));
    let mut names = Vec::new();
    loop {
        let entry = cpio::NewcReader::new(reader).unwrap();
        if entry.entry().is_trailer() {
            return names;
        }
        names.push(entry.entry().name().to_owned());
        reader = entry.finish().unwrap();
    }
}

/// What cannot be installed fails with a reason, and leaves the image.
fn broken(place: &Place, root: &str, statelitefs: &str) {
    place.write(
        "install/custom/netboot/debian/more",
        "no-such-package-anywhere\n",
        0o644,
    );
    let errors = place.bad(
        "genimage",
        &[IMAGE, "--noupdate", "--statelitefs", statelitefs],
    );
    assert!(errors.contains("no-such-package-anywhere"), "{errors}");
    assert!(place.path(&format!("{root}/usr/bin/patch")).exists());
    assert!(!place.path(&format!("{root}/usr/sbin/policy-rc.d")).exists());
    let errors = place.bad(
        "genimage",
        &[
            IMAGE,
            "--onlyinitrd",
            "-k",
            "9.9.9",
            "--statelitefs",
            statelitefs,
        ],
    );
    assert!(errors.contains("has kernel 9.9.9"), "{errors}");
    assert_no_mounts(&place.path(""));
}

fn assert_no_mounts(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = dir.to_str().unwrap().trim_end_matches('/');
    assert!(!mounts.contains(dir), "left mounted below {dir}");
}
