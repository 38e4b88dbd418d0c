//! What fails at a boot, what the console says about it, and how it ends: the table in `docs/manual/boot.md`.
//!
//! Nodes mostly wait here, so several of them boot at once, each with a management server of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use statelite_tests::vm::node::{BOOT, Node};
use statelite_tests::vm::site::{Nfs, Site, Spec};
use statelite_tests::vm::whole_turn;
use statelite_tests::vm::xcatd::{Manner, Tables, Validity, Xcatd};

use crate::health;

/// For a message, or a boot that goes on: pauses between tries grow to 30 seconds.
const SOON: Duration = Duration::from_secs(120);

fn table() -> String {
    format!(
        "{}\"ALL\",\"/var/lib/kept/\",\"persistent\",,\n",
        health::TABLE
    )
}

/// A node that boots for a while, and the server that it asks.
fn start(site: &Site, spec: &Spec, prepare: impl FnOnce(&mut Xcatd)) -> (Node, Xcatd) {
    let mut server = site.manage(spec, &table(), &[]).unwrap();
    prepare(&mut server);
    (site.boot(spec).unwrap(), server)
}

/// Waits for messages, in order.
fn says(node: &mut Node, messages: &[&str]) {
    node.wait_in_order(messages, SOON).unwrap();
}

/// The node is there, and its rules are in force.
fn works(node: &mut Node) {
    node.wait_shell(BOOT).unwrap();
    health::checks(
        node,
        &[
            ("echo a >/tmp/a && cat /tmp/a", "a"),
            ("echo b >/var/lib/kept/b && cat /var/lib/kept/b", "b"),
            ("touch /usr/bin/new 2>&1", "~Read-only file system"),
        ],
    )
    .unwrap();
}

fn server_down_then_saved_policy(site: &Site) {
    let spec = Spec::bare(1);
    let (mut node, mut server) = start(site, &spec, Xcatd::down);
    says(
        &mut node,
        &[
            "waiting for the policy since 0 s: management server 10.77.1.1:3001: no connection to 10.77.1.1:3001",
        ],
    );
    server.up().unwrap();
    says(&mut node, &["the policy is there after"]);
    works(&mut node);
    drop(node);

    server.down();
    let mut node = site.boot(&spec.with("statelite.timeout=4")).unwrap();
    says(
        &mut node,
        &[
            "waiting for the policy since 0 s",
            "(given up after",
            "going on with the policy saved at an earlier boot",
        ],
    );
    works(&mut node);
}

fn certificates(site: &Site) {
    let expired = |server: &mut Xcatd| server.set_certificate(Validity::Expired).unwrap();
    let (mut node, server) = start(site, &Spec::bare(2), expired);
    says(
        &mut node,
        &[
            "waiting for the policy since",
            "the server's certificate has expired: renew it on the server",
        ],
    );
    server.set_certificate(Validity::Foreign).unwrap();
    says(
        &mut node,
        &[
            "the server's certificate is not signed by the authority in the initramfs (/etc/statelite/ca.pem)",
        ],
    );
    server.set_certificate(Validity::OtherName).unwrap();
    says(
        &mut node,
        &["the server's certificate is for another name or address than XCAT= says"],
    );
    assert!(
        server.asked().is_empty(),
        "it asked a server that it could not believe"
    );
    server.set_certificate(Validity::Good).unwrap();
    works(&mut node);
}

fn refusals_and_rows_of_others(site: &Site) {
    let refuse = |server: &mut Xcatd| server.set_manner(Manner::Refuse);
    let (mut node, server) = start(site, &Spec::bare(3), refuse);
    says(
        &mut node,
        &[
            "waiting for the policy since",
            "the policy table does not let this node ask for litefile and litetree",
        ],
    );
    server.set_manner(Manner::Empty);
    says(&mut node, &["no litefile row applies to n03 and its image"]);
    server.set_tables(Tables::new("n99", &table(), &[]).unwrap());
    server.set_manner(Manner::Good);
    says(
        &mut node,
        &["the server takes this node for n99, NODE= says n03"],
    );
    server.set_tables(Tables::new("n03", &table(), &[]).unwrap());
    works(&mut node);
}

