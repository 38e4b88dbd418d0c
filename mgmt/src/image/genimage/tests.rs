//! Plans, held by snapshots, and how a specification comes about.

use super::spec::Request;
use super::*;
use crate::image::copycds::register::Image;
use crate::tables::Row;
use crate::tables::schema::SITE;
use std::path::{Path, PathBuf};

/// A site in a directory of its own.
struct Place {
    dir: tempfile::TempDir,
    site: Site,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut site = Site::default();
        let row = Row::new(&SITE).with(&SITE, "key", "installdir");
        site.add(
            &SITE,
            row.with(&SITE, "value", dir.path().join("install").to_str().unwrap()),
        );
        Self { dir, site }
    }

    fn resolve(&self, request: &Request) -> anyhow::Result<Spec> {
        Spec::resolve(&self.site, request, &self.dir.path().join("share"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A plan with the directory's name taken out.
    fn plan(&self, request: &Request, fresh: bool) -> String {
        let spec = self.resolve(request).unwrap();
        let steps = plan(&spec, fresh).unwrap();
        let lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        lines
            .join("\n")
            .replace(self.dir.path().to_str().unwrap(), "")
    }
}

fn request(os: &str) -> Request {
    Request {
        os: Some(os.to_owned()),
        arch: Some("x86_64".to_owned()),
        profile: Some("compute".to_owned()),
        ..Request::default()
    }
}

const OTHERS: &str = "-sendmail\nmpi/openmpi\nfoo\n--gcc\n";

#[test]
fn debian() {
    let place = Place::new(&[
        ("install/debian12/x86_64/dists/bookworm/main/x", ""),
        (
            "install/custom/netboot/debian/compute.pkglist",
            "systemd-sysv,openssh-server\n#NEW_INSTALL_LIST#\n#ENV:X=1#\nlinux-image-amd64\n@web-server\n",
        ),
        (
            "install/custom/netboot/debian/compute.otherpkgs.pkglist",
            OTHERS,
        ),
        ("install/post/otherpkgs/debian12/x86_64/mpi/Packages", ""),
        (
            "install/custom/netboot/debian/compute.debian12.repolist",
            "deb | http://repo.example/extra bookworm main | extra\n",
        ),
    ]);
    insta::assert_snapshot!("debian_fresh", place.plan(&request("debian12"), true));
    insta::assert_snapshot!("debian_again", place.plan(&request("debian12"), false));
}

#[test]
fn plain_directories_are_sources_of_debian() {
    let place = Place::new(&[
        ("install/debian12/x86_64/dists/bookworm/main/x", ""),
        ("install/custom/netboot/debian/compute.pkglist", "dash\n"),
        ("mine/ours.deb", ""),
        ("flat/Packages", ""),
    ]);
    let list = place.path("install/custom/netboot/debian/compute.repolist");
    let at = |name: &str| place.path(name).display().to_string();
    let text = format!(
        "plaindir | {} | mine\nplaintext | file://{} | flat\nplaindir | http://repo.example/x | far\n",
        at("mine"),
        at("flat")
    );
    std::fs::write(&list, text).unwrap();
    insta::assert_snapshot!("debian_plain", place.plan(&request("debian12"), true));
    std::fs::write(&list, format!("plaindir | {} | gone\n", at("gone"))).unwrap();
    let spec = place.resolve(&request("debian12")).unwrap();
    let error = plan(&spec, true).unwrap_err().to_string();
    assert!(error.starts_with("repository \"gone\": /"), "{error}");
    std::fs::write(&list, "\nrpm-md | /mine | mine\n").unwrap();
    let error = place.resolve(&request("debian12")).unwrap_err().to_string();
    assert!(
        error.ends_with(":2: type rpm-md: apt cannot use it (allowed: deb, plaindir)"),
        "{error}"
    );
}

#[test]
fn red_hat() {
    let place = Place::new(&[
        ("install/rocky9.4/x86_64/BaseOS/repodata/repomd.xml", ""),
        ("install/rocky9.4/x86_64/AppStream/repodata/repomd.xml", ""),
        (
            "install/custom/netboot/rocky/compute.pkglist",
            "@core\nkernel\n#NEW_INSTALL_LIST#\nnfs-utils\n",
        ),
        (
            "install/custom/netboot/rh/compute.rocky9.otherpkgs.pkglist",
            OTHERS,
        ),
        ("install/post/otherpkgs/rocky9.4/x86_64/mpi/x.rpm", ""),
        (
            "install/custom/netboot/rocky/compute.repolist",
            "rpm-md | http://repo.example/core | core\n",
        ),
    ]);
    insta::assert_snapshot!("dnf_fresh", place.plan(&request("rocky9.4"), true));
    insta::assert_snapshot!("dnf_again", place.plan(&request("rocky9.4"), false));
}

#[test]
fn suse() {
    let place = Place::new(&[
        ("install/sles11.1/x86_64/1/suse/x86_64/x.rpm", ""),
        (
            "install/custom/netboot/sles/compute.sles11.x86_64.pkglist",
            "aaa_base\n@Minimal\n",
        ),
        (
            "install/custom/netboot/sles/compute.otherpkgs.pkglist",
            OTHERS,
        ),
        ("install/post/otherpkgs/sles11.1/x86_64/mpi/x.rpm", ""),
        (
            "install/custom/netboot/sles/compute.repolist",
            "plaintext | file:///install/post/otherpkgs/rhel5.3/x86_64 | otherpkgs\n",
        ),
    ]);
    insta::assert_snapshot!("zypper_fresh", place.plan(&request("sles11.1"), true));
}

#[test]
fn no_update_leaves_what_is_there() {
    let place = Place::new(&[("install/custom/netboot/rh/compute.pkglist", "bash\n")]);
    let mut request = request("rhels5.3");
    assert!(place.plan(&request, false).contains(" upgrade"));
    request.no_update = true;
    assert!(!place.plan(&request, false).contains(" upgrade"));
    assert!(place.plan(&request, false).contains(" -y "));
    request.interactive = true;
    assert!(!place.plan(&request, false).contains(" -y "));
}

#[test]
fn the_most_special_list_of_the_site_is_taken() {
    let place = Place::new(&[
        ("install/custom/netboot/rh/compute.pkglist", "site\n"),
        ("install/custom/netboot/rhels5.3/compute.postinstall", ""),
        (
            "share/netboot/rh/compute.rhels5.3.x86_64.pkglist",
            "shipped\n",
        ),
        ("share/netboot/rh/compute.x86_64.postinstall", ""),
    ]);
    let spec = place.resolve(&request("rhels5.3")).unwrap();
    assert_eq!(
        spec.pkglist,
        [place.path("install/custom/netboot/rh/compute.pkglist")]
    );
    let script = place.path("install/custom/netboot/rhels5.3/compute.postinstall");
    assert_eq!(spec.postinstall, [script]);
    assert_eq!(spec.image, "rhels5.3-x86_64-statelite-compute");
    assert_eq!(
        spec.root(false),
        place.path("install/netboot/rhels5.3/x86_64/compute/rootimg")
    );
}

#[test]
fn built_in_lists_are_whole() {
    let place = Place::new(&[]);
    for os in ["debian12", "ubuntu22.04", "rhels9.4", "rocky9", "sles15.4"] {
        let spec = place.resolve(&request(os)).unwrap();
        assert!(spec.packages.passes[0].install.len() > 10, "{os}");
        assert_eq!(spec.packages.warnings, [""; 0]);
    }
}

#[test]
fn the_tables_say_what_an_image_is_made_of() {
    let mut place = Place::new(&[("lists/a", "bash\n"), ("lists/b", "zsh\n")]);
    let mut image = Image::statelite("debian12", "x86_64", "login");
    image.name = "login".to_owned();
    let path = |name: &str| place.path(name).display().to_string();
    image.linuximage = vec![
        (
            "pkglist",
            format!("{},{}", path("lists/a"), path("lists/b")),
        ),
        ("pkgdir", "http://repo.example/debian, /x".to_owned()),
        ("rootimgdir", "/images/login".to_owned()),
        ("netdrivers", "igb.ko,mlx4_en".to_owned()),
        ("permission", "700".to_owned()),
        ("kernelver", "6.1".to_owned()),
    ];
    image.put(&mut place.site, false);
    let mut request = Request {
        image: Some("login".to_owned()),
        ..Request::default()
    };
    let spec = place.resolve(&request).unwrap();
    let names: Vec<&str> = spec.packages.passes[0].names().collect();
    assert_eq!(names, ["bash", "zsh"]);
    assert_eq!(spec.pkgdirs, ["http://repo.example/debian", "/x"]);
    assert_eq!(spec.dir, Path::new("/images/login"));
    assert_eq!(spec.drivers, ["igb", "mlx4_en"]);
    assert_eq!(
        (spec.permission, spec.kernel.as_deref()),
        (0o700, Some("6.1"))
    );
    request.kernel = Some("6.12".to_owned());
    request.permission = Some("777".to_owned());
    let spec = place.resolve(&request).unwrap();
    assert_eq!(
        (spec.permission, spec.kernel.as_deref()),
        (0o777, Some("6.12"))
    );
}

#[test]
fn refusals() {
    let mut place = Place::new(&[]);
    let mut image = Image::statelite("debian12", "x86_64", "c");
    image.name = "installed".to_owned();
    image.osimage.retain(|(column, _)| *column != "provmethod");
    image.osimage.push(("provmethod", "install".to_owned()));
    image.put(&mut place.site, false);
    let with = |edit: &dyn Fn(&mut Request)| {
        let mut request = request("debian12");
        edit(&mut request);
        request
    };
    for (request, wanted) in [
        (Request::default(), "-o is missing"),
        (with(&|r| r.profile = None), "-p is missing"),
        (
            with(&|r| r.image = Some("x".to_owned())),
            "-o, -a and -p are not allowed together with an image name",
        ),
        (
            with(&|r| r.os = Some("haiku1".to_owned())),
            "\"haiku1\" is no distribution known here",
        ),
        (
            with(&|r| r.profile = Some("../x".to_owned())),
            "the profile \"../x\" may have letters",
        ),
        (
            with(&|r| r.profile = Some("gpu".to_owned())),
            "no package list for profile \"gpu\"",
        ),
        (
            with(&|r| r.permission = Some("rwx".to_owned())),
            "permission \"rwx\" is no mode",
        ),
        (
            with(&|r| r.rootfstype = Some("ext4".to_owned())),
            "rootfstype \"ext4\" is neither",
        ),
        (
            Request {
                image: Some("none".to_owned()),
                ..Request::default()
            },
            "no image \"none\" in the osimage table",
        ),
        (
            Request {
                image: Some("installed".to_owned()),
                ..Request::default()
            },
            "osimage.provmethod of \"installed\" is \"install\"",
        ),
    ] {
        let error = place.resolve(&request).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{wanted}: {error}");
    }
}

#[test]
fn scripts_get_what_xcat_gives_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new(&[(
        "install/custom/netboot/rh/compute.postinstall",
        "#!/bin/sh\n",
    )]);
    let spec = place.resolve(&request("rhels5.3")).unwrap();
    let script = &spec.postinstall[0];
    let error = run::postinstall(&spec, script).unwrap_err().to_string();
    assert!(error.contains("is not executable"), "{error}");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let line = run::postinstall(&spec, script).unwrap().to_string();
    let line = line.replace(place.dir.path().to_str().unwrap(), "");
    insta::assert_snapshot!("postinstall", line);
}
