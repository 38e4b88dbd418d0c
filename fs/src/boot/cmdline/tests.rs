use super::*;
use address::Fixed;

fn line(text: &str) -> CommandLine {
    parse(text).unwrap()
}

fn source(text: &str) -> Option<Source> {
    Some(text.parse().unwrap())
}

#[test]
fn the_form_of_2010() {
    let line = line(
        "initrd=xcat/netboot/rhel5.3/x86_64/compute/initrd.gz \
         NFSROOT=172.10.0.1:/install/netboot/rhel5.3/x86_64/compute STATEMNT=cnfs:/gpfs/state \
         XCAT=172.10.0.1:3001 console=tty0 console=ttyS0,115200n8r",
    );
    assert_eq!(
        line,
        CommandLine {
            image: source("172.10.0.1:/install/netboot/rhel5.3/x86_64/compute/rootimg"),
            statemnt: source("cnfs:/gpfs/state"),
            server: Some(Host {
                name: "172.10.0.1".into(),
                port: 3001
            }),
            ..CommandLine::default()
        }
    );
}

#[test]
fn the_current_form_of_red_hat() {
    let line = line(
        "root=nfs:172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg:ro,nocto,actimeo=60 \
         STATEMNT=cnfs:/gpfs/state XCAT=172.10.0.1:3001 NODE=n01 XCATHTTPPORT=80  \
         netdev=eth1 console=tty0 selinux=0  PARTITION_RH MNTOPTS=soft,timeo=30 BOOTIF=01-52-54-00-12-34-56 shell nonodestatus",
    );
    assert_eq!(
        line,
        CommandLine {
            image: source("172.10.0.1:/install/netboot/rhels9.4/x86_64/compute/rootimg"),
            image_options: vec!["ro".into(), "nocto".into(), "actimeo=60".into()],
            statemnt: source("cnfs:/gpfs/state"),
            server: Some(Host {
                name: "172.10.0.1".into(),
                port: 3001
            }),
            node: Some("n01".into()),
            netdev: Some("eth1".into()),
            partition: true,
            mntopts: vec!["soft".into(), "timeo=30".into()],
            bootif: Mac::parse("52:54:00:12:34:56"),
            shell: true,
            no_status: true,
            ..CommandLine::default()
        }
    );
}

#[test]
fn the_order_of_sles_and_empty_values() {
    let line = line(
        "NFSROOT=srv:/install/netboot/sles11/x86_64/compute STATEMNT= XCAT=mn:3001  XCATHTTPPORT=80 \
         NODE=n02 FC=0 ip=dhcp  console=ttyS0 PARTITION_SLES MNTOPTS=",
    );
    assert_eq!(line.statemnt, None);
    assert_eq!(line.ip, Some(Ip::Dhcp(None)));
    assert_eq!(line.node.as_deref(), Some("n02"));
    assert!(line.partition && line.mntopts.is_empty());
}

#[test]
fn places_of_the_image() {
    for (text, image, options) in [
        ("root=nfs:s:/a:ro", "s:/a", &["ro"][..]),
        ("root=nfs:s:/a", "s:/a", &[]),
        ("root=nfs:s:/a,vers=3", "s:/a", &["vers=3"]),
        ("root=nfs4:s:/a:ro", "s:/a", &["ro", "vers=4.1"]),
        ("root=s:/a:ro", "s:/a", &["ro"]),
        (
            "root=nfs:[fe80::1]:/a:ro,nolock",
            "[fe80::1]:/a",
            &["ro", "nolock"],
        ),
        ("root=/dev/nfs nfsroot=s:/a,ro", "s:/a", &["ro"]),
        ("NFSROOT=s:/a/ root=nfs:t:/b:ro", "t:/b", &["ro"]),
        ("NFSROOT=s:/a/ root=LABEL=x", "s:/a/rootimg", &[]),
        (
            "NFSROOT=[fd00::1]:/a root=/dev/sda1",
            "[fd00::1]:/a/rootimg",
            &[],
        ),
        ("statelite.root=u:/c root=nfs:t:/b:ro", "u:/c", &[]),
        ("statelite.root=/local", "/local", &[]),
        ("root=nfs:s:/a:ro root=nfs:t:/b:rw", "t:/b", &["rw"]),
    ] {
        let line = line(text);
        assert_eq!(line.image, source(image), "{text}");
        assert_eq!(line.image_options, options, "{text}");
    }
    for text in [
        "root=/dev/sda1 ro",
        "root=live:http://mn/root.img",
        "root=live:/dev/sr0",
        "root=block:/dev/sda1",
        "root=http://mn/root.img",
        "root=iscsi:10.0.0.1::::iqn.2010-01.cluster:/x",
    ] {
        assert_eq!(line(text).image, None, "{text}");
    }
}

