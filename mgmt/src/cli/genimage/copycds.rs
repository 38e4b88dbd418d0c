//! `copycds`.

use crate::cli::Context;
use crate::image::copycds::media::Media;
use crate::image::copycds::register::Image;
use crate::image::copycds::{Medium, copy, detect};
use crate::image::genimage::install_dir;
use anyhow::{Context as _, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `copycds`.
#[derive(Debug, Args)]
pub struct CopycdsArgs {
    /// ISO images, or directories that are media already
    #[arg(value_name = "MEDIUM", required = true)]
    pub media: Vec<PathBuf>,
    /// Name and version of the distribution, in place of what the medium says
    #[arg(short = 'n', value_name = "OS")]
    pub os: Option<String>,
    /// Architecture, in place of what the medium says
    #[arg(short = 'a', value_name = "ARCH")]
    pub arch: Option<String>,
    /// Directory to copy to [default: INSTALLDIR/OS/ARCH]
    #[arg(short = 'p', value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// Say what the media are, and copy nothing
    #[arg(short = 'i')]
    pub inspect: bool,
    /// Copy, but add no osimage
    #[arg(short = 'w')]
    pub without_image: bool,
}

/// Copies media and registers the image that can be built from them.
///
/// # Errors
/// When a medium is not recognised or cannot be copied.
pub fn run(context: &Context, args: &CopycdsArgs) -> anyhow::Result<ExitCode> {
    let site = context.site()?;
    let install = Path::new(install_dir(&site)).to_owned();
    for source in &args.media {
        let work = if args.inspect {
            std::env::temp_dir()
        } else {
            install.clone()
        };
        let media = Media::open(source, &work)?;
        let medium = recognised(&media, args, source)?;
        if args.inspect {
            if context.global.json {
                say!("{}", serde_json::to_string(&medium)?);
            } else {
                say!(
                    "OS Image:{}\nDISTNAME:{}\nARCH:{}",
                    source.display(),
                    medium.os,
                    medium.arch
                );
                if let Some(disc) = medium.disc {
                    say!("DISCNO:{disc}");
                }
            }
            continue;
        }
        let base = match &args.path {
            Some(path) => path.clone(),
            None => install.join(&medium.os).join(&medium.arch),
        };
        // SUSE's discs are repositories of their own.
        let into = medium
            .disc
            .map_or_else(|| base.clone(), |disc| base.join(disc.to_string()));
        say!("Copying media to {}", into.display());
        let bar = indicatif::ProgressBar::new(copy::size(media.dir()));
        let style =
            indicatif::ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta}")?;
        bar.set_style(style);
        let copied = copy::copy(media.dir(), &into, &mut |bytes| bar.inc(bytes));
        bar.finish_and_clear();
        let copied = copied?;
        say!("Media copy operation successful");
        eprintln!(
            "{} files copied, {} were there already",
            copied.files, copied.kept
        );
        if !args.without_image {
            register(context, &medium, &base)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn recognised(media: &Media, args: &CopycdsArgs, source: &Path) -> anyhow::Result<Medium> {
    let found = detect(&|name| media.text(name));
    let medium = match (found, &args.os, &args.arch) {
        (Some(found), os, arch) => Medium {
            os: os.clone().unwrap_or(found.os),
            arch: arch.clone().unwrap_or(found.arch),
            ..found
        },
        (None, Some(os), Some(arch)) => Medium {
            os: os.clone(),
            arch: arch.clone(),
            disc: None,
            title: String::new(),
        },
        _ => bail!(
            "{} is no medium known here (.disk/info, .treeinfo, .discinfo, content and media.1/media were looked for): \
             say what it is with -n OS -a ARCH",
            source.display()
        ),
    };
    for part in [&medium.os, &medium.arch] {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if part.is_empty() || part.starts_with('.') || !part.chars().all(good) {
            bail!("\"{part}\" may have letters, digits and - _ . + only");
        }
    }
    Ok(medium)
}

fn register(context: &Context, medium: &Medium, dir: &Path) -> anyhow::Result<()> {
    let mut image = Image::statelite(&medium.os, &medium.arch, "compute");
    image.linuximage.push(("pkgdir", dir.display().to_string()));
    let warnings = context.store()?.change(
        |site| {
            image.put(site, false);
            Ok(())
        },
        false,
    );
    for warning in warnings.context("the medium is copied, but the image is not in the tables")? {
        eprintln!("Warning: {warning}");
    }
    say!("The following osimage is there: {}", image.name);
    Ok(())
}
