//! The xCAT Statelite Cookbook, followed from section 2.1 to 2.14 and through 6, command by command.
//!
//! It is done on clean Debian machines of the test's own ([`statelite_tests::vm::host`]): a management node `mn` and a
//! service node `sn1`, with everything at the places where the text has it. What comes out are nodes that run: `n01` in
//! FUSE mode, `n01` again in link mode, and `n02` by way of the service node. Each step is called after its section; where a
//! step differs from the text, `docs/manual/cookbook.md` says how and why.

mod book;
mod boot;
mod exports;
mod hierarchy;
mod image;
mod packages;
mod tables;

use std::time::Instant;

use anyhow::Result;
use book::Book;

use crate::health;

/// A step, by its section.
type Step = (&'static str, fn(&mut Book) -> Result<()>);

/// In the order in which they are done: nodes in FUSE mode start from an image that liteimg has not touched.
const STEPS: [Step; 21] = [
    ("2 Configuring statelite", book::management_node),
    ("2.1 Lock down main image", tables::exports),
    ("2.2 litefile table", tables::litefile),
    ("2.3 litetree table", tables::litetree),
    ("2.4 statelite table", tables::statelite),
    ("2.5 Policy", tables::policy),
    ("2.6 Add Linux distro packages", packages::distro),
    ("2.7 Add third-party software", packages::third_party),
    ("2.8.1 Prepare the .postinstall file", image::postinstall),
    ("2.8.2 Run genimage command", image::genimage),
    ("2.9 Post install scripts", image::scripts_have_run),
    ("2.10 Modify statelite image", image::modify),
    ("2.11 Installing a new kernel", image::kernel),
    ("3 New commands", tables::queries),
    ("2.13 and 2.14 in FUSE mode", boot::fuse),
    ("2.12 Run liteimg command", boot::liteimg),
    ("2.13 and 2.14 in link mode", boot::links),
    (
        "6.1 Setup the diskfull service node",
        hierarchy::service_node,
    ),
    ("6.3 Sync the /install directory", hierarchy::sync),
    ("6.4 Set the boot state", hierarchy::boot_state),
    ("6.5 Install the node", hierarchy::node),
];

#[test]
fn the_cookbook_ends_in_nodes_that_run() {
    if !health::can_run("the_cookbook_ends_in_nodes_that_run") {
        return;
    }
    let start = Instant::now();
    let mut book = Book::open().unwrap();
    eprintln!("machines: {:.1} s", start.elapsed().as_secs_f64());
    for (section, step) in STEPS {
        let start = Instant::now();
        if let Err(error) = step(&mut book) {
            panic!("section {section}: {error:#}");
        }
        eprintln!("section {section}: {:.1} s", start.elapsed().as_secs_f64());
    }
}
