//! The kernel's command line: order and blanks, piece by piece.

use super::world::{NOBODY, World};
use insta::assert_snapshot;
use statelite_mgmt::bootconf::address::Lookup;
use std::net::{IpAddr, Ipv4Addr};

fn sles(version: &str) -> World {
    let mut world = World::bare(version, "x86_64");
    let name = "rhels9.4-x86_64-statelite-compute";
    world.set(
        "osimage",
        name,
        &[
            ("provmethod", "statelite"),
            ("osvers", version),
            ("osarch", "x86_64"),
            ("profile", "compute"),
        ],
    );
    let dir = world.image().display().to_string();
    world.set("linuximage", name, &[("rootimgdir", &dir)]);
    world.set(
        "noderes",
        "all",
        &[("xcatmaster", "mn"), ("nfsserver", "nfs1")],
    );
    world
}

#[test]
fn sles_has_its_own_order_and_keeps_names() {
    let mut world = sles("sles11.1");
    assert_snapshot!(world.line() + "|", @"NFSROOT=nfs1:/install/netboot/sles11.1/x86_64/compute STATEMNT= XCAT=mn:3001  XCATHTTPPORT=80 NODE=n01 FC=0 ip=dhcp |");
    world.console();
    std::fs::write(world.image().join("rootimg/etc/dracut.conf"), "").unwrap();
    world.set(
        "statelite",
        "all",
        &[
            ("statemnt", "cnfs:/gpfs/state"),
            ("mntopts", "soft,timeo=30"),
        ],
    );
    world.setting("nodestatus", "n");
    world.setting("useflowcontrol", "1");
    assert_snapshot!(world.line(), @"root=nfs:nfs1:/install/netboot/sles11.1/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=mn:3001  XCATHTTPPORT=80  nonodestatus NODE=n01 FC=1 ip=dhcp console=tty0 console=ttyS0,115200n8r MNTOPTS=soft,timeo=30");
    world.set("noderes", "all", &[("nfsdir", "//vol")]);
    assert!(
        world
            .line()
            .starts_with("root=nfs:nfs1://vol/netboot/sles11.1/x86_64/compute/rootimg:ro ")
    );
}

#[test]
fn red_hat_resolves_names() {
    let mut world = World::current();
    world.set(
        "noderes",
        "all",
        &[
            ("xcatmaster", "mn"),
            ("tftpserver", "tftp"),
            ("nfsserver", "nfs1"),
        ],
    );
    world.set("hosts", "mn", &[("ip", "10.0.0.2")]);
    world.set("hosts", "nfs1", &[("ip", "10.0.0.3")]);
    world.set("hosts", "tftp", &[("ip", "10.0.0.4")]);
    let line = world.line();
    assert!(line.starts_with("root=nfs:10.0.0.3:/install/"), "{line}");
    assert!(line.contains(" XCAT=10.0.0.2:3001 "), "{line}");
    world.netboot("grub2");
    assert!(world.text().contains("set root=tftp,10.0.0.4\n"));
    world.netboot("petitboot");
    assert!(world.text().contains("kernel http://tftp:80/tftpboot/"));
}

#[test]
fn without_dracut_the_root_is_told_as_in_2010() {
    for (os, wanted) in [
        (
            "rhels5.8",
            "NFSROOT=172.10.0.1:/install/netboot/rhels5.8/x86_64/compute STATEMNT=",
        ),
        (
            "rhels6",
            "root=nfs:172.10.0.1:/install/netboot/rhels6/x86_64/compute/rootimg:ro STATEMNT=",
        ),
    ] {
        let mut world = sles(os);
        world.set(
            "noderes",
            "all",
            &[("xcatmaster", "172.10.0.1"), ("nfsserver", "")],
        );
        assert!(world.line().starts_with(wanted), "{os}");
    }
}