fn answers_that_cannot_be_followed(site: &Site) {
    let unknown = |server: &mut Xcatd| {
        let table = table() + "\"ALL\",\"/etc/motd\",\"banana\",,\n";
        server.set_tables(Tables::new("n04", &table, &[]).unwrap());
    };
    let (mut node, server) = start(site, &Spec::bare(4), unknown);
    says(
        &mut node,
        &[
            "waiting for the policy since",
            "gives a policy that cannot be followed",
            "banana",
        ],
    );
    server.set_manner(Manner::Cut);
    says(&mut node, &["the answer is not whole"]);
    server.set_manner(Manner::Close);
    says(&mut node, &["it hangs up without an answer"]);
    server.set_manner(Manner::Hang);
    says(&mut node, &["it does not answer"]);
    server.set_tables(Tables::new("n04", &table(), &[]).unwrap());
    server.set_manner(Manner::Good);
    works(&mut node);
}

/// Stock servers keep a connection for a further request; and one that hangs is given up within the limit.
fn connections_that_stay(site: &Site) {
    let spec = Spec::bare(7)
        .with("statelite.nfsopts=noatime,nosuid,nodev MNTOPTS=nosuid,nodev,noexec,relatime");
    let stay = |server: &mut Xcatd| server.set_manner(Manner::Stay);
    let (mut node, server) = start(site, &spec, stay);
    works(&mut node);
    assert_eq!(server.asked(), ["litefile", "litetree"]);
    assert_eq!(server.told(), ["installstatus netbooting"]);
    let console = node.console().text();
    assert!(!console.contains("waiting for the policy"), "{console}");
    drop(node);

    server.set_manner(Manner::Hang);
    let mut node = site
        .boot(&spec.with("statelite.timeout=4 nonodestatus"))
        .unwrap();
    says(
        &mut node,
        &[
            "it does not answer (given up after ",
            "going on with the policy saved at an earlier boot",
        ],
    );
    works(&mut node);
    assert_eq!(server.told().len(), 1, "it told its state");
}

fn wrong_statemnt(site: &Site) {
    let spec = Spec::bare(5);
    let server = site.manage(&spec, &table(), &[]).unwrap();
    let wrong = spec
        .clone()
        .with("STATEMNT=10.77.0.3:/wrong statelite.timeout=4");
    let mut node = site.boot(&wrong).unwrap();
    says(
        &mut node,
        &[
            "waiting for the persistent store 10.77.0.3:/wrong/n05 since",
            "what STATEMNT= names cannot be mounted: 10.77.0.3:/wrong",
            "booting has failed: the persistent store 10.77.0.3:/wrong/n05",
        ],
    );
    assert!(server.asked().is_empty(), "it went on without its store");
    drop(node);
    // Without one it boots, as in xCAT, and says what that means.
    let mut node = site.boot(&spec.with("STATEMNT=")).unwrap();
    says(
        &mut node,
        &["kept in memory only and lost at the next boot"],
    );
    works(&mut node);
}

fn wrong_words(site: &Site) {
    let spec = Spec::bare(6).with("statelite.nfsopts=banana=1");
    let mut node = site.boot(&spec).unwrap();
    says(
        &mut node,
        &[
            "booting has failed: the image 10.77.0.2:/rootimg: mount option banana=1: ",
            "Unknown parameter 'banana'",
        ],
    );
    drop(node);
    let spec = Spec::bare(6).with("statelite.colour=red statelite.mode=banana statelite.timeout=x");
    let mut node = site.boot(&spec).unwrap();
    says(
        &mut node,
        &[
            "booting has failed: ",
            "statelite.mode",
            "statelite.timeout",
        ],
    );
    drop(node);
    let server = site.manage(&spec, &table(), &[]).unwrap();
    let mut node = site
        .boot(&Spec::bare(6).with("statelite.colour=red init=/sbin/missing"))
        .unwrap();
    says(
        &mut node,
        &[
            "kernel command line: statelite.colour",
            "booting has failed: the image has no /sbin/missing",
        ],
    );
    drop(server);
}

