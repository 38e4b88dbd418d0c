//! Names of images, osimage and linuximage.

use super::{Facts, Sink};
use crate::tables::schema::{LINUXIMAGE, LITEFILE, LITETREE, NODETYPE, OSIMAGE};

/// Values of nodetype.provmethod that are no images. The first three stand for an image named by os, arch and profile.
const METHODS: &[&str] = &[
    "install",
    "netboot",
    "statelite",
    "boot",
    "sysclone",
    "osimage",
];

/// Values of an image column that mean every image.
const EVERY: &str = "ALL";

pub(super) fn unknown(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for table in [&LITEFILE, &LITETREE] {
        for (row, name) in facts.values(table, "image") {
            if name == EVERY || facts.has_image(name) || facts.image_groups.contains(name) {
                continue;
            }
            let one_of = |list: &&&str| list.split(',').any(|group| group.trim() == name);
            let reason = match facts.image_groups.iter().find(one_of) {
                Some(list) => format!(
                    "\"{name}\" is one of several groups of an osimage, which are compared as one word: the row \
                     applies only as \"{list}\""
                ),
                None => format!(
                    "no osimage \"{name}\", and no osimage has that group: the row applies to no node"
                ),
            };
            sink.report(table, row, "image", reason);
        }
    }
    for (row, name) in facts.values(&LINUXIMAGE, "imagename") {
        if !facts.has_image(name) {
            let reason = format_args!("no osimage \"{name}\"");
            sink.report(&LINUXIMAGE, row, "imagename", reason);
        }
    }
}

pub(super) fn blank(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for row in facts.live(&LITEFILE) {
        if row.1.get(&LITEFILE, "image").is_none() {
            let reason = "read as every image; current xCAT finds no such rows: write ALL";
            sink.report(&LITEFILE, row, "image", reason);
        }
    }
}

pub(super) fn provmethod(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, name) in facts.values(&NODETYPE, "provmethod") {
        if !name.starts_with(['|', '/'])
            && let Some(reason) = no_method(facts, name)
        {
            sink.report(&NODETYPE, row, "provmethod", reason);
        }
    }
}

pub(super) fn no_method(facts: &Facts<'_>, name: &str) -> Option<String> {
    let reason = || {
        let known = METHODS.join(" ");
        format!("no osimage \"{name}\" (else it is one of: {known})")
    };
    (!METHODS.contains(&name) && !facts.has_image(name)).then(reason)
}

pub(super) fn groups(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, groups) in facts.values(&OSIMAGE, "groups") {
        if groups.contains(',') {
            let reason = format_args!(
                "\"{groups}\" is compared as one word with litefile.image and litetree.image, so neither group alone \
                 matches"
            );
            sink.report(&OSIMAGE, row, "groups", reason);
        }
    }
}

pub(super) fn nfsrootopts(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for (row, value) in facts.values(&OSIMAGE, "nfsrootopts") {
        let reason = if value.contains(char::is_whitespace) {
            "options are separated by commas, without whitespace"
        } else if value.split(',').any(str::is_empty) {
            "there is a comma without an option"
        } else if value.split(',').any(|word| word == "rw") {
            "\"rw\" is not possible: all nodes share this root, and it is mounted read-only"
        } else if value.split(',').any(|word| word == "defaults") {
            "\"defaults\" is not possible: it would make the root writable"
        } else {
            continue;
        };
        sink.report(&OSIMAGE, row, "nfsrootopts", reason);
    }
}
