//! What a new store holds: the settings and permissions that xCAT sets up and statelite needs.

use crate::tables::schema::{POLICY, SITE};
use crate::tables::{Row, Site};

/// Settings with xCAT's values (facts §1).
const SETTINGS: &[(&str, &str)] = &[
    ("installdir", "/install"),
    ("tftpdir", "/tftpboot"),
    ("xcatdport", "3001"),
    ("xcatiport", "3002"),
    ("httpport", "80"),
];

/// What nodes may ask. xCAT has no row for getpartition, its documents add 7.1.
const PERMISSIONS: &[(&str, &str)] = &[
    ("4.7", "litefile"),
    ("4.8", "litetree"),
    ("7.1", "getpartition"),
];

/// A fresh site.
pub(super) fn site() -> Site {
    let mut site = Site::default();
    for (key, value) in SETTINGS {
        let row = Row::new(&SITE).with(&SITE, "key", key);
        site.add(&SITE, row.with(&SITE, "value", value));
    }
    for (priority, command) in PERMISSIONS {
        let row = Row::new(&POLICY)
            .with(&POLICY, "priority", priority)
            .with(&POLICY, "commands", command);
        site.add(&POLICY, row.with(&POLICY, "rule", "allow"));
    }
    site
}
