//! What nodeset is asked for, and what that makes of a node's nodetype row.

use super::image::Image;
use super::{BootError, Era, names};
use crate::resolve::{self, servers::System};
use crate::tables::schema::{NODETYPE, OSIMAGE};
use crate::tables::{Row, Site};
use std::str::FromStr;

/// What nodeset is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `osimage[=NAME]`: this image, or the one of nodetype.provmethod.
    Osimage(Option<String>),
    /// `statelite[=OS-ARCH-PROFILE]`, the form of 2010.
    Statelite(Option<String>),
    /// `boot`: from its own disk.
    Boot,
    /// `offline`: no boot file.
    Offline,
    /// `stat`: say the state, change nothing.
    Stat,
}

/// Why a state is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// unknown state "{0}"; there are osimage[=NAME], boot, offline, stat, and in the 2010 dialect statelite[=OS-ARCH-PROFILE]
    #[error(
        "unknown state \"{0}\"; there are osimage[=NAME], boot, offline, stat, and in the 2010 dialect \
         statelite[=OS-ARCH-PROFILE]"
    )]
    Unknown(String),
    /// the state "statelite" is of 2010
    #[error(
        "The options \"install\", \"netboot\", and \"statelite\" have been deprecated, use \"nodeset <noderange> \
         osimage=<osimage_name>\" instead. (statelite is there with --dialect 2010, or site.statelitedialect=2010.)"
    )]
    Deprecated,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word, Some(value)),
            None => (text, None),
        };
        let unknown = || TargetError::Unknown(text.escape_debug().to_string());
        if value == Some("") {
            return Err(unknown());
        }
        let owned = value.map(str::to_owned);
        match (word, value) {
            ("osimage", _) => Ok(Self::Osimage(owned)),
            ("statelite", _) => Ok(Self::Statelite(owned)),
            ("boot", None) => Ok(Self::Boot),
            ("offline", None) => Ok(Self::Offline),
            ("stat", None) => Ok(Self::Stat),
            ("install" | "netboot", _) => Err(TargetError::Deprecated),
            _ => Err(unknown()),
        }
    }
}

impl Target {
    /// Checks that the dialect has it.
    ///
    /// # Errors
    /// [`TargetError::Deprecated`] for `statelite` in the current dialect.
    pub fn in_dialect(&self, era: Era) -> Result<(), TargetError> {
        match self {
            Self::Statelite(_) if era == Era::Current => Err(TargetError::Deprecated),
            _ => Ok(()),
        }
    }

    /// Changes the node's nodetype row to what is asked for, as xCAT does: `osimage=X` sets provmethod to X and os, arch
    /// and profile to those of the image; `statelite` sets provmethod to statelite. `statelite=X` with the name of an
    /// image does what `osimage=X` does, but for a name that OS, architecture and profile of the image spell out.
    ///
    /// # Errors
    /// [`BootError`] when the image is unknown, incomplete or of another kind. Nothing is changed then.
    pub fn set(&self, site: &mut Site, node: &str) -> Result<(), BootError> {
        if !site.has_node(node) {
            return Err(resolve::ResolveError::NoNode(node.to_owned()).into());
        }
        match self {
            Self::Osimage(name) => {
                let name = name.clone().or_else(|| provmethod(site, node));
                let name = name.ok_or(BootError::NoImage)?;
                let system = system_of(site, &name)?;
                supported(site, node, &system.arch)?;
                set(
                    site,
                    node,
                    &[
                        ("provmethod", &name),
                        ("os", &system.os),
                        ("arch", &system.arch),
                        ("profile", &system.profile),
                    ],
                );
            }
            Self::Statelite(None) => set(site, node, &[("provmethod", "statelite")]),
            Self::Statelite(Some(name)) => match split(site, name)? {
                Named::System(method, system) => {
                    supported(site, node, &system.arch)?;
                    set(
                        site,
                        node,
                        &[
                            ("provmethod", &method),
                            ("os", &system.os),
                            ("arch", &system.arch),
                            ("profile", &system.profile),
                        ],
                    );
                }
                Named::Profile(profile) => set(
                    site,
                    node,
                    &[("provmethod", "statelite"), ("profile", &profile)],
                ),
            },
            Self::Boot | Self::Offline | Self::Stat => {}
        }
        Ok(())
    }
}

/// The image of a node as its nodetype row says.
///
/// # Errors
/// [`BootError`].
pub fn image(site: &Site, node: &str) -> Result<Image, BootError> {
    let name = resolve::image_of(site, node)?;
    let System { os, arch, profile } = resolve::servers::system(site, node)?;
    Image::new(site, &name, &os, &arch, &profile)
}