#[test]
fn a_root_that_is_wrong_stops_the_boot_only_if_nothing_else_names_the_image() {
    for (more, image) in [
        ("statelite.root=s:/a", "s:/a"),
        ("NFSROOT=s:/a", "s:/a/rootimg"),
        ("nfsroot=s:/a,ro", "s:/a"),
    ] {
        for text in [
            format!("root=nfs:/a:ro {more}"),
            format!("{more} root=nfs:/a:ro"),
        ] {
            let line = line(&text);
            assert_eq!(line.image, source(image), "{text}");
            let told = line.warnings.join("\n");
            assert!(
                told.contains("root=nfs:/a:ro: no server is named"),
                "{told}"
            );
        }
    }
}

#[test]
fn own_words() {
    let line = line(
        "statelite.mode=links statelite.dialect=2010 statelite.nfsopts=vers=3,nocto statelite.image=img \
         statelite.freshness=published statelite.implied=none statelite.policy=file:/etc/statelite/tables statelite.timeout=20 \
         statelite.reboot=5 statelite.volatile=20% statelite.debug statelite.colour=blue",
    );
    assert_eq!(
        line.warnings,
        ["statelite.colour is not known and passed over"]
    );
    assert_eq!(
        line,
        CommandLine {
            mode: Mode::Links,
            dialect: Dialect::Seed2010,
            nfs_options: vec!["vers=3".into(), "nocto".into()],
            image_name: Some("img".into()),
            freshness: Some(Freshness::Published),
            implied: Some(Implied::None),
            policy: PolicyFrom::Tables("/etc/statelite/tables".into()),
            timeout: Some(Duration::from_secs(20)),
            reboot: Some(Duration::from_secs(5)),
            volatile_size: Some("20%".into()),
            debug: true,
            warnings: line.warnings.clone(),
            ..CommandLine::default()
        }
    );
}

#[test]
fn words_that_cannot_be_followed_are_named() {
    for (text, says) in [
        (
            "statelite.mode=fast",
            "expected statelite.mode=fuse | links",
        ),
        ("statelite.dialect=2011", "unknown dialect"),
        (
            "statelite.policy=file:x",
            "expected statelite.policy=server | file:DIR",
        ),
        ("statelite.timeout=soon", "whole seconds"),
        ("statelite.debug=1", "takes no value"),
        ("NODE=../x", "not a node's name"),
        ("STATEMNT=cnfs", "neither server:dir"),
        ("XCAT=fe80::1:3001", "brackets"),
        ("XCAT=mn:many", "port"),
        ("root=nfs:/a:ro", "no server is named"),
        ("root=nfs:s:/a:ro,readahead=abc", "readahead=abc: expected"),
        ("statelite.nfsopts=readahead=abc", "readahead=abc: expected"),
        ("MNTOPTS=timeo=soon", "timeo=soon: expected"),
    ] {
        let errors = parse(text).unwrap_err();
        let word = text.split(' ').next().unwrap();
        assert_eq!(errors.len(), 1, "{text}");
        assert_eq!(errors[0].word, word);
        assert!(
            errors[0].reason.contains(says),
            "{text}: {}",
            errors[0].reason
        );
    }
    assert_eq!(parse("statelite.mode=x NODE=/ quiet").unwrap_err().len(), 2);
}

#[test]
fn words_about_the_network_that_cannot_be_read_stop_no_boot() {
    for (text, says) in [
        (
            "ip=10.0.0.2::10.0.0.1:255.0.255.0:n:eth0:none",
            "no network mask",
        ),
        ("ip=10.0.0.2::10.0.0.1::n:eth0:none", "mask is missing"),
        ("ip=eth0:fast", "not known"),
        ("ip=eth0:static", "not known"),
        ("ip=eth0:dhcp,dhcp6", "not known"),
        ("ip=static", "expected dhcp"),
        ("nameserver=bad", "not an address"),
    ] {
        let line = line(text);
        let [word] = line.unread.as_slice() else {
            panic!("{text}: {:?}", line.unread);
        };
        assert!(word.starts_with(&format!("{text}: ")), "{word}");
        assert!(word.contains(says), "{word}");
        assert_eq!(line.warnings, [format!("{word}; passed over")]);
        assert_eq!((line.ip, line.nameservers.len()), (None, 0));
    }
    let both = line("ip=eth0:dhcp ip=eth0:static nameserver=10.0.0.1 nameserver=x");
    assert_eq!(both.ip, Some(Ip::Dhcp(Some("eth0".into()))));
    assert_eq!(both.nameservers.len(), 1);
    assert_eq!(both.unread.len(), 2);
}

