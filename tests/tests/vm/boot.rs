//! Nodes that boot: the baseline, then our daemon, on the same image, tables and servers.

use std::fs;
use std::os::unix::fs::symlink;

use statelite_tests::vm::kernel::Kernel;
use statelite_tests::vm::node::BOOT;
use statelite_tests::vm::site::{Mode, Nfs, Site, Spec};
use statelite_tests::vm::turn;

use crate::{health, units};

/// What the tests add to the table of the cookbook: what is looked at, and nothing that a distribution needs.
const MORE: &str = "\"ALL\",\"/etc/motd\",\"ro\",,\n\"ALL\",\"/var/lib/kept/\",\"persistent\",,\n\
    \"ALL\",\"/etc/kept.conf\",\"persistent\",,\n";

fn table() -> String {
    format!("{}{MORE}{}", health::COOKBOOK, units::ROWS)
}

/// The image's own network service, which knows nothing of what its `/` is reached over.
fn enable_networkd(site: &Site) -> std::io::Result<()> {
    let etc = site.image().join("etc/systemd");
    fs::write(
        etc.join("network/20-eth0.network"),
        "[Match]\nName=eth0\n\n[Network]\nDHCP=yes\n",
    )?;
    let wants = etc.join("system/multi-user.target.wants");
    symlink(
        "/lib/systemd/system/systemd-networkd.service",
        wants.join("systemd-networkd.service"),
    )
}

#[test]
fn our_root_works_like_the_baseline_and_keeps_what_it_must() {
    if !health::can_run("our_root_works_like_the_baseline_and_keeps_what_it_must") {
        return;
    }
    let _turn = turn().unwrap();
    let site = Site::new("fuse").unwrap();
    fs::write(site.image().join("etc/kept.conf"), "from the image\n").unwrap();
    units::install(&site).unwrap();
    let (mut node, baseline) = health::boot(&site, &Spec::new(1, Mode::Overlay)).unwrap();
    let baseline_off = health::reboot(&mut node).unwrap();
    drop(node);

    // The baseline would lose its address to networkd.
    enable_networkd(&site).unwrap();
    let spec = Spec::new(1, Mode::Fuse);
    let server = site.manage(&spec, &table(), &[]).unwrap();
    let (mut node, boot) = health::boot(&site, &spec).unwrap();
    eprintln!(
        "NFS calls: {} against {} of the baseline; seconds: {:.0} against {:.0}",
        boot.calls, baseline.calls, boot.seconds, baseline.seconds
    );
    assert!(
        boot.calls <= baseline.calls,
        "more NFS calls than the baseline"
    );
    assert!(server.asked().iter().any(|command| command == "litefile"));
    health::works_as_a_machine(&mut node).unwrap();
    health::is_ours(&mut node).unwrap();
    units::work(&mut node).unwrap();
    health::cron_ran(&mut node).unwrap();
    health::checks(
        &mut node,
        &[
            ("networkctl status eth0 | grep State:", "~configured"),
            ("ip -o -4 addr show dev eth0 | grep -c inet", "1"),
        ],
    )
    .unwrap();

    // The server's edits show.
    let motd = site.image().join("etc/motd");
    let wait = |text: &str| {
        format!(
            "for i in $(seq 100); do [ \"$(cat /etc/motd 2>&1)\" = '{text}' ] && break; sleep .2; done; cat /etc/motd 2>&1"
        )
    };
    fs::write(&motd, "first\n").unwrap();
    health::checks(&mut node, &[(&wait("first"), "first")]).unwrap();
    fs::write(site.image().join("usr/share/new-file"), "new\n").unwrap();
    let appears = "for i in $(seq 100); do [ -e /usr/share/new-file ] && break; sleep .2; done; cat /usr/share/new-file";
    health::checks(&mut node, &[(appears, "new")]).unwrap();
    fs::remove_file(site.image().join("usr/share/new-file")).unwrap();
    let goes = "for i in $(seq 100); do [ -e /usr/share/new-file ] || break; sleep .2; done; ls /usr/share/new-file 2>&1";
    health::checks(&mut node, &[(goes, "~No such file")]).unwrap();

    // When close returns, the data is on the server.
    let kept = site.state().join("n01/var/lib/kept");
    for number in 0..20 {
        let file = format!("/var/lib/kept/f{number}");
        node.check(&format!("echo {number} >{file}")).unwrap();
        let there = fs::read_to_string(kept.join(format!("f{number}"))).unwrap_or_default();
        assert_eq!(there, format!("{number}\n"), "{file}");
    }
    node.check("echo changed >>/etc/kept.conf; echo gone >/var/tmp/gone")
        .unwrap();
    let off = health::reboot(&mut node).unwrap();
    drop(node);
    eprintln!("down for the reboot in {off:.0} s, the baseline in {baseline_off:.0} s");
    assert!(off < baseline_off + 15.0);

    // What is there is looked at without waiting for all of systemd again.
    let mut node = site.boot(&Spec::bare(1)).unwrap();
    node.wait_shell(BOOT).unwrap();
    health::checks(
        &mut node,
        &[
            ("cat /etc/kept.conf", "from the image\nchanged"),
            ("ls /var/lib/kept | wc -l", "20"),
            ("ls /var/tmp/gone 2>&1", "~No such file"),
        ],
    )
    .unwrap();
    node.check("echo last >/var/lib/kept/last").unwrap();
    node.cut();
    let last = fs::read_to_string(kept.join("last")).unwrap();
    assert_eq!(last, "last\n");
}

