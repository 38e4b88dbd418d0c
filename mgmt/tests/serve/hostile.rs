//! Whatever is sent, the server goes on answering, and nothing of it stays.

use crate::common::*;
use proptest::prelude::*;
use statelite_mgmt::server::listen::Port;
use statelite_policy::wire::{REQUEST_MAX, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_takes_any_text(text in "\\PC{0,300}") {
        let _ = Request::parse(&text);
        let _ = Response::parse(&text);
    }

    #[test]
    fn the_parser_takes_any_tags(parts in proptest::collection::vec(
        prop_oneof![
            Just("<xcatrequest>"), Just("</xcatrequest>"), Just("<command>"), Just("</command>"), Just("<noderange>"),
            Just("</noderange>"), Just("<arg/>"), Just("litefile"), Just("&lt;"), Just("&#0;"), Just("&x;"), Just("<!--"),
            Just("-->"), Just("<![CDATA["), Just("]]>"), Just("<?x"), Just("<!DOCTYPE a [<!ENTITY b 'c'>]>"), Just("\""),
            Just("<"), Just(">"), Just("="), Just("\n"), Just("\u{0}"),
        ], 0..40)
    ) {
        let text = parts.concat();
        if let Ok(request) = Request::parse(&text) {
            prop_assert!(!request.command.is_empty());
            // What is understood is understood again.
            prop_assert_eq!(Request::parse(&request.to_xml()).map(|again| again.args.len()).unwrap_or(request.args.len()),
                            request.args.len());
        }
    }
}

/// The server still answers, and no connection is left.
async fn well(site: &Site1) {
    let reply = site.ask(N02, None, &request("litefile")).await;
    assert!(reply.contains("n02: tmpfs         /etc/adjtime"), "{reply}");
    eventually("every connection is over", || {
        site.server()
            .state()
            .gates
            .iter()
            .all(|gate| gate.open() == 0)
    })
    .await;
}

#[test]
fn random_bytes_before_and_inside_tls() {
    let site = Site1::with(|config| config.limits.request_seconds = 1);
    run(async {
        for round in 0..60u64 {
            let mut random = fastrand::Rng::with_seed(round);
            let bytes: Vec<u8> = (0..random.usize(1..4096)).map(|_| random.u8(..)).collect();
            for port in [Port::Wire, Port::Status, Port::Https] {
                let mut stream = tcp(site.address(port), N01).await.unwrap();
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let mut reply = Vec::new();
                let _ = stream.read_to_end(&mut reply).await;
            }
            for port in [Port::Wire, Port::Https] {
                let mut stream = site.connect(port, N01, None).await.unwrap();
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let mut reply = Vec::new();
                let _ = stream.read_to_end(&mut reply).await;
                assert!(!String::from_utf8_lossy(&reply).contains("/etc/adjtime"));
            }
        }
        well(&site).await;
    });
}

#[test]
fn requests_too_long_or_never_ended() {
    let site = Site1::with(|config| config.limits.request_seconds = 1);
    run(async {
        let long = vec![b'x'; REQUEST_MAX * 4];
        let mut stream = site.connect(Port::Wire, N01, None).await.unwrap();
        let _ = stream.write_all(&long).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let text = String::from_utf8_lossy(&reply);
        assert!(
            text.is_empty() || text.contains("more than 65536 bytes"),
            "{text}"
        );
        // Half a request, then silence: the server gives up.
        let mut stream = site.connect(Port::Wire, N01, None).await.unwrap();
        stream.write_all(b"<xcatrequest><comm").await.unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        assert!(reply.is_empty());
        // Half a request, then the end.
        let reply = {
            let mut stream = site.connect(Port::Wire, N01, None).await.unwrap();
            stream
                .write_all(b"<xcatrequest><command>litefile</command>")
                .await
                .unwrap();
            stream.shutdown().await.unwrap();
            let mut reply = String::new();
            let _ = stream.read_to_string(&mut reply).await;
            reply
        };
        assert!(reply.contains("<error>Bad request"), "{reply}");
        // A thousand elements in one request.
        let many = format!(
            "<xcatrequest><command>litefile</command>{}</xcatrequest>",
            "<arg>x</arg>".repeat(5000)
        );
        let reply = site.ask(N01, None, many.as_bytes()).await;
        assert!(reply.contains("serverdone"), "{reply}");
        well(&site).await;
    });
}