/// nodetype.provmethod, when it is the name of an image.
fn provmethod(site: &Site, node: &str) -> Option<String> {
    let value = site.node_value(node, &NODETYPE, "provmethod")?;
    let method = ["install", "netboot", "statelite"].contains(&value.as_str());
    (!method).then_some(value)
}

fn system_of(site: &Site, image: &str) -> Result<System, BootError> {
    names::component(image)?;
    let row = site.row(&OSIMAGE, &[image]);
    let row = row.ok_or_else(|| BootError::UnknownImage(image.to_owned()))?;
    let value = |column| {
        let value = row.get(&OSIMAGE, column).map(str::to_owned);
        value.ok_or_else(|| BootError::ImageIncomplete {
            image: image.to_owned(),
            column,
        })
    };
    let method = value("provmethod")?;
    if method != "statelite" {
        let image = image.to_owned();
        return Err(BootError::NotStatelite { image, method });
    }
    let system = System {
        os: value("osvers")?,
        arch: value("osarch")?,
        profile: value("profile")?,
    };
    for part in [&system.os, &system.arch, &system.profile] {
        names::component(part)?;
    }
    Ok(system)
}

/// What the name in `statelite=NAME` means.
enum Named {
    /// A provmethod, and a whole system.
    System(String, System),
    /// A profile; the rest stays.
    Profile(String),
}

/// Takes `OS-ARCH-PROFILE` apart; a name without two dashes is a profile.
///
/// The cookbook names the image `rhel5.3-x86_64-statelite-compute` and shows the boot file of the profile `compute`. xCAT
/// of 2010 made `statelite-compute` of it; here the name of an image means that image, and a `statelite-` before the
/// profile is left out.
fn split(site: &Site, name: &str) -> Result<Named, BootError> {
    names::component(name)?;
    if site.row(&OSIMAGE, &[name]).is_some() {
        let system = system_of(site, name)?;
        let System { os, arch, profile } = &system;
        let method = match format!("{os}-{arch}-statelite-{profile}") == name {
            true => "statelite",
            false => name,
        };
        return Ok(Named::System(method.to_owned(), system));
    }
    let mut parts = name.splitn(3, '-');
    Ok(match (parts.next(), parts.next(), parts.next()) {
        (Some(os), Some(arch), Some(profile)) if !os.is_empty() && !arch.is_empty() => {
            let profile = profile.strip_prefix("statelite-").unwrap_or(profile);
            names::component(profile)?;
            let system = System {
                os: os.to_owned(),
                arch: arch.to_owned(),
                profile: profile.to_owned(),
            };
            Named::System("statelite".to_owned(), system)
        }
        _ => Named::Profile(name.to_owned()),
    })
}

fn supported(site: &Site, node: &str, arch: &str) -> Result<(), BootError> {
    let supported = site.node_value(node, &NODETYPE, "supportedarchs");
    match supported {
        Some(supported) if !supported.split(',').any(|known| known.trim() == arch) => {
            let arch = arch.to_owned();
            Err(BootError::Architecture { arch, supported })
        }
        _ => Ok(()),
    }
}