#[test]
fn what_the_management_server_can_do_wrong() {
    if !health::can_run("what_the_management_server_can_do_wrong") {
        return;
    }
    let _turn = whole_turn().unwrap();
    let site = Site::new("wrong").unwrap();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for case in [
            server_down_then_saved_policy,
            certificates,
            refusals_and_rows_of_others,
            answers_that_cannot_be_followed,
            connections_that_stay,
            wrong_statemnt,
            wrong_words,
        ] {
            let site = &site;
            scope.spawn(move || case(site));
        }
    });
    eprintln!("seven nodes: {:.0} s", begin.elapsed().as_secs_f64());
}

/// Reads every file of the image over and over, from the server, and writes a line for each and one for each failure.
const READER: &str = "(while :; do echo 3 >/proc/sys/vm/drop_caches; \
    for f in $(find /usr/lib /usr/share -type f -size -64k); do cat $f >/dev/null && echo good || echo bad $f; done; \
    done) >/tmp/reader 2>&1 &";

/// How many files the reader has read by now, all of them without an error.
fn read_so_far(node: &mut Node) -> usize {
    assert_eq!(
        node.run("grep -v good /tmp/reader").unwrap().output.trim(),
        ""
    );
    node.check("wc -l </tmp/reader")
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn reads_on(node: &mut Node) {
    let before = read_so_far(node);
    let deadline = Instant::now() + SOON;
    while read_so_far(node) < before + 20 {
        assert!(Instant::now() < deadline, "{} reads no more", node.name());
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The server of persistent files goes: who uses them waits, many of them, and nobody else.
fn only_who_uses_it_waits(site: &mut Site, nodes: &mut [(Node, Xcatd)]) {
    const WRITERS: usize = 24;
    // Who writes also makes, moves, links and removes: when the lease has run out, each of them may meet with it.
    const CHANGE: &str = "cd /var/lib/kept; case $(($1 % 6)) in 0) echo $1 >w$1;; 1) mkdir w$1;; 2) ln -s $1 w$1;; \
        3) mv old$1 w$1;; 4) ln old$1 w$1 && chmod 604 w$1;; 5) cat old$1 && rm old$1;; esac";
    for (node, _) in &mut *nodes {
        node.check(&format!(
            "echo '{CHANGE}' >/tmp/change; for i in $(seq {WRITERS}); do echo $i >/var/lib/kept/old$i; done"
        ))
        .unwrap();
    }
    site.state_server().plug(false).unwrap();
    for (node, _) in &mut *nodes {
        node.check(&format!(
            "for i in $(seq {WRITERS}); do (sh /tmp/change $i; echo $i $? >>/tmp/written) >/dev/null 2>>/tmp/refused & done"
        ))
        .unwrap();
        health::checks(
            node,
            &[
                ("sleep 3; ls / | grep -c '^var$'", "1"),
                ("ls -f /var/lib | grep -c '^kept$'", "1"),
                ("ls /var/lib | grep -c '^kept$'", "1"),
                (
                    "echo a >/tmp/other && mv /tmp/other /tmp/one && cat /tmp/one",
                    "a",
                ),
                ("ls /usr/share/doc | grep -c '^systemd$'", "1"),
                ("cat /tmp/written 2>&1", "~No such file"),
            ],
        )
        .unwrap();
    }
    site.state_server().plug(true).unwrap();
    for (node, _) in nodes {
        let all = format!(
            "for i in $(seq 500); do [ $(cat /tmp/written 2>&1 | wc -l) = {WRITERS} ] && break; sleep .2; done; wc -l </tmp/written"
        );
        let written = node.run_within(&all, SOON).unwrap();
        assert_eq!(written.output.trim(), WRITERS.to_string());
        let refused = node
            .run("cat /tmp/refused; grep -v ' 0$' /tmp/written")
            .unwrap();
        assert_eq!(refused.output.trim(), "", "{} was refused", node.name());
        let kept = site.state().join(node.name()).join("var/lib/kept");
        for number in 1..=WRITERS {
            let (new, old) = (
                kept.join(format!("w{number}")),
                kept.join(format!("old{number}")),
            );
            let content = format!("{number}\n");
            match number % 6 {
                1 => assert!(new.is_dir()),
                2 => assert_eq!(std::fs::read_link(new).unwrap(), Path::new(content.trim())),
                5 => assert!(!new.exists()),
                _ => assert_eq!(std::fs::read_to_string(&new).unwrap(), content),
            }
            assert_eq!(old.exists(), !matches!(number % 6, 3 | 5), "{number}");
        }
    }
}

#[test]
fn servers_of_files_that_go_and_come_back() {
    if !health::can_run("servers_of_files_that_go_and_come_back") {
        return;
    }
    let _turn = whole_turn().unwrap();
    let mut site = Site::new("outage").unwrap();
    let begin = Instant::now();
    let note = |what: &str| eprintln!("{:4.0} s: {what}", begin.elapsed().as_secs_f64());

    // The persistent server is down when nodes start.
    site.state_server().down();
    let mut nodes: Vec<_> = [(1, Nfs::V3), (2, Nfs::V41)]
        .map(|(number, nfs)| {
            let mut spec = Spec::bare(number);
            spec.nfs = nfs;
            start(&site, &spec, |_| ())
        })
        .into();
    for (node, server) in &mut nodes {
        let waits = format!(
            "waiting for the persistent store 10.77.0.3:/state/{} since",
            node.name()
        );
        says(node, &[&waits, "no NFS server answers there"]);
        assert!(server.asked().is_empty(), "it went on without its store");
    }
    note("nodes wait for the persistent server");
    site.state_server().up().unwrap();
    for (node, _) in &mut nodes {
        works(node);
        node.check(READER).unwrap();
        reads_on(node);
    }
    note("they are up; now the persistent server goes");
    only_who_uses_it_waits(&mut site, &mut nodes);
    note("it is back; now the image server goes");

    // The image server goes for 30 seconds while they read, and a third node starts.
    site.image_server().down();
    let gone = Instant::now();
    let mut third = start(&site, &Spec::bare(3), |_| ());
    says(
        &mut third.0,
        &[
            "waiting for the image 10.77.0.2:/rootimg since 0 s",
            "(no NFS server answers there)",
        ],
    );
    std::thread::sleep(Duration::from_secs(30).saturating_sub(gone.elapsed()));
    site.image_server().up().unwrap();
    note("the image server is back");
    for (node, _) in &mut nodes {
        reads_on(node);
        note("a node reads on");
    }
    works(&mut third.0);
    note("the third is up");
    drop(third);

    // Nobody answers at all. The kernel alone would wait three minutes before it says so.
    site.image_server().plug(false).unwrap();
    let mut fourth: Vec<_> = [(4, Nfs::V3), (5, Nfs::V41)]
        .map(|(number, nfs)| {
            let mut spec = Spec::bare(number);
            spec.nfs = nfs;
            start(&site, &spec, |_| ())
        })
        .into();
    for (node, _) in &mut fourth {
        node.wait_console("eth0 has address", SOON).unwrap();
        let since = Instant::now();
        says(
            node,
            &[
                "waiting for the image 10.77.0.2:/rootimg since",
                "the server is off, or cannot be reached",
            ],
        );
        note(&format!(
            "{} said so after {:.1} s",
            node.name(),
            since.elapsed().as_secs_f64()
        ));
        assert!(since.elapsed() < Duration::from_secs(30));
    }
    site.image_server().plug(true).unwrap();
    for (node, _) in &mut fourth {
        node.wait_shell(BOOT).unwrap();
        note("a node goes on");
    }
    for (node, _) in &mut nodes {
        reads_on(node);
        let console = node.console().text();
        assert!(
            !console.contains("I/O error") && !console.contains("Input/output error"),
            "{console}"
        );
    }
    note("all read on");
}
