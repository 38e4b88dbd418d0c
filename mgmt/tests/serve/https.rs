//! HTTPS: policy, events, health, metrics.

use crate::common::*;
use statelite_mgmt::server::listen::Port;
use statelite_mgmt::tables::schema::{LITEFILE, LITETREE, POLICY};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn json(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[test]
fn a_node_reads_its_policy_once() {
    let site = Site1::new();
    run(async {
        let (head, body) = site.get(N01, None, "/v1/policy", "").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let policy = json(&body);
        assert_eq!(policy["node"], "n01");
        assert_eq!(policy["image"], "img");
        assert_eq!(policy["dialect"], "current");
        assert_eq!(policy["litetree"][0], "10.0.0.1:/statelite/n01");
        assert_eq!(policy["litefile"][0], "tmpfs         /etc/adjtime");
        assert!(policy["generation"].as_u64().unwrap() > 0);
        let digest = policy["digest"].as_str().unwrap();
        assert!(
            head.to_lowercase().contains(&format!("etag: \"{digest}\"")),
            "{head}"
        );
        let again = format!("if-none-match: \"{digest}\"\r\n");
        let (head, body) = site.get(N01, None, "/v1/policy", &again).await;
        assert!(
            head.starts_with("HTTP/1.1 304") && body.is_empty(),
            "{head}"
        );
        let (head, body) = site.get(N02, None, "/v1/policy", &again).await;
        assert!(
            head.starts_with("HTTP/1.1 200"),
            "another node, another policy: {head}"
        );
        assert_eq!(json(&body)["node"], "n02");
    });
}

#[test]
fn who_may_not_ask_is_not_answered() {
    let site = Site1::new();
    run(async {
        for path in [
            "/v1/policy",
            "/v1/events",
            "/v1/snapshot",
            "/v1/policy?node=n01",
        ] {
            let (head, body) = site.get(STRANGER, None, path, "").await;
            assert!(head.starts_with("HTTP/1.1 403"), "{path}: {head}");
            assert!(!body.contains("n01"), "{body}");
        }
        let (_, body) = site.get(N02, None, "/v1/policy?node=n01", "").await;
        assert_eq!(json(&body)["node"], "n02");
        let (head, _) = site.get(N01, None, "/v1/nodes", "").await;
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        // Half the permission is none.
        site.change(|site| {
            site.put(
                &POLICY,
                vec![row(&POLICY, "priority=1 commands=litefile rule=allow")],
            )
        });
        eventually("the table is seen", || {
            site.server()
                .state()
                .keeper
                .world()
                .site()
                .rows(&POLICY)
                .len()
                == 1
        })
        .await;
        let (head, _) = site.get(N01, None, "/v1/policy", "").await;
        assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    });
}

/// Reads events until one more has come.
async fn event(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut String,
) -> serde_json::Value {
    loop {
        if let Some((before, after)) = buffer.clone().split_once("\n\n") {
            *buffer = after.to_owned();
            let data = before.lines().find_map(|line| line.strip_prefix("data: "));
            if let Some(data) = data {
                return json(data);
            }
            continue;
        }
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the stream ended: {buffer}");
        buffer.push_str(std::str::from_utf8(&piece[..count]).unwrap());
    }
}

#[test]
fn a_listener_hears_of_its_own_changes_only() {
    let site = Site1::new();
    run(async {
        let mut stream = site.connect(Port::Https, N01, None).await.unwrap();
        stream
            .write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut buffer = String::new();
        let first = event(&mut stream, &mut buffer).await;
        let (_, body) = site.get(N01, None, "/v1/policy", "").await;
        assert_eq!(first["digest"], json(&body)["digest"]);
        assert_eq!(site.server().state().metrics.listeners.get(), 1);
        // A row of another image is not heard of; the row after it is.
        site.change(|site| {
            site.add(
                &LITEFILE,
                row(&LITEFILE, "image=other file=/etc/x options=tmpfs"),
            )
        });
        let world = || site.server().state().keeper.world();
        eventually("the first change is seen", || {
            world().site().rows(&LITEFILE).len() == 3
        })
        .await;
        site.change(|site| {
            site.add(
                &LITEFILE,
                row(&LITEFILE, "image=img file=/etc/y options=tmpfs"),
            )
        });
        let second = event(&mut stream, &mut buffer).await;
        assert_ne!(second["digest"], first["digest"]);
        assert_eq!(second["node"], "n01");
        let (_, body) = site.get(N01, None, "/v1/policy", "").await;
        let policy = json(&body);
        assert_eq!(second["digest"], policy["digest"]);
        assert_eq!(second["generation"], policy["generation"]);
        assert!(body.contains("/etc/y") && !body.contains("/etc/x"));
        drop(stream);
        eventually("the listener is gone", || {
            site.server().state().metrics.listeners.get() == 0
        })
        .await;
    });
}

#[test]
fn health_and_metrics_name_no_node() {
    let site = Site1::new();
    run(async {
        site.ask(N01, None, &request("litefile")).await;
        site.ask(STRANGER, None, &request("litefile")).await;
        let (head, body) = site.get(STRANGER, None, "/v1/health", "").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let health = json(&body);
        assert_eq!(
            (&health["status"], &health["source"]),
            (&"ok".into(), &"database".into())
        );
        assert_eq!(health["nodes"], 3);
        let (_, body) = site.get(STRANGER, None, "/v1/metrics", "").await;
        for line in [
            "statelite_wire_answered_total 1",
            "statelite_wire_denied_total 1",
            "statelite_nodes 3",
        ] {
            assert!(body.lines().any(|one| one == line), "{line}\n{body}");
        }
        assert!(!body.contains("n01"));
    });
}

#[test]
fn a_policy_that_is_refused_is_not_half_told() {
    let site = Site1::new();
    run(async {
        site.change(|site| {
            site.add(
                &LITETREE,
                row(
                    &LITETREE,
                    "priority=9 image=img directory=10.0.0.1:/#CMD=false#",
                ),
            );
        });
        let world = || site.server().state().keeper.world();
        eventually("the row is seen", || {
            world().site().rows(&LITETREE).len() == 3
        })
        .await;
        let (head, body) = site.get(N01, None, "/v1/policy", "").await;
        assert!(head.starts_with("HTTP/1.1 422"), "{head} {body}");
        assert!(
            json(&body)["error"]
                .as_str()
                .unwrap()
                .contains("litetree: row"),
            "{body}"
        );
        let reply = site.ask(N01, None, &request("litefile")).await;
        assert!(
            reply.contains("<error>") && !reply.contains("<info>"),
            "{reply}"
        );
    });
}
