//! The status port.

use crate::common::*;
use statelite_mgmt::server::listen::Port;
use statelite_mgmt::tables::Store;
use statelite_mgmt::tables::schema::NODELIST;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn say(site: &Site1, from: &str, line: &str) -> String {
    let mut stream = tcp(site.address(Port::Status), from).await.unwrap();
    let mut ready = [0; 6];
    if stream.read_exact(&mut ready).await.is_err() {
        return String::new();
    }
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest).await;
    String::from_utf8_lossy(&ready).into_owned() + &rest
}

fn state(site: &Site1, node: &str) -> Option<String> {
    let tables = Store::open(site.db().to_str().unwrap())
        .unwrap()
        .site()
        .unwrap();
    let row = tables.row(&NODELIST, &[node]).unwrap();
    row.get(&NODELIST, "status").map(str::to_owned)
}

#[test]
fn a_node_reports_its_state() {
    let site = Site1::new();
    run(async {
        assert_eq!(
            say(&site, N01, "installstatus netbooting\n").await,
            "ready\ndone\n"
        );
        eventually("the state is in the table", || {
            state(&site, "n01").as_deref() == Some("netbooting")
        })
        .await;
        assert_eq!(state(&site, "n02"), None);
    });
}

#[test]
fn strangers_and_nonsense_change_nothing() {
    let site = Site1::new();
    run(async {
        assert_eq!(say(&site, STRANGER, "installstatus booted\n").await, "");
        for line in [
            "installstatus a'; drop table x\n",
            "quit\n",
            "\n",
            &"x".repeat(500),
        ] {
            let reply = say(&site, N01, line).await;
            assert!(!reply.contains("done"), "{line:?}: {reply}");
        }
        assert_eq!(
            say(&site, N02, "installstatus booted\n").await,
            "ready\ndone\n"
        );
        eventually("the good one is stored", || state(&site, "n02").is_some()).await;
        assert_eq!(state(&site, "n01"), None);
    });
}
