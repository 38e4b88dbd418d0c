//! The configuration for dnsmasq, as text and as dnsmasq itself reads it.

use super::world::{NOBODY, World};
use insta::assert_snapshot;
use statelite_mgmt::bootconf::dnsmasq::{Options, config};
use std::process::Command;

fn world() -> World {
    let mut world = World::current();
    world.setting("domain", "cluster.net");
    for (index, netboot) in [
        "pxe",
        "xnba",
        "ipxe",
        "ipxe-tftp",
        "grub2",
        "grub2-http",
        "httpboot",
        "petitboot",
        "yaboot",
    ]
    .iter()
    .enumerate()
    {
        let node = format!("n1{index}");
        world.set("nodelist", &node, &[("groups", "all")]);
        world.set("hosts", &node, &[("ip", &format!("172.10.2.1{index}"))]);
        world.set(
            "mac",
            &node,
            &[("mac", &format!("52:54:00:00:00:1{index}"))],
        );
        world.set("noderes", &node, &[("netboot", netboot)]);
    }
    world
}

fn text(world: &World, names: bool, networks: &[&str]) -> String {
    let nodes: Vec<_> = world.site.nodes().map(str::to_owned).collect();
    let options = Options {
        networks: networks
            .iter()
            .map(|network| network.parse().unwrap())
            .collect(),
        interfaces: Vec::new(),
        names,
    };
    let (text, skipped) = config(&world.site, &nodes, &options, NOBODY).unwrap();
    assert_eq!(skipped, []);
    text
}

#[test]
fn every_loader_has_its_lines() {
    assert_snapshot!(text(&world(), true, &["172.10.0.1/16"]), @r#"
    # Made by `statelite dnsmasq`; make it again after changes of nodes.
    domain=cluster.net
    local=/cluster.net/
    # Nobody but the nodes below is answered.
    dhcp-ignore=tag:!known
    dhcp-range=172.10.0.0,static,255.255.0.0
    enable-tftp
    tftp-root=/tftpboot
    # Who asks: the architecture of the firmware, or a loader that is running already.
    dhcp-match=set:bios,option:client-arch,0
    dhcp-match=set:efi-x64,option:client-arch,7
    dhcp-match=set:efi-x64,option:client-arch,9
    dhcp-match=set:efi-arm64,option:client-arch,11
    dhcp-vendorclass=set:http-client,HTTPClient
    dhcp-userclass=set:ipxe-client,iPXE
    dhcp-userclass=set:xnba-client,xNBA
    dhcp-boot=tag:grub2,boot/grub2/grub2.x86_64,,172.10.0.1
    dhcp-boot=tag:grub2-http,boot/grub2/grub2.x86_64,,172.10.0.1
    dhcp-boot=tag:httpboot,tag:!http-client,boot/grub2/grub2.x86_64,,172.10.0.1
    dhcp-boot=tag:httpboot,tag:http-client,http://172.10.0.1/tftpboot/boot/grub2/grub2.x86_64.efi
    dhcp-option-force=tag:httpboot,tag:http-client,60,HTTPClient
    dhcp-boot=tag:ipxe,tag:bios,tag:!ipxe-client,undionly.kpxe,,172.10.0.1
    dhcp-boot=tag:ipxe,tag:efi-x64,tag:!ipxe-client,ipxe.efi,,172.10.0.1
    dhcp-boot=tag:ipxe,tag:efi-arm64,tag:!ipxe-client,ipxe-arm64.efi,,172.10.0.1
    dhcp-boot=tag:ipxe-tftp,tag:bios,tag:!ipxe-client,undionly.kpxe,,172.10.0.1
    dhcp-boot=tag:ipxe-tftp,tag:efi-x64,tag:!ipxe-client,ipxe.efi,,172.10.0.1
    dhcp-boot=tag:ipxe-tftp,tag:efi-arm64,tag:!ipxe-client,ipxe-arm64.efi,,172.10.0.1
    dhcp-boot=tag:pxe,pxelinux.0,,172.10.0.1
    dhcp-boot=tag:xnba,tag:bios,tag:!xnba-client,xcat/xnba.kpxe,,172.10.0.1
    dhcp-boot=tag:xnba,tag:efi-x64,tag:!xnba-client,xcat/xnba.efi,,172.10.0.1
    dhcp-boot=tag:yaboot,yaboot,,172.10.0.1
    dhcp-host=52:54:00:ab:cd:ef,set:pxe,172.10.1.1,n01,infinite
    host-record=n01.cluster.net,n01,172.10.1.1
    dhcp-host=52:54:00:00:00:10,set:pxe,172.10.2.10,n10,infinite
    host-record=n10.cluster.net,n10,172.10.2.10
    dhcp-host=52:54:00:00:00:11,set:xnba,set:node-n11,172.10.2.11,n11,infinite
    dhcp-boot=tag:node-n11,tag:xnba-client,tag:bios,http://172.10.0.1/tftpboot/xcat/xnba/nodes/n11
    dhcp-boot=tag:node-n11,tag:xnba-client,tag:efi-x64,http://172.10.0.1/tftpboot/xcat/xnba/nodes/n11.uefi
    host-record=n11.cluster.net,n11,172.10.2.11
    dhcp-host=52:54:00:00:00:12,set:ipxe,set:node-n12,172.10.2.12,n12,infinite
    dhcp-boot=tag:node-n12,tag:ipxe-client,xcat/ipxe/nodes/n12,,172.10.0.1
    host-record=n12.cluster.net,n12,172.10.2.12
    dhcp-host=52:54:00:00:00:13,set:ipxe-tftp,set:node-n13,172.10.2.13,n13,infinite
    dhcp-boot=tag:node-n13,tag:ipxe-client,xcat/ipxe/nodes/n13,,172.10.0.1
    host-record=n13.cluster.net,n13,172.10.2.13
    dhcp-host=52:54:00:00:00:14,set:grub2,172.10.2.14,n14,infinite
    host-record=n14.cluster.net,n14,172.10.2.14
    dhcp-host=52:54:00:00:00:15,set:grub2-http,172.10.2.15,n15,infinite
    host-record=n15.cluster.net,n15,172.10.2.15
    dhcp-host=52:54:00:00:00:16,set:httpboot,172.10.2.16,n16,infinite
    host-record=n16.cluster.net,n16,172.10.2.16
    dhcp-host=52:54:00:00:00:17,set:petitboot,set:node-n17,172.10.2.17,n17,infinite
    dhcp-option-force=tag:node-n17,209,"http://172.10.0.1/tftpboot/petitboot/n17"
    host-record=n17.cluster.net,n17,172.10.2.17
    dhcp-host=52:54:00:00:00:18,set:yaboot,172.10.2.18,n18,infinite
    host-record=n18.cluster.net,n18,172.10.2.18
    "#);
}

#[test]
fn dnsmasq_reads_it() {
    let world = world();
    if Command::new("dnsmasq").arg("--version").output().is_err() {
        eprintln!("SKIPPED: dnsmasq is not installed (package dnsmasq-base)");
        return;
    }
    for (names, networks) in [(true, &["172.10.0.0/16"][..]), (false, &[])] {
        let path = world.dir.path().join("dnsmasq.conf");
        std::fs::write(&path, text(&world, names, networks)).unwrap();
        let test = |path: &std::path::Path| {
            Command::new("dnsmasq")
                .args(["--test", "-C"])
                .arg(path)
                .output()
                .unwrap()
        };
        let output = test(&path);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.contains("syntax check OK"),
            "{said}"
        );
        // It does read the file.
        std::fs::write(&path, "dhcp-host=nonsense,,,\nno-such-option\n").unwrap();
        assert!(!test(&path).status.success());
    }
}