#[test]
fn options_of_the_root_and_of_the_store() {
    let mut world = World::current();
    world.set(
        "osimage",
        "rhels9.4-x86_64-statelite-compute",
        &[("nfsrootopts", "vers=3,nolock")],
    );
    world.set(
        "statelite",
        "n01",
        &[
            ("statemnt", "$noderes.xcatmaster:/lite/$node"),
            ("mntopts", "soft"),
        ],
    );
    let line = world.line();
    assert!(
        line.contains("/rootimg:ro,vers=3,nolock STATEMNT=172.10.0.1:/lite/n01 XCAT="),
        "{line}"
    );
    assert!(line.ends_with(" selinux=0  MNTOPTS=soft"), "{line}");
}

#[test]
fn directories_that_start_with_two_slashes_are_used_as_they_are() {
    let mut world = World::current();
    world.set("noderes", "all", &[("nfsdir", "//vol/one")]);
    assert!(
        world
            .line()
            .starts_with("root=nfs:172.10.0.1:/vol/one/rootimg:ro ")
    );
}

#[test]
fn a_packed_image_is_fetched() {
    let mut world = World::current();
    world.set(
        "osimage",
        "rhels9.4-x86_64-statelite-compute",
        &[("rootfstype", "ramdisk")],
    );
    assert_snapshot!(world.text(), @r"
    #statelite rhels9.4-x86_64-compute
    DEFAULT xCAT
    LABEL xCAT
     KERNEL xcat/osimage/rhels9.4-x86_64-statelite-compute/kernel
     APPEND initrd=xcat/osimage/rhels9.4-x86_64-statelite-compute/initrd-stateless.gz imgurl=http://172.10.0.1:80//DIR/image/rootimg-statelite.gz STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01 XCATHTTPPORT=80  console=tty0 console=ttyS0,115200n8r selinux=0  MNTOPTS=
      IPAPPEND 2
    ");
    std::fs::write(world.image().join("rootimg-statelite.gz.metainfo"), "").unwrap();
    world.setting("httpport", "8080");
    assert!(world.line().starts_with(
        "imgurl=http://172.10.0.1:8080//DIR/image/rootimg-statelite.gz.metainfo STATEMNT="
    ));
}

#[test]
fn debug_mode_says_where_logs_go() {
    let mut world = World::current();
    world.setting("xcatdebugmode", "2");
    world.setting("nodestatus", "0");
    assert_snapshot!(world.line(), @"root=nfs:172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01  nonodestatus XCATHTTPPORT=80  LOGSERVER=172.10.0.1  syslog.server=172.10.0.1 syslog.type=rsyslogd syslog.filter=*.*  xcatdebugmode=2  console=tty0 console=ttyS0,115200n8r selinux=0  MNTOPTS=");
    world.netboot("grub2");
    assert!(
        world
            .text()
            .contains("-compute\nset debug=all\nset timeout=5\n")
    );
    world.setting("xcatdebugmode", "0");
    assert!(!world.line().contains("LOGSERVER"));
}

#[test]
fn the_interface_by_name_or_by_address() {
    for (install, node, primary, wanted) in [
        (
            "eth1",
            "eth2",
            "eth3",
            " XCATHTTPPORT=80 netdev=eth1  console=",
        ),
        (
            "mac",
            "eth2",
            "eth3",
            " XCATHTTPPORT=80 netdev=eth2  console=",
        ),
        ("", "", "eth3", " XCATHTTPPORT=80 netdev=eth3  console="),
        (
            "52:54:00:00:00:01",
            "",
            "",
            " XCATHTTPPORT=80 BOOTIF=52:54:00:00:00:01  console=",
        ),
        ("mac", "", "mac", " XCATHTTPPORT=80  console="),
    ] {
        let mut world = World::current();
        world.set(
            "noderes",
            "all",
            &[("installnic", install), ("primarynic", primary)],
        );
        world.set(
            "linuximage",
            "rhels9.4-x86_64-statelite-compute",
            &[("nodebootif", node)],
        );
        let line = world.line();
        assert!(line.contains(wanted), "{install}/{node}/{primary}: {line}");
    }
}

#[test]
fn power_is_told_the_address_it_boots_over() {
    let mut world = World::current();
    world.set(
        "osimage",
        "rhels9.4-x86_64-statelite-compute",
        &[("osarch", "ppc64le")],
    );
    let line = world.line();
    assert!(
        line.contains(
            "XCATHTTPPORT=80 BOOTIF=52:54:00:ab:cd:ef  console=tty0 console=hvc0,115200n8r"
        ),
        "{line}"
    );
    world.netboot("grub2");
    let text = world.text();
    assert!(
        text.contains("\n    linux /xcat/osimage/") && text.contains("\n    initrd /xcat/"),
        "{text}"
    );
}

#[test]
fn consoles() {
    for (values, wanted) in [
        (
            [
                ("serialport", "1"),
                ("serialspeed", "9600"),
                ("serialflow", ""),
            ],
            Some(" console=tty0 console=ttyS1,9600 selinux"),
        ),
        (
            [
                ("serialport", "1"),
                ("serialspeed", "9600"),
                ("serialflow", "none"),
            ],
            Some(" console=tty0 console=ttyS1,9600 selinux"),
        ),
        (
            [
                ("serialport", "1"),
                ("serialspeed", "9600"),
                ("serialflow", "ctsrts"),
            ],
            Some("ttyS1,9600n8r selinux"),
        ),
        (
            [
                ("serialport", ""),
                ("serialspeed", "9600"),
                ("serialflow", "hard"),
            ],
            None,
        ),
    ] {
        let mut world = World::current();
        world.set("nodehm", "all", &values);
        let line = world.line();
        match wanted {
            Some(wanted) => assert!(line.contains(wanted), "{line}"),
            None => assert!(!line.contains("console"), "{line}"),
        }
    }
    let mut world = World::current();
    world.set("nodehm", "all", &[("serialspeed", "")]);
    let error = world
        .outcome("osimage=rhels9.4-x86_64-statelite-compute", NOBODY)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "serialport defined, but no serialspeed in nodehm table"
    );
}