#[test]
fn a_slash_too_many_before_the_server_is_forgiven() {
    let line = line("STATEMNT=/cnfs:/gpfs/state NODE=n1");
    assert_eq!(line.statemnt, source("cnfs:/gpfs/state"));
    assert_eq!(line.warnings.len(), 1);
}

#[test]
fn servers_and_cards() {
    for (text, shown) in [
        ("mn", "mn:3001"),
        ("mn:4001", "mn:4001"),
        ("10.0.0.1:3001", "10.0.0.1:3001"),
        ("[fd00::1]:3002", "[fd00::1]:3002"),
        ("[fd00::1]", "[fd00::1]:3001"),
    ] {
        assert_eq!(address::host(text).unwrap().to_string(), shown);
    }
    for text in [
        "01-52-54-00-aa-BB-56",
        "52:54:00:aa:bb:56",
        "52-54-00-AA-bb-56",
    ] {
        assert_eq!(Mac::parse(text).unwrap().to_string(), "52:54:00:aa:bb:56");
    }
    for text in [
        "",
        "${netX/mac:hexhyp}",
        "01-",
        "52:54:00:12:34",
        "52:54:00:12:34:5",
    ] {
        assert_eq!(Mac::parse(text), None, "{text}");
    }
    assert_eq!(line("BOOTIF=$net_default_mac").warnings.len(), 1);
}

#[test]
fn addresses() {
    let fixed = |text: &str| match Ip::parse(text).unwrap() {
        Some(Ip::Fixed(fixed)) => fixed,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(
        fixed("10.0.0.2::10.0.0.1:255.255.255.0:n1:eth0:none:10.0.0.53"),
        Fixed {
            card: Some("eth0".into()),
            address: "10.0.0.2".parse().unwrap(),
            prefix: 24,
            gateway: Some("10.0.0.1".parse().unwrap()),
            host: Some("n1".into()),
            nameservers: vec!["10.0.0.53".parse().unwrap()],
        }
    );
    assert_eq!(fixed("10.0.0.2:::16").prefix, 16);
    assert_eq!(fixed("10.0.0.2/8::::").prefix, 8);
    for (text, ip) in [
        ("dhcp", Some(Ip::Dhcp(None))),
        ("eth0:dhcp", Some(Ip::Dhcp(Some("eth0".into())))),
        (":::::eth1:dhcp", Some(Ip::Dhcp(Some("eth1".into())))),
        (
            "10.0.0.2::10.0.0.1:24:n1:eth0:dhcp",
            Some(Ip::Dhcp(Some("eth0".into()))),
        ),
        ("10.0.0.2::::::on", Some(Ip::Dhcp(None))),
        (
            "10.0.0.2::::n1:eth1:any",
            Some(Ip::Dhcp(Some("eth1".into()))),
        ),
        ("off", Some(Ip::Off)),
        ("[fd00::2]::[fd00::1]:64::eth0:none", None),
        ("eth0:auto6", None),
        ("dhcp6", None),
        ("auto6", None),
        ("link6", None),
        ("ibft", None),
        (":::::eth1:dhcp6", None),
        ("eth0:dhcp:1500", Some(Ip::Dhcp(Some("eth0".into())))),
        (
            "eth0:dhcp::52:54:00:12:34:56",
            Some(Ip::Dhcp(Some("eth0".into()))),
        ),
        (":::::eth1:none", Some(Ip::Off)),
        ("", None),
    ] {
        assert_eq!(Ip::parse(text).unwrap(), ip, "{text}");
    }
    for (text, warnings) in [("ip=dhcp6", 1), ("ip=", 0), ("ip=dhcp", 0)] {
        assert_eq!(line(text).warnings.len(), warnings, "{text}");
    }
}

#[test]
fn every_known_word_is_described_once() {
    let names: std::collections::BTreeSet<_> = KEYS.iter().map(|k| k.name).collect();
    assert_eq!(names.len(), KEYS.len());
    let help = keys::help();
    assert!(KEYS.iter().all(|k| help.contains(k.help)));
}
