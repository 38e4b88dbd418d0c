//! What is wanted: an image's tables, the options of the command and the lists of its profile, put together.

use super::initrd::Kind;
use super::install_dir;
use crate::image::distro::Distro;
use crate::image::lists::packages::Use;
use crate::image::lists::{Names, PackageList, Repo, lookup, repos};
use crate::tables::schema::{LINUXIMAGE, OSIMAGE};
use crate::tables::{Row, Site};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};

/// Lists for those who have none yet: what a diskless node needs to boot and be reached.
const BUILT_IN: &[(&str, &str)] = &[
    (
        "debian",
        include_str!("../../../share/netboot/debian/compute.pkglist"),
    ),
    (
        "ubuntu",
        include_str!("../../../share/netboot/ubuntu/compute.pkglist"),
    ),
    (
        "rh",
        include_str!("../../../share/netboot/rh/compute.pkglist"),
    ),
    (
        "sles",
        include_str!("../../../share/netboot/sles/compute.pkglist"),
    ),
];

/// The profile the built-in lists are for.
const BUILT_IN_PROFILE: &str = "compute";

/// How the nodes use the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// statelitefs is the root: the image stays as its packages made it.
    #[default]
    Fuse,
    /// Symbolic links and bind mounts: mount points and placeholders are added.
    Links,
}

/// What the command was told; what is left out comes from the tables.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// An image of the osimage table.
    pub image: Option<String>,
    /// Operating system.
    pub os: Option<String>,
    /// Architecture.
    pub arch: Option<String>,
    /// Profile.
    pub profile: Option<String>,
    /// Interface the nodes boot over.
    pub boot_if: Option<String>,
    /// Drivers for the initrd.
    pub drivers: Option<String>,
    /// More interfaces.
    pub other_if: Option<String>,
    /// Kernel version.
    pub kernel: Option<String>,
    /// `nfs` or `ramdisk`.
    pub rootfstype: Option<String>,
    /// Mode of `/.statelite`.
    pub permission: Option<String>,
    /// Directories or URLs of packages.
    pub pkgdir: Vec<String>,
    /// Release name in a Debian archive.
    pub suite: Option<String>,
    /// How the nodes use it.
    pub mode: Mode,
    /// How the initrd is made.
    pub initrd: Option<Kind>,
    /// Packages that are there are not updated.
    pub no_update: bool,
    /// The package managers may ask.
    pub interactive: bool,
}

/// An image to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub image: String,
    /// Operating system, as in `osimage.osvers`.
    pub os: String,
    /// The distribution.
    pub distro: Distro,
    /// Architecture.
    pub arch: String,
    /// Profile.
    pub profile: String,
    /// The image directory.
    pub dir: PathBuf,
    /// Directories, URLs or lines of packages; empty is what the distribution's part finds.
    pub pkgdirs: Vec<String>,
    /// Release name in a Debian archive.
    pub suite: Option<String>,
    /// The files of the main list.
    pub pkglist: Vec<PathBuf>,
    /// The distribution's packages.
    pub packages: PackageList,
    /// The files of the list of other packages.
    pub otherpkglist: Vec<PathBuf>,
    /// Other packages.
    pub others: PackageList,
    /// The directory of other packages.
    pub otherdir: PathBuf,
    /// More repositories.
    pub repos: Vec<Repo>,
    /// Scripts run at the end.
    pub postinstall: Vec<PathBuf>,
    /// Kernel version, when not the newest in the image.
    pub kernel: Option<String>,
    /// Where a kernel is that the image does not have: a root with `boot` and `lib/modules`.
    pub kerneldir: PathBuf,
    /// Interface the nodes boot over.
    pub boot_if: Option<String>,
    /// More interfaces.
    pub other_if: Option<String>,
    /// Drivers for the initrd, beside the usual ones.
    pub drivers: Vec<String>,
    /// `nfs` or `ramdisk`.
    pub rootfstype: Option<String>,
    /// Mode of `/.statelite`.
    pub permission: u32,
    /// How the nodes use it.
    pub mode: Mode,
    /// How the initrd is made; `None` is what the image has the tools for.
    pub initrd: Option<Kind>,
    /// Whether packages that are there are updated.
    pub update: bool,
    /// Whether the package managers may ask.
    pub interactive: bool,
}

impl Spec {
    /// Where the packages go: the image's root, or, while it is made for the first time, the name it has till then.
    #[must_use]
    pub fn root(&self, fresh: bool) -> PathBuf {
        self.dir.join(if fresh { "rootimg.new" } else { "rootimg" })
    }

