//! Images of RPM packages, by real dnf and real zypper, from packages that the test makes: no distribution of RPMs is
//! at hand where the tests run, but options, repositories, order of steps and scripts are those of a real build.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod images;

use images::{Place, can_run, stand_in, tool};
use statelite_mgmt::image::copycds::register::Image;
use std::fs;
use std::path::Path;

/// Packages with files only; the script of the first needs `/proc` in the root.
const SPECS: &[(&str, &str)] = &[
    (
        "base",
        "%post -p <lua>\nlocal f = assert(io.open('/etc/base.proc', 'w'))\nf:write(tostring(posix.stat('/proc/self') ~= nil))\nf:close()\n",
    ),
    ("unwanted", ""),
    ("kernel-ours", ""),
    ("ours", "Requires: helper\n"),
    ("helper", ""),
];

fn package(place: &Place, name: &str, more: &str, into: &str) {
    let (header, scripts) = match more.starts_with('%') {
        true => ("", more),
        false => (more, ""),
    };
    let spec = format!(
        "Name: {name}\nVersion: 1.0\nRelease: 1\nSummary: test\nLicense: none\nBuildArch: noarch\n{header}\n\
         %description\ntest\n%install\nmkdir -p %{{buildroot}}/etc/packages\n\
         echo {name} >%{{buildroot}}/etc/packages/{name}\n{scripts}\n%files\n/etc/packages/{name}\n"
    );
    place.write(&format!("specs/{name}.spec"), &spec, 0o644);
    let into = place.path(into);
    fs::create_dir_all(&into).unwrap();
    let define = |name: &str, value: &Path| format!("{name} {}", value.display());
    let (top, dir) = (
        define("_topdir", &place.path("rpmbuild")),
        define("_rpmdir", &into),
    );
    let args = [
        "-bb",
        "--quiet",
        "--define",
        &top,
        "--define",
        &dir,
        "--define",
        "_build_name_fmt %{NAME}.rpm",
    ];
    let spec = format!("specs/{name}.spec");
    tool(
        "rpmbuild",
        &[&args[..], &[spec.as_str()]].concat(),
        &place.path(""),
    );
}

/// A site with a distribution of four packages, and one package of its own that needs another.
fn site(os: &str, lists: &str) -> Place {
    let mut place = Place::new();
    for (name, more) in SPECS {
        let into = match *name {
            "ours" => format!("install/post/otherpkgs/{os}/x86_64/sub"),
            "helper" => "extra".to_owned(),
            _ => format!("install/{os}/x86_64/BaseOS"),
        };
        package(&place, name, more, &into);
    }
    for dir in [format!("install/{os}/x86_64/BaseOS"), "extra".to_owned()] {
        tool("createrepo_c", &["--quiet", "."], &place.path(&dir));
    }
    let custom = format!("install/custom/netboot/{lists}");
    place.write(
        &format!("{custom}/compute.pkglist"),
        "base\nunwanted\n#NEW_INSTALL_LIST#\nkernel-ours\n",
        0o644,
    );
    place.write(
        &format!("{custom}/compute.otherpkgs.pkglist"),
        "-unwanted\nsub/ours\n",
        0o644,
    );
    let repos = format!("rpm-md | {} | extra\n", place.path("extra").display());
    place.write(
        &format!("{custom}/compute.{os}.x86_64.repolist"),
        &repos,
        0o644,
    );
    // The kernel comes from elsewhere.
    place.write("kernels/lib/modules/5.14/modules.dep", "", 0o644);
    place.write("kernels/boot/vmlinuz-5.14", "kernel", 0o644);
    register(&mut place, os);
    place
}

fn register(place: &mut Place, os: &str) {
    let mut image = Image::statelite(os, "x86_64", "compute");
    image.linuximage = vec![
        ("kerneldir", place.path("kernels").display().to_string()),
        ("kernelver", "5.14".to_owned()),
    ];
    let change = |site: &mut statelite_mgmt::tables::Site| {
        image.put(site, false);
        Ok(())
    };
    place.store().change(change, false).unwrap();
}

fn build(place: &Place, os: &str) {
    let image = format!("{os}-x86_64-statelite-compute");
    let statelitefs = stand_in(place).display().to_string();
    let packages = |wanted: &[&str]| {
        let dir = format!("install/netboot/{os}/x86_64/compute/rootimg/etc/packages");
        let mut names: Vec<String> = fs::read_dir(place.path(&dir))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, wanted);
    };
    place.good("genimage", &[&image, "--statelitefs", &statelitefs]);
    packages(&["base", "helper", "kernel-ours", "ours"]);
    let dir = format!("install/netboot/{os}/x86_64/compute");
    assert_eq!(place.text(&format!("{dir}/rootimg/etc/base.proc")), "true");
    assert_eq!(place.text(&format!("{dir}/kernel")), "kernel");
    assert!(
        place
            .path(&format!("{dir}/rootimg/lib/modules/5.14/modules.dep"))
            .exists()
    );
    assert!(!place.path(&format!("{dir}/rootimg.new")).exists());
    for left in ["etc/yum.repos.d", "etc/zypp/repos.d", "var/cache/dnf/base"] {
        let dir = place.path(&format!("{dir}/rootimg/{left}"));
        let count = fs::read_dir(&dir).map_or(0, Iterator::count);
        assert_eq!(count, 0, "{} is the build's", dir.display());
    }
    // What cannot be installed leaves the image as it is.
    let list = format!("install/post/lists/{os}");
    place.write(&list, "base\nnothing-of-that-name\n", 0o644);
    let link = place.path("install/netboot/new");
    let errors = without_package(place, os, &list, &statelitefs);
    assert!(errors.contains("nothing-of-that-name"), "{errors}");
    assert!(
        !link.join("rootimg").exists(),
        "a build that failed is no image"
    );
    // Again, in place.
    place.good("genimage", &[&image, "--statelitefs", &statelitefs]);
    packages(&["base", "helper", "kernel-ours", "ours"]);
}

/// Builds another image from a list with a package that does not exist.
fn without_package(place: &Place, os: &str, list: &str, statelitefs: &str) -> String {
    let mut image = Image::statelite(os, "x86_64", "new");
    image.linuximage = vec![
        ("pkglist", place.path(list).display().to_string()),
        (
            "rootimgdir",
            place.path("install/netboot/new").display().to_string(),
        ),
    ];
    let name = image.name.clone();
    let change = |site: &mut statelite_mgmt::tables::Site| {
        image.put(site, false);
        Ok(())
    };
    place.store().change(change, false).unwrap();
    place.bad("genimage", &[&name, "--statelitefs", statelitefs])
}

#[test]
fn dnf_builds_an_image_and_brings_it_up_to_date() {
    if can_run(
        "building an image with dnf",
        &["dnf", "rpmbuild", "createrepo_c", "unshare"],
    ) {
        build(&site("rocky9.4", "rocky"), "rocky9.4");
    }
}

#[test]
fn zypper_builds_an_image_and_brings_it_up_to_date() {
    if can_run(
        "building an image with zypper",
        &["zypper", "rpmbuild", "createrepo_c", "unshare"],
    ) {
        build(&site("sles15.4", "sles"), "sles15.4");
    }
}