#[test]
fn local_disks_and_dumps() {
    let mut world = World::current();
    let layout = world.dir.path().join("layout");
    std::fs::write(&layout, "enable=yes\n").unwrap();
    let name = "rhels9.4-x86_64-statelite-compute";
    world.set(
        "linuximage",
        name,
        &[
            ("partitionfile", layout.to_str().unwrap()),
            ("dump", "nfs://10.0.0.1/dump"),
        ],
    );
    assert!(
        world.line().ends_with(
            " selinux=0  crashkernel=128M dump=nfs://10.0.0.1/dump  PARTITION_RH MNTOPTS="
        )
    );
    world.set("linuximage", name, &[("crashkernelsize", "512M")]);
    assert!(world.line().contains(" crashkernel=512M dump="));
    let mut world = sles("sles15");
    world.set(
        "linuximage",
        name,
        &[("partitionfile", layout.to_str().unwrap())],
    );
    std::fs::create_dir_all(layout.parent().unwrap()).unwrap();
    std::fs::write(&layout, "enable=yes\n").unwrap();
    assert!(world.line().ends_with(" ip=dhcp  PARTITION_SLES"));
    std::fs::remove_dir_all(layout.parent().unwrap()).unwrap();
}

#[test]
fn selinux_is_left_alone_where_it_is() {
    for (os, off) in [
        ("rhels9.4", true),
        ("centos7", false),
        ("debian12", false),
        ("fedora39", true),
    ] {
        assert_eq!(sles(os).line().contains("selinux=0"), off, "{os}");
    }
}

#[test]
fn debian_reads_the_form_of_dracut() {
    let line = sles("debian12").line();
    assert_snapshot!(line + "|", @"root=nfs:nfs1:/install/netboot/debian12/x86_64/compute/rootimg:ro STATEMNT= XCAT=mn:3001 NODE=n01 XCATHTTPPORT=80  MNTOPTS=|");
}

