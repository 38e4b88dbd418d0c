//! Nobody gets another node's answer.

use crate::common::*;
use statelite_mgmt::server::ca::Authority;
use statelite_mgmt::server::listen::Port;
use statelite_mgmt::tables::schema::POLICY;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DENIED: &str = "<xcatresponse>\n  <error>Permission denied for request</error>\n  <errorcode>1</errorcode>\n\
    </xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";

#[test]
fn the_connection_says_who_asks() {
    let site = Site1::new();
    let [n02, user] = ["n02", "admin"].map(|name| site.issue(name));
    run(async {
        for (from, pair, node) in [
            (N01, None, Some("n01")),
            (N02, None, Some("n02")),
            ("127.0.8.1", None, Some("n01")),
            ("127.0.8.2", None, None),
            (STRANGER, None, None),
            (N01, Some(&n02), Some("n02")),
            (STRANGER, Some(&n02), Some("n02")),
            (N01, Some(&user), None),
        ] {
            let reply = site.ask(from, pair, &request("litetree")).await;
            match node {
                Some(node) => {
                    assert!(
                        reply.contains(&format!(":/statelite/{node}<")),
                        "{from}: {reply}"
                    );
                }
                None => assert_eq!(reply, DENIED, "{from}"),
            }
        }
    });
}

#[test]
fn names_in_the_request_change_nothing() {
    let site = Site1::new();
    run(async {
        for (noderange, permitted) in [
            ("n01", true),
            ("n01.cluster.example", true),
            ("n01-eth0", true),
            ("n02", false),
            ("n01,n02", false),
            ("compute", false),
            ("all", false),
            ("/n.*", false),
            ("^/etc/passwd", false),
            ("n01-n02", false),
            ("n01@compute", false),
            ("nonesuch", false),
            ("", false),
        ] {
            let text = format!(
                "<xcatrequest><command>litetree</command><noderange>{noderange}</noderange></xcatrequest>\n"
            );
            let reply = site.ask(N01, None, text.as_bytes()).await;
            assert_eq!(
                reply.contains("/statelite/n01<"),
                permitted,
                "{noderange}: {reply}"
            );
            assert!(!reply.contains("n02"), "{noderange}: {reply}");
            assert_eq!(reply == DENIED, !permitted, "{noderange}");
        }
    });
}

#[test]
fn commands_are_those_of_the_policy_table() {
    let site = Site1::new();
    run(async {
        for command in [
            "tabdump",
            "rpower",
            "nodeset",
            "LITEFILE",
            "litefile,litetree",
            "../x",
        ] {
            assert_eq!(
                site.ask(N01, None, &request(command)).await,
                DENIED,
                "{command}"
            );
        }
        // A row that permits everything still does not make commands.
        site.change(|site| site.add(&POLICY, row(&POLICY, "priority=1 rule=allow")));
        eventually("the row is seen", || {
            let world = site.server().state().keeper.world();
            world.site().row(&POLICY, &["1"]).is_some()
        })
        .await;
        let reply = site.ask(N01, None, &request("tabdump")).await;
        assert!(
            reply.contains("<error>Unsupported command: tabdump</error>"),
            "{reply}"
        );
        site.change(|site| site.put(&POLICY, vec![]));
        eventually("the table is empty", || {
            let world = site.server().state().keeper.world();
            world.site().rows(&POLICY).is_empty()
        })
        .await;
        assert_eq!(site.ask(N01, None, &request("litefile")).await, DENIED);
    });
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let site = Site1::new();
    let other = Authority::new(&site.dir.path().join("other"));
    other.init().unwrap();
    let forged = other.issue("n02", 30).unwrap();
    // A server's certificate is none for a client either.
    let server = Authority::new(&site.ca_dir())
        .sign_server(&["n02".to_owned()].into())
        .unwrap();
    run(async {
        for (port, pair) in [
            (Port::Wire, &forged),
            (Port::Https, &forged),
            (Port::Wire, &server),
        ] {
            // With TLS 1.3 the client learns of it at its first read.
            let Ok(mut stream) = site.connect(port, N01, Some(pair)).await else {
                continue;
            };
            let _ = stream.write_all(&request("litetree")).await;
            let mut reply = Vec::new();
            let read = stream.read_to_end(&mut reply).await;
            assert!(read.is_err() && reply.is_empty(), "{read:?}");
        }
    });
}

#[test]
fn a_node_without_an_image_is_told_why() {
    let site = Site1::new();
    run(async {
        let reply = site.ask(SN1, None, &request("litefile")).await;
        assert!(
            reply.contains("<error>sn1: nodetype.os is not set"),
            "{reply}"
        );
        assert!(reply.contains("<serverdone>"));
    });
}
