//! Which image is meant, where it is, and what it is like. The errors are xCAT's.

use crate::cli::genimage::make::SHARE;
use crate::image::distro::Distro;
use crate::image::genimage::install_dir;
use crate::image::genimage::spec::list_dirs;
use crate::image::lists::{Names, lookup};
use crate::tables::Site;
use crate::tables::schema::{LINUXIMAGE, OSIMAGE};
use anyhow::bail;
use std::path::{Path, PathBuf};

/// Where images are when `site.installdir` says nothing.
const INSTALL: &str = "/install";

/// What the user named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// An image.
    pub image: Option<String>,
    /// Operating system.
    pub os: Option<String>,
    /// Architecture.
    pub arch: Option<String>,
    /// Profile.
    pub profile: Option<String>,
    /// The root of the image itself.
    pub rootimg: Option<PathBuf>,
}

/// An image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub image: String,
    /// Its root.
    pub root: PathBuf,
    /// `nfs`, `ramdisk` or nothing.
    pub rootfstype: Option<String>,
    /// What is left out of the ramdisk form.
    pub exlist: Option<String>,
    /// Its profile, when it is known.
    pub profile: Option<String>,
    /// Its architecture, when it is known.
    pub arch: Option<String>,
    /// Lists of files that are copied into it.
    pub synclists: Option<String>,
}

/// Finds the image.
///
/// # Errors
/// When it is not known, or not meant for liteimg.
pub fn find(site: &Site, named: &Named, exists: &dyn Fn(&Path) -> bool) -> anyhow::Result<Target> {
    let parts = [&named.os, &named.arch, &named.profile];
    let parts = parts.map(|part| part.as_deref().filter(|part| !part.is_empty()));
    let (os, arch, profile, image) = match (&named.image, parts) {
        (Some(_), [Some(_), ..] | [_, Some(_), _] | [.., Some(_)]) => {
            bail!("-o, -p and -a options are not allowed when a image name is specified.")
        }
        (Some(image), _) => match site.row(&OSIMAGE, &[image]) {
            Some(row) => {
                let method = row.get(&OSIMAGE, "provmethod").unwrap_or_default();
                if !method.contains("statelite") {
                    bail!(
                        "Please make sure that osimage.provmethod is set to statelite before calling this command."
                    );
                }
                let value = |column| row.get(&OSIMAGE, column).unwrap_or_default().to_owned();
                (
                    value("osvers"),
                    value("osarch"),
                    value("profile"),
                    image.clone(),
                )
            }
            None if named.rootimg.is_some() => {
                (String::new(), String::new(), String::new(), image.clone())
            }
            None => match triple(image) {
                Some((os, arch, profile)) => {
                    let image = format!("{os}-{arch}-statelite-{profile}");
                    (os, arch, profile, image)
                }
                None => bail!("Cannot find image '{image}' from the osimage table."),
            },
        },
        (None, [Some(os), Some(arch), Some(profile)]) => (
            os.to_owned(),
            arch.to_owned(),
            profile.to_owned(),
            format!("{os}-{arch}-statelite-{profile}"),
        ),
        (None, _) => match &named.rootimg {
            Some(root) => {
                let above = root.parent().and_then(|above| above.file_name());
                let name = above.map(|name| name.to_string_lossy().into_owned());
                let name = name.filter(|name| !name.is_empty());
                let none = String::new();
                (
                    none.clone(),
                    none.clone(),
                    none,
                    name.unwrap_or_else(|| "image".to_owned()),
                )
            }
            None => bail!("name an image, or give -o OS -a ARCH -p PROFILE, or --rootimg DIR"),
        },
    };
    let linux = site.row(&LINUXIMAGE, &[&image]);
    let linux = |column| Some(linux?.get(&LINUXIMAGE, column)?.to_owned());
    let known = site.row(&OSIMAGE, &[&image]);
    let word = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (own_arch, own_profile) = (word(&arch), word(&profile));
    // An image without a row of its own has the list that genimage would take for it.
    let exlist = match known {
        Some(_) => linux("exlist"),
        None => linux("exlist").or_else(|| exlist_of(site, &os, &arch, &profile, exists)),
    };
    let root = match (&named.rootimg, linux("rootimgdir")) {
        (Some(root), _) => root.clone(),
        (None, Some(dir)) => PathBuf::from(dir).join("rootimg"),
        (None, None) if os.is_empty() || arch.is_empty() || profile.is_empty() => bail!(
            "osimage.osvers, osimage.osarch, and osimage.profile and must be specified for the image {image} in the database, or you must specify -o os -p profile -a arch."
        ),
        (None, None) => {
            let install = site.setting("installdir").unwrap_or(INSTALL);
            PathBuf::from(install)
                .join("netboot")
                .join(os)
                .join(arch)
                .join(profile)
                .join("rootimg")
        }
    };
    Ok(Target {
        rootfstype: known.and_then(|row| Some(row.get(&OSIMAGE, "rootfstype")?.to_owned())),
        synclists: known.and_then(|row| Some(row.get(&OSIMAGE, "synclists")?.to_owned())),
        arch: own_arch,
        profile: own_profile,
        exlist,
        image,
        root,
    })
}