#[test]
fn our_root_works_on_the_older_kernel_with_two_nodes() {
    if !health::can_run("our_root_works_on_the_older_kernel_with_two_nodes") {
        return;
    }
    let _turn = turn().unwrap();
    let mut site = Site::new("two").unwrap();
    let mut spec = Spec::new(1, Mode::Overlay);
    (spec.kernel, spec.nfs) = (Kernel::V6_1, Nfs::V41);
    let (mut node, baseline) = health::boot(&site, &spec).unwrap();
    assert!(baseline.calls > 1000, "{baseline:?}");
    health::works_as_a_machine(&mut node).unwrap();
    let baseline_off = health::power_off(&mut node).unwrap();
    drop(node);
    let edited = site.image().join("usr/share/edited");
    fs::write(&edited, "as it was\n").unwrap();
    let mut running = Vec::new();
    for number in [1, 2] {
        let mut spec = Spec::new(number, Mode::Fuse);
        (spec.kernel, spec.nfs) = (Kernel::V6_1, Nfs::V41);
        let tree = site.trees().join(spec.name()).join("etc");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("motd"), format!("this is {}\n", spec.name())).unwrap();
        let tree = format!("10.77.0.2:/trees/{}", spec.name());
        let server = site.manage(&spec, &table(), &[tree]).unwrap();
        let (node, boot) = health::boot(&site, &spec).unwrap();
        assert!(
            boot.calls <= baseline.calls,
            "more NFS calls than the baseline: {} against {}",
            boot.calls,
            baseline.calls
        );
        running.push((node, server));
    }
    for (node, _) in &mut running {
        let name = node.name().to_owned();
        let motd = format!("this is {name}");
        health::checks(node, &[("cat /etc/motd", &motd), ("hostname", &name)]).unwrap();
        node.check(&format!("echo {name} >/var/lib/kept/name"))
            .unwrap();
        health::works_as_a_machine(node).unwrap();
        health::is_ours(node).unwrap();
    }
    // With this version the daemon keeps files open; whatever the server does to one shows all the same.
    let (node, _) = &mut running[0];
    let shows = |text: &str| {
        format!(
            "for i in $(seq 100); do cat /usr/share/edited 2>&1 | grep -qx '{text}' && break; sleep .2; done; cat /usr/share/edited"
        )
    };
    health::checks(node, &[(&shows("as it was"), "as it was")]).unwrap();
    fs::write(&edited, "edited in place\n").unwrap();
    health::checks(node, &[(&shows("edited in place"), "edited in place")]).unwrap();
    let new = edited.with_extension("new");
    fs::write(&new, "replaced\n").unwrap();
    fs::rename(&new, &edited).unwrap();
    health::checks(node, &[(&shows("replaced"), "replaced")]).unwrap();
    fs::remove_file(&edited).unwrap();
    fs::write(&edited, "made anew\n").unwrap();
    health::checks(node, &[(&shows("made anew"), "made anew")]).unwrap();
    for (node, _) in &mut running {
        let name = node.name().to_owned();
        health::checks(node, &[("cat /var/lib/kept/name", &name)]).unwrap();
    }
    // The second goes down when the server of its persistent files is gone already, and a service waits for it.
    for (number, (node, _)) in running.iter_mut().enumerate() {
        let mut longer = 15.0;
        if number == 1 {
            node.check("echo more >>/var/lib/kept/name").unwrap();
            site.state_server().plug(false).unwrap();
            node.check("systemd-run --quiet sh -c 'echo lost >/var/lib/kept/lost'; sleep 2")
                .unwrap();
            // The server is given 15 seconds; systemd alone would wait for twice 90.
            longer = 60.0;
        }
        let off = health::power_off(node).unwrap();
        eprintln!("off in {off:.0} s, the baseline in {baseline_off:.0} s");
        assert!(off < baseline_off + longer);
    }
    let kept = site.state().join("n02/var/lib/kept/name");
    assert_eq!(fs::read_to_string(kept).unwrap(), "n02\nmore\n");
}