#[test]
fn words_an_administrator_adds() {
    let name = "rhels9.4-x86_64-statelite-compute";
    let mut world = World::current();
    world.set("nodepos", "n01", &[("rack", "r7")]);
    world.set("linuximage", name, &[(
        "addkcmdline",
        "quiet R::root=/dev/sda  rack=#NODEATTRIB:nodepos:rack# os=#TABLE:nodetype:$NODE:os# x=#TABLE:nodepos:THISNODE:room#",
    )]);
    assert!(
        world
            .line()
            .ends_with(" MNTOPTS= quiet rack=r7 os=rhels9.4 x= "),
        "{}",
        world.line()
    );
    world.netboot("xnba");
    assert!(world.text().contains(" x=  BOOTIF=01-${netX/mac:hexhyp}\n"));
    world.netboot("petitboot");
    assert!(
        world
            .text()
            .contains(" MNTOPTS= quiet R::root=/dev/sda  rack=r7 os=rhels9.4 x=\"\n")
    );
    world.set("linuximage", name, &[("boottarget", "other")]);
    assert!(world.line().ends_with(" MNTOPTS="));
    for (bad, reason) in [
        (
            "#NODEATTRIB:nodepos:colour#",
            "no column colour of nodes in a table nodepos",
        ),
        (
            "#NODEATTRIB:osimage:profile#",
            "no column profile of nodes in a table osimage",
        ),
        (
            "#TABLE:nodepos:n02:rack#",
            "the key can only be $NODE or THISNODE",
        ),
        ("#TABLE:nodepos:rack#", "expected #NODEATTRIB"),
    ] {
        world.set(
            "linuximage",
            name,
            &[("addkcmdline", bad), ("boottarget", "")],
        );
        let error = world.outcome("osimage", NOBODY).unwrap_err().to_string();
        assert!(error.contains(reason), "{bad}: {error}");
    }
}

#[test]
fn our_own_words_only_when_the_site_asks() {
    let mut world = World::current();
    world.setting("statelitemode", "links");
    assert!(world.line().ends_with(" MNTOPTS= statelite.mode=links"));
    world.setting("statelitemode", "fuse");
    assert!(world.line().ends_with(" MNTOPTS="));
    world.setting("statelitemode", "links");
    world.set(
        "linuximage",
        "rhels9.4-x86_64-statelite-compute",
        &[("addkcmdline", "statelite.mode=fuse")],
    );
    assert!(world.line().ends_with(" MNTOPTS= statelite.mode=fuse "));
    let mut world = World::seed("x86_64");
    assert!(world.line().ends_with(" XCAT=172.10.0.1:3001 "));
    world.setting("statelitemode", "links");
    assert!(
        world
            .line()
            .ends_with(":3001  statelite.mode=links statelite.dialect=2010")
    );
    world.setting("statelitemode", "fuse");
    assert!(world.line().ends_with(":3001  statelite.dialect=2010"));
}

#[test]
fn without_a_named_server_it_is_the_address_that_faces_the_node() {
    let faces = Lookup {
        name: |_| None,
        facing: |node| {
            (node == Ipv4Addr::new(172, 10, 1, 1))
                .then_some(IpAddr::V4(Ipv4Addr::new(172, 10, 9, 9)))
        },
        serving: None,
    };
    let mut world = World::current();
    world.set(
        "noderes",
        "all",
        &[
            ("xcatmaster", ""),
            ("tftpserver", "<xcatmaster>"),
            ("nfsserver", "<xcatmaster>"),
        ],
    );
    for (netboot, wanted) in [
        (
            "pxe",
            "root=nfs:172.10.9.9:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=172.10.9.9:3001",
        ),
        ("grub2", "set root=tftp,172.10.9.9\n"),
        ("petitboot", "kernel http://172.10.9.9:80/tftpboot/"),
        (
            "xnba",
            "root=nfs:${next-server}:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro STATEMNT=cnfs:/gpfs/state XCAT=${next-server}:3001",
        ),
    ] {
        world.netboot(netboot);
        let plan = world
            .outcome("osimage=rhels9.4-x86_64-statelite-compute", faces)
            .unwrap();
        assert!(
            plan.files[0].1.contains(wanted),
            "{netboot}: {}",
            plan.files[0].1
        );
    }
    world.netboot("pxe");
    let error = world.outcome("osimage", NOBODY).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no address of this host faces the node: set noderes.xcatmaster, or site.master"
    );
    world.setting("master", "172.10.0.1");
    assert!(world.outcome("osimage", NOBODY).is_ok());
}