    /// Where files of the build are; removed at the end.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.dir.join(".genimage")
    }

    /// Puts together what is wanted. `share` is the directory of what came with the software. Reads lists, changes
    /// nothing.
    ///
    /// # Errors
    /// What is missing or wrong, with the table, column, file or option it is about.
    pub fn resolve(site: &Site, request: &Request, share: &Path) -> anyhow::Result<Self> {
        let identity = Identity::of(site, request)?;
        let Identity {
            image,
            os,
            arch,
            profile,
        } = identity;
        let distro = Distro::of(&os)?;
        let linux = site
            .row(&LINUXIMAGE, &[&image])
            .cloned()
            .unwrap_or_else(|| Row::new(&LINUXIMAGE));
        let cell = |column: &str| linux.get(&LINUXIMAGE, column).map(str::to_owned);
        let install = install_dir(site);

        let names = Names {
            profile: &profile,
            os: &os,
            arch: &arch,
        };
        let dirs = list_dirs(install, share, &distro, &os);
        let exists = |path: &Path| path.is_file();
        let files = |column: &str, names: Vec<String>| -> Vec<PathBuf> {
            match cell(column) {
                Some(value) => words(&value).map(PathBuf::from).collect(),
                None => lookup::find(&dirs, &names, &exists).into_iter().collect(),
            }
        };
        let pkglist = files("pkglist", names.list("pkglist"));
        let otherpkglist = files("otherpkglist", names.list("otherpkgs.pkglist"));
        let read = |path: &Path| std::fs::read_to_string(path);
        let packages = match pkglist.as_slice() {
            [] => built_in(&distro, &profile, &dirs)?,
            files => PackageList::read(files, Use::Main, &read)?,
        };
        let others = PackageList::read(&otherpkglist, Use::Other, &read)?;
        let repos = match lookup::find(&dirs, &names.list("repolist"), &exists) {
            Some(file) => repos::parse(
                &file,
                &read(&file).with_context(|| file.display().to_string())?,
                distro.family,
            )?,
            None => Vec::new(),
        };
        let postinstall = files("postinstall", names.postinstall());

        let mut pkgdirs = request.pkgdir.clone();
        if pkgdirs.is_empty() {
            pkgdirs = cell("pkgdir")
                .iter()
                .flat_map(|value| words(value))
                .map(str::to_owned)
                .collect();
        }
        let copied = Path::new(install).join(&os).join(&arch);
        if pkgdirs.is_empty() && copied.is_dir() {
            pkgdirs.push(copied.display().to_string());
        }
        let option = |given: &Option<String>, column: &str| given.clone().or_else(|| cell(column));
        let permission =
            option(&request.permission, "permission").unwrap_or_else(|| "755".to_owned());
        let rootfstype = request.rootfstype.clone().or_else(|| {
            let row = site.row(&OSIMAGE, &[&image])?;
            row.get(&OSIMAGE, "rootfstype").map(str::to_owned)
        });
        if let Some(kind) = rootfstype
            .as_deref()
            .filter(|kind| !["nfs", "ramdisk"].contains(kind))
        {
            bail!("rootfstype \"{kind}\" is neither nfs nor ramdisk");
        }
        let drivers = option(&request.drivers, "netdrivers").unwrap_or_default();
        Ok(Self {
            dir: match cell("rootimgdir") {
                Some(dir) => PathBuf::from(dir),
                None => Path::new(install)
                    .join("netboot")
                    .join(&os)
                    .join(&arch)
                    .join(&profile),
            },
            otherdir: match cell("otherpkgdir") {
                Some(dir) => PathBuf::from(dir),
                None => Path::new(install)
                    .join("post/otherpkgs")
                    .join(&os)
                    .join(&arch),
            },
            kernel: option(&request.kernel, "kernelver"),
            kerneldir: PathBuf::from(cell("kerneldir").unwrap_or_else(|| "/".to_owned())),
            boot_if: option(&request.boot_if, "nodebootif"),
            other_if: option(&request.other_if, "otherifce"),
            drivers: words(&drivers)
                .map(|name| name.trim_end_matches(".ko").to_owned())
                .collect(),
            permission: mode(&permission)?,
            suite: request.suite.clone(),
            mode: request.mode,
            initrd: request.initrd,
            update: !request.no_update,
            interactive: request.interactive,
            image,
            os,
            distro,
            arch,
            profile,
            pkgdirs,
            pkglist,
            packages,
            otherpkglist,
            others,
            repos,
            postinstall,
            rootfstype,
        })
    }
}