/// Sets columns of the node's own nodetype row.
fn set(site: &mut Site, node: &str, values: &[(&str, &str)]) {
    let same = |row: &Row| {
        values
            .iter()
            .all(|(column, value)| row.get(&NODETYPE, column) == Some(value))
    };
    if site.row(&NODETYPE, &[node]).is_some_and(same) {
        return;
    }
    site.edit_row(&NODETYPE, &[node], |row| {
        for (column, value) in values {
            row.set(&NODETYPE, column, Some((*value).to_owned()));
        }
        // A row that does not count could not say what the node boots.
        if !row.live(&NODETYPE) {
            row.set(&NODETYPE, "disable", None);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::schema::NODELIST;

    fn site(images: &[[&str; 5]]) -> Site {
        let mut site = Site::default();
        let node = Row::new(&NODELIST).with(&NODELIST, "node", "n01");
        site.add(&NODELIST, node.with(&NODELIST, "groups", "all"));
        let kind = Row::new(&NODETYPE)
            .with(&NODETYPE, "node", "all")
            .with(&NODETYPE, "os", "rhel5.3");
        let kind = kind
            .with(&NODETYPE, "arch", "x86_64")
            .with(&NODETYPE, "profile", "compute");
        site.add(&NODETYPE, kind);
        for image in images {
            let columns = ["imagename", "provmethod", "osvers", "osarch", "profile"];
            let row = columns
                .iter()
                .zip(image)
                .fold(Row::new(&OSIMAGE), |row, (column, value)| {
                    row.with(&OSIMAGE, column, value)
                });
            site.add(&OSIMAGE, row);
        }
        site
    }

    fn nodetype(site: &Site) -> [String; 4] {
        ["provmethod", "os", "arch", "profile"].map(|column| {
            site.node_value("n01", &NODETYPE, column)
                .unwrap_or_default()
        })
    }

    const IMAGE: [&str; 5] = ["img", "statelite", "rhels9.4", "x86_64", "big"];

    #[test]
    fn states_are_parsed() {
        for (text, wanted) in [
            ("osimage", Some(Target::Osimage(None))),
            ("osimage=a=b", Some(Target::Osimage(Some("a=b".into())))),
            (
                "statelite=a-b-c",
                Some(Target::Statelite(Some("a-b-c".into()))),
            ),
            ("boot", Some(Target::Boot)),
            ("offline", Some(Target::Offline)),
            ("stat", Some(Target::Stat)),
            ("boot=1", None),
            ("osimage=", None),
            ("netboot", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Target>().ok(), wanted, "{text}");
        }
    }

    #[test]
    fn the_form_of_2010_is_an_error_today() {
        let target = Target::Statelite(None);
        assert_eq!(
            target.in_dialect(Era::Current),
            Err(TargetError::Deprecated)
        );
        assert_eq!(target.in_dialect(Era::Seed2010), Ok(()));
        assert_eq!(Target::Osimage(None).in_dialect(Era::Seed2010), Ok(()));
    }

    #[test]
    fn an_image_is_persisted_in_nodetype() {
        let mut site = site(&[IMAGE]);
        Target::Osimage(Some("img".into()))
            .set(&mut site, "n01")
            .unwrap();
        assert_eq!(nodetype(&site), ["img", "rhels9.4", "x86_64", "big"]);
        let before = site.clone();
        Target::Osimage(None).set(&mut site, "n01").unwrap();
        assert_eq!(site, before);
        assert_eq!(
            image(&site, "n01").unwrap().state(),
            "statelite rhels9.4-x86_64-big"
        );
    }

    #[test]
    fn the_cookbooks_name_means_the_profile_it_shows() {
        for (name, wanted) in [
            (
                "rhel5.3-x86_64-statelite-compute",
                ["statelite", "rhel5.3", "x86_64", "compute"],
            ),
            (
                "rhels6-ppc64-service",
                ["statelite", "rhels6", "ppc64", "service"],
            ),
            ("login", ["statelite", "rhel5.3", "x86_64", "login"]),
            ("img", ["img", "rhels9.4", "x86_64", "big"]),
            (
                "rhels9.4-x86_64-statelite-big",
                ["statelite", "rhels9.4", "x86_64", "big"],
            ),
        ] {
            let mut whole = IMAGE;
            whole[0] = "rhels9.4-x86_64-statelite-big";
            let mut site = site(&[IMAGE, whole]);
            Target::Statelite(Some(name.into()))
                .set(&mut site, "n01")
                .unwrap();
            assert_eq!(nodetype(&site), wanted, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_booted_is_refused_and_nothing_changes() {
        let images = [
            IMAGE,
            ["net", "netboot", "rhels9.4", "x86_64", "c"],
            ["none", "", "rhels9.4", "x86_64", "c"],
            ["part", "statelite", "rhels9.4", "", "c"],
            ["evil", "statelite", "..", "x86_64", "c"],
            ["ppc", "statelite", "rhels9.4", "ppc64", "c"],
        ];
        for (target, reason) in [
            ("osimage", "must be specified in nodetype.provmethod"),
            ("osimage=nope", "Cannot find the OS image nope"),
            ("osimage=net", "provmethod netboot"),
            ("osimage=none", "osimage.provmethod for none must be set"),
            ("osimage=part", "osimage.osarch for part must be set"),
            ("osimage=evil", "cannot be a file name"),
            ("osimage=../img", "cannot be a file name"),
            ("osimage=ppc", "Requested architecture ppc64"),
            ("statelite=a/b", "slash"),
            ("statelite=rhels9-ppc64-c", "Requested architecture ppc64"),
        ] {
            let mut site = site(&images);
            let mut rows = site.rows(&NODETYPE).to_vec();
            rows[0].set(&NODETYPE, "supportedarchs", Some("x86,x86_64".into()));
            site.put(&NODETYPE, rows);
            let before = site.clone();
            let error = target
                .parse::<Target>()
                .unwrap()
                .set(&mut site, "n01")
                .unwrap_err();
            assert!(error.to_string().contains(reason), "{target}: {error}");
            assert_eq!(site, before, "{target}");
        }
        assert!(Target::Boot.set(&mut site(&[]), "n02").is_err());
    }
}