#[test]
fn one_address_cannot_hold_every_place() {
    let site = Site1::with(|config| {
        config.limits.per_peer = 3;
        config.limits.handshake_seconds = 60;
    });
    run(async {
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(tcp(site.address(Port::Wire), N01).await.unwrap());
        }
        let gate = &site.server().state().gates[Port::Wire.index()];
        eventually("the others are turned away", || gate.turned_away() == 17).await;
        assert_eq!(gate.open(), 3);
        let reply = site.ask(N02, None, &request("litefile")).await;
        assert!(reply.contains("/etc/adjtime"), "another node is answered");
        drop(held);
        well(&site).await;
    });
}

#[test]
fn silent_and_slow_clients_are_given_up() {
    let site = Site1::with(|config| {
        config.limits.handshake_seconds = 1;
        config.limits.request_seconds = 1;
        config.limits.total_seconds = 3;
    });
    run(async {
        let mut silent = Vec::new();
        for port in [Port::Wire, Port::Status, Port::Https] {
            silent.push(tcp(site.address(port), N01).await.unwrap());
        }
        for mut stream in silent {
            let mut reply = Vec::new();
            let _ = stream.read_to_end(&mut reply).await;
            assert!(reply.is_empty() || reply == b"ready\n");
        }
        for port in [Port::Wire, Port::Https] {
            let mut stream = site.connect(port, N01, None).await.unwrap();
            let mut reply = Vec::new();
            let _ = stream.read_to_end(&mut reply).await;
            assert!(reply.is_empty(), "{port:?}");
        }
        // A byte at a time does not buy time on HTTPS or the wire.
        for port in [Port::Wire, Port::Https] {
            let mut stream = site.connect(port, N01, None).await.unwrap();
            let mut sent = 0;
            while stream.write_all(b"G").await.is_ok() && stream.flush().await.is_ok() {
                sent += 1;
                assert!(sent < 600, "{port:?} lets a slow client stay");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        assert!(site.server().state().metrics.handshake_slow.get() >= 2);
        well(&site).await;
    });
}

#[test]
fn long_headers_are_refused() {
    let site = Site1::new();
    run(async {
        let header = format!("x: {}\r\n", "y".repeat(100_000));
        let mut stream = site.connect(Port::Https, N01, None).await.unwrap();
        let text = format!("GET /v1/policy HTTP/1.1\r\nhost: x\r\n{header}\r\n");
        let _ = stream.write_all(text.as_bytes()).await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8_lossy(&reply);
        assert!(
            reply.is_empty() || reply.starts_with("HTTP/1.1 4"),
            "{reply}"
        );
        well(&site).await;
    });
}

#[test]
fn half_open_connections_from_everywhere_do_not_keep_a_node_out() {
    let site = Site1::with(|config| {
        config.limits.connections = 20;
        config.limits.handshake_seconds = 60;
    });
    run(async {
        // From 100 addresses, each with one connection that begins TLS and says no more.
        let mut held = Vec::new();
        for last in 1..=100u8 {
            let mut stream = tcp(site.address(Port::Wire), &format!("127.0.7.{last}"))
                .await
                .unwrap();
            let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
            held.push(stream);
        }
        let gate = &site.server().state().gates[Port::Wire.index()];
        // One that is let in after the node would count as newer than it.
        eventually("all have come, and those sent away are gone", || {
            let open = gate.open();
            open == 20 && gate.sent_away() + gate.turned_away() + open as u64 == 100
        })
        .await;
        assert!(gate.sent_away() > 0);
        for _ in 0..5 {
            let reply = site.ask(N01, None, &request("litefile")).await;
            assert!(reply.contains("/etc/adjtime"), "{reply}");
        }
        drop(held);
        well(&site).await;
    });
}
