//! `genimage`.

use crate::cli::Context;
use crate::image::copycds::register::Image;
use crate::image::genimage::initrd::Kind;
use crate::image::genimage::run::{self, Places};
use crate::image::genimage::spec::Request;
use crate::image::genimage::{Mode, Spec, plan};
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where what came with the software is.
pub const SHARE: &str = "/usr/share/statelite";

/// Where the authority's certificate may be, the first that is there counts: one put there by hand, or that of the
/// authority that `statelite serve` made.
const CA: [&str; 2] = ["/etc/statelite/ca.pem", "/etc/statelite/ca/ca.pem"];

/// Arguments of `genimage`.
#[derive(Debug, Args)]
pub struct GenimageArgs {
    /// The image, as in the osimage table; or else -o and -p
    #[arg(value_name = "IMAGENAME")]
    pub image: Option<String>,
    /// Operating system, e.g. debian12, rhels5.3, sles11.1
    #[arg(short = 'o', value_name = "OS")]
    pub os: Option<String>,
    /// Architecture [default: this machine's]
    #[arg(short = 'a', value_name = "ARCH")]
    pub arch: Option<String>,
    /// Profile, e.g. compute
    #[arg(short = 'p', value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Interface the nodes boot over
    #[arg(short = 'i', value_name = "NIC")]
    pub boot_if: Option<String>,
    /// Drivers for the initrd, beside the usual ones, comma separated
    #[arg(short = 'n', value_name = "DRIVERS")]
    pub drivers: Option<String>,
    /// More interfaces, comma separated
    #[arg(short = 'r', value_name = "NICS")]
    pub other_if: Option<String>,
    /// Kernel version [default: the newest in the image]
    #[arg(short = 'k', value_name = "VERSION")]
    pub kernel: Option<String>,
    /// Kernel package version (noted in the tables; the package list decides what is installed)
    #[arg(short = 'g', value_name = "VERSION")]
    pub kernel_package: Option<String>,
    /// Size limit of a root in memory (accepted; the root here is not in memory)
    #[arg(short = 'l', value_name = "SIZE")]
    pub root_limit: Option<String>,
    /// Where the nodes have their root: nfs or ramdisk
    #[arg(short = 't', value_name = "ROOTFSTYPE")]
    pub rootfstype: Option<String>,
    /// Kind of image, as in 2010: only statelite
    #[arg(short = 'm', value_name = "MODE", value_parser = ["statelite"])]
    pub method: Option<String>,
    /// Mode of /.statelite [default: 755]
    #[arg(long, value_name = "MODE")]
    pub permission: Option<String>,
    /// Let the package managers ask
    #[arg(long)]
    pub interactive: bool,
    /// Only make kernel and initrd; leave the root as it is
    #[arg(long)]
    pub onlyinitrd: bool,
    /// Do not update packages that are there
    #[arg(long)]
    pub noupdate: bool,
    /// Accepted for scripts of xCAT: the kernel is always that of the image or of -k
    #[arg(long)]
    pub ignorekernelchk: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dryrun: bool,
    /// How the nodes use the image: fuse adds nothing to the root, links adds mount points and placeholders
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// How the initrd is made [default: what the image has the tools for, else bare]
    #[arg(long, value_enum)]
    pub initrd: Option<Kind>,
    /// The statelitefs program for the initrd [default: beside this program, or in PATH]
    #[arg(long, value_name = "PATH")]
    pub statelitefs: Option<PathBuf>,
    /// Certificate (PEM) of the authority that signed the management server's, for the initrd [default: /etc/statelite/ca.pem or /etc/statelite/ca/ca.pem, if it is there]
    ///
    /// With it nodes verify the server they ask; without it they warn and go on, as xCAT's do.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Directory or URL of packages, in place of linuximage.pkgdir (repeatable)
    #[arg(long, value_name = "DIR")]
    pub pkgdir: Vec<String>,
    /// Release name in a Debian archive [default: known for debian and ubuntu]
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<String>,
    /// Where the package lists and boot hooks that came with the software are
    #[arg(long, value_name = "DIR", default_value = SHARE)]
    pub share: PathBuf,
}

