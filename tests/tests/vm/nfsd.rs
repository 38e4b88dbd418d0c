//! Our root over the NFS server that clusters have: the kernel's own.

use std::net::Ipv4Addr;

use statelite_tests::cmd::Cmd;
use statelite_tests::vm::mountstats::Traffic;
use statelite_tests::vm::nfsd::Nfsd;
use statelite_tests::vm::node::BOOT;
use statelite_tests::vm::site::{Mode, Site, Spec};
use statelite_tests::vm::turn;

use crate::health;

#[test]
fn our_root_works_over_the_server_in_the_kernel() {
    if !health::can_run("our_root_works_over_the_server_in_the_kernel") {
        return;
    }
    let _turn = turn().unwrap();
    let site = Site::new("nfsd").unwrap();
    let address = Ipv4Addr::new(10, 77, 0, 4);
    let dir = statelite_tests::scratch::directory().unwrap();
    let files = dir.path().join("server");
    let mut server = Nfsd::start(site.cage(), address, &site.image(), &files).unwrap();
    let root = |vers: &str| format!("root=nfs:{address}:/rootimg:ro,vers={vers}");

    // Version 4.2, which the other server cannot do: reads are READ_PLUS, holes and all.
    let spec = Spec::new(1, Mode::Fuse).with(&root("4.2"));
    let management = site.manage(&spec, health::TABLE, &[]).unwrap();
    let (mut node, boot) = health::boot(&site, &spec).unwrap();
    assert!(boot.calls > 0, "nothing was counted");
    let traffic = node.traffic().unwrap();
    let plus = |calls: &Traffic| calls.calls.contains_key("READ_PLUS");
    assert!(traffic.iter().any(plus), "it is not 4.2: {traffic:?}");
    health::works_as_a_machine(&mut node).unwrap();
    health::is_ours(&mut node).unwrap();
    // A whole library is the file that the server has.
    let sum = |path: String| format!("sha256sum <{path} | cut -d' ' -f1");
    let library = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    let there = sum(format!("{}{library}", site.image().display()));
    let there = Cmd::new("sh").args(["-c", &there]).check().unwrap().stdout;
    health::checks(&mut node, &[(&sum(library.to_owned()), there.trim())]).unwrap();
    health::power_off(&mut node).unwrap();
    drop((node, management));

    let spec = Spec::bare(2).with(&root("3"));
    let _management = site.manage(&spec, health::TABLE, &[]).unwrap();
    let mut node = site.boot(&spec).unwrap();
    node.wait_shell(BOOT).unwrap();
    health::checks(
        &mut node,
        &[
            ("getcap /usr/bin/ping", "/usr/bin/ping cap_net_raw=ep"),
            ("touch /usr/bin/new 2>&1", "~Read-only file system"),
            (
                "echo a >/var/tmp/a && mv /var/tmp/a /var/tmp/b && cat /var/tmp/b",
                "a",
            ),
        ],
    )
    .unwrap();
    assert!(server.alive());
}