/// Which image it is.
struct Identity {
    image: String,
    os: String,
    arch: String,
    profile: String,
}

impl Identity {
    fn of(site: &Site, request: &Request) -> anyhow::Result<Self> {
        let this = match &request.image {
            Some(image) => {
                if request.os.is_some() || request.arch.is_some() || request.profile.is_some() {
                    bail!("-o, -a and -p are not allowed together with an image name");
                }
                Self::of_table(site, image)?
            }
            None => {
                let given = |value: &Option<String>, option: &str| {
                    let missing = || {
                        format!(
                            "{option} is missing: give an image name, or -o OS -p PROFILE [-a ARCH]"
                        )
                    };
                    value.clone().with_context(missing)
                };
                let (os, profile) = (given(&request.os, "-o")?, given(&request.profile, "-p")?);
                let arch = request.arch.clone().unwrap_or_else(|| machine().to_owned());
                let image = format!("{os}-{arch}-statelite-{profile}");
                Self {
                    image,
                    os,
                    arch,
                    profile,
                }
            }
        };
        // They become parts of paths.
        for (what, value) in [
            ("operating system", &this.os),
            ("architecture", &this.arch),
            ("profile", &this.profile),
        ] {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if value.is_empty() || value.starts_with('.') || !value.chars().all(good) {
                bail!("the {what} \"{value}\" may have letters, digits and - _ . + only");
            }
        }
        Ok(this)
    }

    fn of_table(site: &Site, image: &str) -> anyhow::Result<Self> {
        let row = site.row(&OSIMAGE, &[image]);
        let row = row.with_context(|| format!("no image \"{image}\" in the osimage table"))?;
        let value = |column: &str| {
            let missing = || format!("osimage.{column} of \"{image}\" is not set");
            row.get(&OSIMAGE, column)
                .map(str::to_owned)
                .with_context(missing)
        };
        let method = row.get(&OSIMAGE, "provmethod").unwrap_or_default();
        if !["statelite", "netboot"].contains(&method) {
            bail!(
                "osimage.provmethod of \"{image}\" is \"{method}\"; set it to statelite to build an image for diskless nodes"
            );
        }
        Ok(Self {
            image: image.to_owned(),
            os: value("osvers")?,
            arch: value("osarch")?,
            profile: value("profile")?,
        })
    }
}

/// This machine's architecture in xCAT's words.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "x86",
        "powerpc64" => "ppc64le",
        arch => arch,
    }
}

/// The directories of lists: the site's own, for its kind of distribution and for this very one, then those that came
/// with the software.
#[must_use]
pub fn list_dirs(install: &str, share: &Path, distro: &Distro, os: &str) -> Vec<PathBuf> {
    let custom = Path::new(install).join("custom/netboot");
    let mut dirs = vec![custom.join(os)];
    dirs.extend(distro.directories().iter().map(|name| custom.join(name)));
    for shipped in [
        &share.join("netboot"),
        Path::new("/opt/xcat/share/xcat/netboot"),
    ] {
        dirs.extend(distro.directories().iter().map(|name| shipped.join(name)));
    }
    dirs
}

fn built_in(distro: &Distro, profile: &str, dirs: &[PathBuf]) -> anyhow::Result<PackageList> {
    let directories = distro.directories();
    let found = directories
        .iter()
        .find_map(|name| BUILT_IN.iter().find(|(known, _)| known == name));
    let (name, text) = match found {
        Some(found) if profile == BUILT_IN_PROFILE => found,
        _ => {
            let dirs: Vec<String> = dirs
                .iter()
                .map(|dir| format!("\n    {}", dir.display()))
                .collect();
            bail!(
                "no package list for profile \"{profile}\": set linuximage.pkglist, or put {profile}.pkglist into one of{}",
                dirs.concat()
            );
        }
    };
    let file = PathBuf::from(format!("(built in)/{name}/{profile}.pkglist"));
    Ok(PackageList::read(&[file], Use::Main, &|_| {
        Ok((*text).to_owned())
    })?)
}

/// The words of a list with commas.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn mode(text: &str) -> anyhow::Result<u32> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    mode.with_context(|| format!("permission \"{text}\" is no mode in octal digits, like 755"))
}