/// Builds an image.
///
/// # Errors
/// As the tables, the lists and the build.
pub fn run(context: &Context, args: GenimageArgs) -> anyhow::Result<ExitCode> {
    let request = Request {
        image: args.image,
        os: args.os,
        arch: args.arch,
        profile: args.profile,
        boot_if: args.boot_if,
        drivers: args.drivers,
        other_if: args.other_if,
        kernel: args.kernel,
        rootfstype: args.rootfstype,
        permission: args.permission,
        pkgdir: args.pkgdir,
        suite: args.suite,
        mode: args.mode,
        initrd: args.initrd,
        no_update: args.noupdate,
        interactive: args.interactive,
    };
    let spec = Spec::resolve(&context.site()?, &request, &args.share)?;
    for warning in spec.packages.warnings.iter().chain(&spec.others.warnings) {
        eprintln!("Warning: {warning}");
    }
    if args.dryrun {
        dry_run(&spec, args.onlyinitrd)?;
        return Ok(ExitCode::SUCCESS);
    }
    let places = Places {
        share: args.share,
        statelitefs: args.statelitefs,
        ca: args.ca.or_else(|| {
            CA.map(PathBuf::from)
                .into_iter()
                .find(|path| path.is_file())
        }),
    };
    run::build(&spec, &places, args.onlyinitrd, &mut |what| {
        eprintln!("==> {what}")
    })?;
    let image = rows(&spec, &request, args.kernel_package);
    // What was given counts from now on, also for nodeset.
    let store = context.store().and_then(|mut store| {
        let edit = |site: &mut _| {
            image.put(site, false);
            given(&image.name, &request).put(site, true);
            Ok(())
        };
        store.change(edit, false)
    });
    for warning in store.context("the image is made, but it is not in the tables")? {
        eprintln!("Warning: {warning}");
    }
    say!("{} is ready in {}", spec.image, spec.dir.display());
    Ok(ExitCode::SUCCESS)
}

fn dry_run(spec: &Spec, only_initrd: bool) -> anyhow::Result<()> {
    if !only_initrd {
        for step in plan(spec, !spec.root(false).is_dir())? {
            say!("{step}");
        }
        if spec.mode == Mode::Links {
            say!(
                "# link mode's mount points and placeholders in {}",
                spec.root(false).display()
            );
        }
        for script in &spec.postinstall {
            say!("{}", run::postinstall(spec, script)?);
        }
    }
    let kernel = spec.kernel.as_deref().unwrap_or("the newest in the image");
    say!(
        "# kernel ({kernel}) to {}",
        spec.dir.join("kernel").display()
    );
    say!(
        "# initrd to {}",
        spec.dir.join("initrd-statelite.gz").display()
    );
    Ok(())
}

/// The rows of an image that is new in the tables.
fn rows(spec: &Spec, request: &Request, kernel_package: Option<String>) -> Image {
    let mut image = Image::statelite(&spec.os, &spec.arch, &spec.profile);
    image.name.clone_from(&spec.image);
    let join = |paths: &[PathBuf]| {
        let names: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        names.join(",")
    };
    let values = [
        ("rootimgdir", spec.dir.display().to_string()),
        ("pkgdir", spec.pkgdirs.join(",")),
        ("pkglist", join(&spec.pkglist)),
        ("otherpkglist", join(&spec.otherpkglist)),
        ("otherpkgdir", spec.otherdir.display().to_string()),
        ("postinstall", join(&spec.postinstall)),
        (
            "permission",
            request
                .permission
                .clone()
                .unwrap_or_else(|| format!("{:o}", spec.permission)),
        ),
        ("krpmver", kernel_package.unwrap_or_default()),
    ];
    image.linuximage = values
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    image
}

/// The values given on the command line.
fn given(name: &str, request: &Request) -> Image {
    let some = |values: Vec<(&'static str, &Option<String>)>| {
        let given = values.into_iter();
        given
            .filter_map(|(column, value)| Some((column, value.clone()?)))
            .collect()
    };
    Image {
        name: name.to_owned(),
        osimage: some(vec![("rootfstype", &request.rootfstype)]),
        linuximage: some(vec![
            ("nodebootif", &request.boot_if),
            ("otherifce", &request.other_if),
            ("netdrivers", &request.drivers),
            ("kernelver", &request.kernel),
            ("permission", &request.permission),
        ]),
    }
}