#[test]
fn nodes_without_address_mac_or_loader_are_named() {
    let mut world = World::current();
    for (node, ip, mac, netboot) in [
        ("a1", "", "52:54:00:00:00:01", "pxe"),
        ("a2", "10.0.0.2", "", "pxe"),
        ("a3", "10.0.0.3", "52:54:00:00:00:03", "lilo"),
        ("a4", "10.0.0.4", "52:54:00:00:00:04", "pxe"),
        ("a,5", "10.0.0.5", "52:54:00:00:00:05", "pxe"),
    ] {
        world.set("nodelist", node, &[]);
        world.set("hosts", node, &[("ip", ip)]);
        world.set("mac", node, &[("mac", mac)]);
        world.set("noderes", node, &[("netboot", netboot)]);
    }
    let nodes = ["a1", "a2", "a3", "a4", "a,5"].map(str::to_owned);
    let (text, skipped) = config(&world.site, &nodes, &Options::default(), NOBODY).unwrap();
    let names: Vec<_> = skipped.iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!(names, ["a1", "a2", "a3", "a,5"]);
    assert!(
        text.contains("\nport=0\n") && text.contains("\ndhcp-range=10.0.0.0,static\n"),
        "{text}"
    );
    assert!(
        text.ends_with("dhcp-host=52:54:00:00:00:04,set:pxe,10.0.0.4,a4,infinite\n"),
        "{text}"
    );
    world.setting("domain", "a,b\nexec=x");
    assert!(config(&world.site, &nodes, &Options::default(), NOBODY).is_err());
}

#[test]
fn networks_are_read_strictly() {
    for bad in [
        "10.0.0.0",
        "10.0.0/8",
        "10.0.0.0/0",
        "10.0.0.0/33",
        "x/8",
        "10.0.0.0/8/8",
    ] {
        assert!(
            bad.parse::<statelite_mgmt::bootconf::dnsmasq::Network>()
                .is_err(),
            "{bad}"
        );
    }
}