#[test]
fn values_that_would_add_lines_or_arguments_are_refused() {
    let name = "rhels9.4-x86_64-statelite-compute";
    for (table, key, column, value) in [
        ("osimage", name, "nfsrootopts", "nolock init=/bin/sh"),
        ("osimage", name, "nfsrootopts", "rw"),
        ("linuximage", name, "addkcmdline", "quiet\nLABEL evil"),
        ("noderes", "all", "xcatmaster", "mn evil=1"),
        ("noderes", "all", "nfsserver", "a\nb"),
        ("noderes", "all", "nfsdir", "relative"),
        ("noderes", "all", "tftpdir", "/tftpboot/../etc"),
        ("noderes", "all", "installnic", "eth0 single"),
        ("nodehm", "all", "serialspeed", "115200 single"),
        ("mac", "n01", "mac", "not-a-mac"),
        ("statelite", "all", "mntopts", "soft hard"),
        ("statelite", "all", "statemnt", "cnfs:/a b"),
        ("statelite", "all", "statemnt", "cnfs:/$nodepos.rack"),
    ] {
        let mut world = World::current();
        world.set(table, key, &[(column, value)]);
        let outcome = world.outcome(&format!("osimage={name}"), NOBODY);
        assert!(
            outcome.is_err(),
            "{table}.{column} {value:?} is taken: {outcome:?}"
        );
    }
    for (netboot, words) in [
        ("petitboot", "a=\"b c\""),
        ("yaboot", "a=\"b c\""),
        ("yaboot", "a\\"),
        ("grub2", "a=1;reboot"),
        ("grub2-http", "x}"),
        ("grub2", "a\"b"),
        ("grub2", "it's"),
        ("grub2", "$x"),
        ("httpboot", "a\\"),
        ("grub2", "#x"),
        ("xnba", "|| sh"),
        ("xnba", "${net0/ip}"),
        ("xnba", "a=\"b c\""),
        ("ipxe", "a && sh"),
        ("ipxe-tftp", "#x"),
    ] {
        let mut world = World::current();
        world.netboot(netboot);
        world.set("linuximage", name, &[("addkcmdline", words)]);
        let error = world
            .outcome(&format!("osimage={name}"), NOBODY)
            .unwrap_err();
        let text = words.escape_debug();
        let wanted = format!("linuximage.addkcmdline is \"{text}\": ");
        assert!(error.to_string().starts_with(&wanted), "{netboot}: {error}");
        // What one loader does not take is nothing to another.
        world.netboot("pxe");
        assert!(world.text().contains(words), "{words}");
    }
    // Values of other columns come into the same line.
    let mut world = World::current();
    world.netboot("grub2");
    world.set("noderes", "all", &[("nfsdir", "/a;b")]);
    let error = world.outcome(&format!("osimage={name}"), NOBODY);
    let wanted = "a part of the kernel's command line is \"root=nfs:172.10.0.1:/a;b/netboot/rhels9.4/x86_64/compute/rootimg:ro\": \
                  GRUB takes ; ";
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(wanted), "{error}");
    world.netboot("xnba");
    world.set("noderes", "all", &[("nfsdir", "/${x}"), ("xcatmaster", "")]);
    let error = world.outcome(&format!("osimage={name}"), NOBODY);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("/${x}/") && error.contains("iPXE"),
        "{error}"
    );
    // A value that a template brings is judged where it is filled in.
    world.set("noderes", "all", &[("nfsdir", "/install")]);
    world.set("nodepos", "n01", &[("rack", "a || sh")]);
    let words = "rack=#NODEATTRIB:nodepos:rack#";
    world.set("linuximage", name, &[("addkcmdline", words)]);
    let error = world.outcome(&format!("osimage={name}"), NOBODY);
    let wanted = "linuximage.addkcmdline is \"rack=a || sh\": iPXE";
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with(wanted), "{error}");
}
