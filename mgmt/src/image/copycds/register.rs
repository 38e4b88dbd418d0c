//! The rows of the osimage and linuximage tables for an image.

use crate::tables::schema::{LINUXIMAGE, OSIMAGE};
use crate::tables::{Row, Site, Table};

/// What is known of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Values of osimage, by column.
    pub osimage: Vec<(&'static str, String)>,
    /// Values of linuximage, by column.
    pub linuximage: Vec<(&'static str, String)>,
}

impl Image {
    /// The image for diskless nodes of an operating system.
    #[must_use]
    pub fn statelite(os: &str, arch: &str, profile: &str) -> Self {
        let value = |column, value: &str| (column, value.to_owned());
        Self {
            name: format!("{os}-{arch}-statelite-{profile}"),
            osimage: vec![
                value("profile", profile),
                value("imagetype", "linux"),
                value("provmethod", "statelite"),
                value("osname", "Linux"),
                value("osvers", os),
                value("osarch", arch),
                value("osdistroname", &format!("{os}-{arch}")),
            ],
            linuximage: Vec::new(),
        }
    }

    /// Puts it into the tables. Values a row has already stay, unless `overwrite`; rows are added where none is. A
    /// disabled row is left alone.
    pub fn put(&self, site: &mut Site, overwrite: bool) {
        put(site, &OSIMAGE, &self.name, &self.osimage, overwrite);
        put(site, &LINUXIMAGE, &self.name, &self.linuximage, overwrite);
    }
}

fn put(
    site: &mut Site,
    table: &'static Table,
    name: &str,
    values: &[(&'static str, String)],
    overwrite: bool,
) {
    let mut rows = site.rows(table).to_vec();
    let key = [name];
    let index = match rows.iter().position(|row| row.key(table) == key) {
        Some(index) => index,
        None => {
            rows.push(Row::new(table).with(table, "imagename", name));
            rows.len() - 1
        }
    };
    if let Some(row) = rows.get_mut(index) {
        for (column, value) in values {
            if overwrite || row.get(table, column).is_none() {
                row.set(table, column, Some(value.clone()));
            }
        }
    }
    site.put(table, rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_administrator_set_stays() {
        let mut site = Site::default();
        let mut image = Image::statelite("debian12", "x86_64", "compute");
        image
            .linuximage
            .push(("pkgdir", "/install/debian12/x86_64".to_owned()));
        image.put(&mut site, false);
        let name = "debian12-x86_64-statelite-compute";
        let get = |site: &Site, table: &'static Table, column: &str| {
            site.row(table, &[name])
                .unwrap()
                .get(table, column)
                .map(str::to_owned)
        };
        assert_eq!(
            get(&site, &OSIMAGE, "provmethod").as_deref(),
            Some("statelite")
        );
        let row =
            site.row(&LINUXIMAGE, &[name])
                .unwrap()
                .clone()
                .with(&LINUXIMAGE, "pkgdir", "/mine");
        site.put(&LINUXIMAGE, vec![row]);
        image.put(&mut site, false);
        assert_eq!(get(&site, &LINUXIMAGE, "pkgdir").as_deref(), Some("/mine"));
        image.put(&mut site, true);
        assert_eq!(
            get(&site, &LINUXIMAGE, "pkgdir").as_deref(),
            Some("/install/debian12/x86_64")
        );
        assert_eq!(site.rows(&OSIMAGE).len(), 1);
    }
}
