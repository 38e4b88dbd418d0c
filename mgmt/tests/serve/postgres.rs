//! A service node's server on the site's PostgreSQL, and without it.

use crate::common::*;
use crate::tables_support::server::Server as Postgres;
use statelite_mgmt::hierarchy::snapshot::Snapshot;
use statelite_mgmt::server::listen::Port;
use statelite_mgmt::tables::schema::{LITEFILE, NODELIST};
use statelite_mgmt::tables::{Row, Store};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn tables_come_from_postgres_and_from_a_snapshot_when_it_is_away() {
    let Some(postgres) = Postgres::start(|_| Vec::new()) else {
        return;
    };
    let db = postgres.database("site");
    let edit = |site: &mut statelite_mgmt::tables::Site| {
        fill(site, std::path::Path::new("/nonexistent"));
        Ok(())
    };
    Store::open(&db).unwrap().change(edit, true).unwrap();
    changes_are_heard_of(&db);
    let snapshot = tempfile::tempdir().unwrap();
    let file = snapshot.path().join("snapshot.json");
    let site = Site1::on(&db, |config| config.snapshot = Some(file.clone()));
    run(async {
        let first = site.ask(N01, None, &request("litetree")).await;
        assert!(first.contains("10.0.0.1:/statelite/n01"), "{first}");
        let mut status = tcp(site.address(Port::Status), N01).await.unwrap();
        status.write_all(b"installstatus booted\n").await.unwrap();
        let mut said = String::new();
        status.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "ready\ndone\n");
        let state = |db: &str| {
            let tables = Store::open(db).unwrap().site().unwrap();
            let row = tables.row(&NODELIST, &["n01"]).unwrap();
            row.get(&NODELIST, "status").map(str::to_owned)
        };
        // The server's threads are not this one's: PostgreSQL is asked from a thread that may block.
        let ask = db.clone();
        let stored = tokio::task::spawn_blocking(move || {
            (0..200).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                state(&ask).as_deref() == Some("booted")
            })
        });
        assert!(stored.await.unwrap(), "the state is stored");

        // A snapshot is fetched, then the database goes away.
        let world = site.server().state().keeper.world();
        let later = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
            + 3600;
        Snapshot::take(world.site(), world.generation(), later)
            .write(&file)
            .unwrap();
        tokio::task::spawn_blocking(move || drop(postgres))
            .await
            .unwrap();
        eventually("the snapshot is used", || {
            site.server().state().keeper.health().source == "snapshot"
        })
        .await;
        let again = site.ask(N01, None, &request("litetree")).await;
        assert_eq!(again, first);
        let (_, health) = site.get(N01, None, "/v1/health", "").await;
        assert!(health.contains("degraded"), "{health}");
    });
}

/// With looks an hour apart a change is served all the same.
fn changes_are_heard_of(db: &str) {
    let site = Site1::on(db, |config| config.poll_seconds = 3600);
    // The first may have been found by the look at the start; the second cannot.
    for file in ["/etc/first", "/etc/second"] {
        let add = |tables: &mut statelite_mgmt::tables::Site| {
            let row = Row::new(&LITEFILE).with(&LITEFILE, "image", "ALL");
            tables.add(&LITEFILE, row.with(&LITEFILE, "file", file));
            Ok(())
        };
        Store::open(db).unwrap().change(add, true).unwrap();
        run(async {
            eventually("the change is served", || {
                let world = site.server().state().keeper.world();
                let rows = world.site().rows(&LITEFILE);
                rows.iter()
                    .any(|row| row.get(&LITEFILE, "file") == Some(file))
            })
            .await;
            let files = site.ask(N01, None, &request("litefile")).await;
            assert!(files.contains(file), "{files}");
        });
    }
}
