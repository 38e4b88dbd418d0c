use super::*;
use crate::hierarchy::snapshot::Snapshot;
use crate::server::testing;
use crate::tables::Store;
use crate::tables::schema::{LITEFILE, NODELIST, TABLES};
use std::path::Path;

fn fill(db: &Path) {
    let mut store = Store::open(db.to_str().unwrap()).unwrap();
    let edit = |site: &mut crate::tables::Site| {
        let wanted = testing::site();
        for table in TABLES {
            site.put(table, wanted.rows(table).to_vec());
        }
        Ok(())
    };
    store.change(edit, true).unwrap();
}

/// A change that somebody else makes.
fn add_row(store: &mut Store) {
    let edit = |site: &mut crate::tables::Site| {
        let row = testing::row(&LITEFILE, "image=ALL file=/etc/new options=tmpfs");
        site.add(&LITEFILE, row);
        Ok(())
    };
    store.change(edit, true).unwrap();
}

fn start(db: &Path, snapshot: Option<&Path>) -> anyhow::Result<(Keeper, Running)> {
    let config = Config {
        snapshot: snapshot.map(Path::to_owned),
        ..Config::default()
    };
    Keeper::start(db.to_str().unwrap(), &config, &Arc::default())
}

/// Waits until something holds; gives up after a time no machine needs.
fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    for _ in 0..600 {
        if test() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

#[test]
fn a_change_makes_a_new_world_and_a_report_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("tables.sqlite");
    fill(&db);
    let (keeper, running) = start(&db, None).unwrap();
    let first = keeper.world();
    assert_eq!(first.nodes(), 6);
    keeper.report(Report::Status {
        node: "n01".into(),
        status: "netbooting".into(),
        time: reports::timestamp(),
    });
    let mut store = Store::open(db.to_str().unwrap()).unwrap();
    eventually("the state is stored", || {
        let site = store.site().unwrap();
        let row = site.row(&NODELIST, &["n01"]).unwrap();
        row.get(&NODELIST, "status") == Some("netbooting")
    });
    add_row(&mut store);
    eventually("the change is seen", || {
        keeper.world().site().rows(&LITEFILE).len() == 5
    });
    let generations = keeper.world().generation();
    assert!(generations > first.generation());
    running.stop();
}

#[test]
fn a_last_report_is_stored_when_the_server_stops() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("tables.sqlite");
    fill(&db);
    let (keeper, running) = start(&db, None).unwrap();
    keeper.report(Report::Status {
        node: "n02".into(),
        status: "booted".into(),
        time: reports::timestamp(),
    });
    running.stop();
    let site = Store::open(db.to_str().unwrap()).unwrap().site().unwrap();
    let row = site.row(&NODELIST, &["n02"]).unwrap();
    assert_eq!(row.get(&NODELIST, "status"), Some("booted"));
    assert_eq!(row.get(&NODELIST, "statustime").map(str::len), Some(19));
}

#[test]
fn a_snapshot_stands_in_for_the_database_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (db, file) = (
        dir.path().join("tables.sqlite"),
        dir.path().join("snapshot"),
    );
    assert!(start(&db, Some(&file)).is_err(), "neither is there");
    assert!(!db.exists(), "no empty database in place of the snapshot");
    Snapshot::take(&testing::site(), 77, 1000)
        .write(&file)
        .unwrap();
    let (keeper, running) = start(&db, Some(&file)).unwrap();
    let world = keeper.world();
    assert!(world.from_snapshot() && world.has_node("n01"));
    assert_eq!(world.generation(), 77);
    let health = keeper.health();
    assert_eq!((health.source, health.fresh), ("snapshot", 1000));
    assert!(health.error.unwrap().contains("no such file"));
    // The database comes: it is used.
    fill(&db);
    eventually("the database is used", || !keeper.world().from_snapshot());
    assert_eq!(keeper.health().source, "database");
    assert!(keeper.world().generation() > 77);
    // It goes: what is in memory is newer than the snapshot, until there is a new one.
    std::fs::remove_file(&db).unwrap();
    eventually("memory is used", || keeper.health().source == "memory");
    assert!(
        keeper
            .health()
            .error
            .unwrap()
            .contains("older than the tables in memory")
    );
    Snapshot::take(&testing::site(), 1, now() + 60)
        .write(&file)
        .unwrap();
    eventually("the snapshot is used", || keeper.world().from_snapshot());
    running.stop();
}

#[test]
fn a_file_that_is_away_is_not_made_and_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("tables.sqlite");
    assert!(
        start(&db, None).is_err(),
        "it serves tables that are not there"
    );
    assert!(!db.exists(), "it made an empty file");
    fill(&db);
    let (keeper, running) = start(&db, None).unwrap();
    let backup = dir.path().join("backup");
    let log = dir.path().join("tables.sqlite-wal");
    eventually("the file itself is whole", || {
        log.metadata().is_ok_and(|log| log.len() == 0)
    });
    std::fs::copy(&db, &backup).unwrap();
    std::fs::remove_file(&db).unwrap();
    eventually("memory is used", || keeper.health().source == "memory");
    assert_eq!(keeper.world().nodes(), 6);
    std::thread::sleep(Duration::from_secs(2));
    assert!(!db.exists(), "it made an empty file");
    std::fs::copy(&backup, &db).unwrap();
    eventually("the database is used", || {
        keeper.health().source == "database"
    });
    assert_eq!(keeper.world().nodes(), 6);
    running.stop();
    let site = Store::open(db.to_str().unwrap()).unwrap().site().unwrap();
    assert_eq!(site.rows(&NODELIST).len(), 6);
}

#[test]
fn a_file_that_takes_the_place_of_the_other_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (db, other) = (dir.path().join("tables.sqlite"), dir.path().join("other"));
    fill(&db);
    fill(&other);
    let mut store = Store::open(other.to_str().unwrap()).unwrap();
    let edit = |site: &mut crate::tables::Site| {
        site.put(&LITEFILE, Vec::new());
        Ok(())
    };
    store.change(edit, true).unwrap();
    drop(store);
    let (keeper, running) = start(&db, None).unwrap();
    assert!(!keeper.world().site().rows(&LITEFILE).is_empty());
    std::fs::rename(&other, &db).unwrap();
    eventually("the other file is read", || {
        keeper.world().site().rows(&LITEFILE).is_empty()
    });
    let mut store = Store::open(db.to_str().unwrap()).unwrap();
    add_row(&mut store);
    eventually("a change of it is seen", || {
        keeper.world().site().rows(&LITEFILE).len() == 1
    });
    running.stop();
}