/// The list of what is left out that belongs to a profile: the site's own before those that came with the software.
fn exlist_of(
    site: &Site,
    os: &str,
    arch: &str,
    profile: &str,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<String> {
    if [os, arch, profile].contains(&"") {
        return None;
    }
    let distro = Distro::of(os).ok()?;
    let dirs = list_dirs(install_dir(site), Path::new(SHARE), &distro, os);
    let names = Names { profile, os, arch }.list("exlist");
    let found = lookup::find(&dirs, &names, exists)?;
    Some(found.display().to_string())
}

/// The form of 2010, `<os>-<arch>-<profile>`, also with `statelite-` before the profile.
fn triple(image: &str) -> Option<(String, String, String)> {
    let (os, rest) = image.split_once('-')?;
    let (arch, profile) = rest.split_once('-')?;
    let profile = profile.strip_prefix("statelite-").unwrap_or(profile);
    let whole = ![os, arch, profile].contains(&"");
    whole.then(|| (os.to_owned(), arch.to_owned(), profile.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Row;
    use crate::tables::schema::SITE;

    fn site() -> Site {
        let mut site = Site::default();
        for (name, method) in [
            ("lite", "statelite"),
            ("less", "netboot"),
            ("bare", "statelite"),
        ] {
            let row = Row::new(&OSIMAGE).with(&OSIMAGE, "imagename", name);
            let row = row.with(&OSIMAGE, "provmethod", method);
            let row = match name {
                "bare" => row,
                _ => row
                    .with(&OSIMAGE, "osvers", "rhels5.3")
                    .with(&OSIMAGE, "osarch", "x86_64")
                    .with(&OSIMAGE, "profile", "compute")
                    .with(&OSIMAGE, "rootfstype", "ramdisk"),
            };
            site.add(&OSIMAGE, row);
        }
        site
    }

    fn named(image: &str, parts: &str) -> Named {
        let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let mut parts = parts.split_whitespace();
        Named {
            image: word(image),
            os: parts.next().map(str::to_owned),
            arch: parts.next().map(str::to_owned),
            profile: parts.next().map(str::to_owned),
            rootimg: None,
        }
    }

    #[test]
    fn images_are_found_by_name_by_parts_and_by_the_name_of_2010() {
        let netboot = "/install/netboot/rhels5.3/x86_64/compute/rootimg";
        for (image, parts, name) in [
            ("lite", "", "lite"),
            (
                "",
                "rhels5.3 x86_64 compute",
                "rhels5.3-x86_64-statelite-compute",
            ),
            (
                "rhels5.3-x86_64-compute",
                "",
                "rhels5.3-x86_64-statelite-compute",
            ),
            (
                "rhels5.3-x86_64-statelite-compute",
                "",
                "rhels5.3-x86_64-statelite-compute",
            ),
        ] {
            let target = find(&site(), &named(image, parts), &|_| false).unwrap();
            assert_eq!(target.image, name);
            assert_eq!(target.root, PathBuf::from(netboot));
        }
        let mut site = site();
        let row = Row::new(&SITE).with(&SITE, "key", "installdir");
        site.add(&SITE, row.with(&SITE, "value", "/srv/i"));
        let row = Row::new(&LINUXIMAGE).with(&LINUXIMAGE, "imagename", "bare");
        let row = row.with(&LINUXIMAGE, "exlist", "/x/list");
        site.add(
            &LINUXIMAGE,
            row.with(&LINUXIMAGE, "rootimgdir", "/srv/bare"),
        );
        let bare = find(&site, &named("bare", ""), &|_| false).unwrap();
        assert_eq!(bare.root, PathBuf::from("/srv/bare/rootimg"));
        assert_eq!(bare.exlist.as_deref(), Some("/x/list"));
        let lite = find(&site, &named("lite", ""), &|_| false).unwrap();
        assert_eq!(
            lite.root,
            PathBuf::from("/srv/i/netboot/rhels5.3/x86_64/compute/rootimg")
        );
        assert_eq!(lite.rootfstype.as_deref(), Some("ramdisk"));
    }

    #[test]
    fn the_list_of_what_is_left_out_belongs_to_the_profile() {
        let own = "/install/custom/netboot/rhels5.3/compute.rhels5.3.x86_64.exlist";
        let shipped = "/usr/share/statelite/netboot/rh/compute.exlist";
        let list = |image: &str, parts: &str, there: &[&str]| {
            let exists = |path: &Path| there.iter().any(|known| path == Path::new(known));
            find(&site(), &named(image, parts), &exists).unwrap().exlist
        };
        let parts = "rhels5.3 x86_64 compute";
        assert_eq!(list("", parts, &[own, shipped]).as_deref(), Some(own));
        assert_eq!(list("", parts, &[shipped]).as_deref(), Some(shipped));
        assert_eq!(list("", parts, &[]), None);
        // An image with a row of its own says so itself.
        assert_eq!(list("lite", "", &[own, shipped]), None);
    }

    #[test]
    fn what_xcat_refuses_is_refused_in_its_words() {
        for (image, parts, wanted) in [
            (
                "none",
                "",
                "Cannot find image 'none' from the osimage table.",
            ),
            (
                "less",
                "",
                "Please make sure that osimage.provmethod is set to statelite",
            ),
            ("lite", "rhels5.3", "-o, -p and -a options are not allowed"),
            (
                "bare",
                "",
                "must be specified for the image bare in the database",
            ),
            ("", "rhels5.3 x86_64", "name an image"),
        ] {
            let error = find(&site(), &named(image, parts), &|_| false)
                .unwrap_err()
                .to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
