use super::*;
use crate::tables::Row;
use crate::tables::schema::{POLICY, SITE};

fn setting(key: &str, value: &str) -> Row {
    Row::new(&SITE)
        .with(&SITE, "key", key)
        .with(&SITE, "value", value)
}

struct Place {
    _dir: tempfile::TempDir,
    db: String,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("deep/er/tables.sqlite");
    Place {
        db: db.to_str().unwrap().to_owned(),
        _dir: dir,
    }
}

#[test]
fn a_new_store_is_a_fresh_site() {
    let place = place();
    let site = Store::open(&place.db).unwrap().site().unwrap();
    assert_eq!(site.setting("xcatdport"), Some("3001"));
    assert_eq!(site.rows(&POLICY).len(), 3);
    assert_eq!(site, Store::open(&place.db).unwrap().site().unwrap());
}

#[test]
fn a_change_is_there_for_others_and_in_order() {
    let place = place();
    let mut store = Store::open(&place.db).unwrap();
    let mut other = Store::open(&place.db).unwrap();
    let wanted = vec![
        setting("z", "1"),
        setting("a", "quote\" and\nline"),
        setting("empty", ""),
    ];
    let rows = wanted.clone();
    let outcome = store
        .attempt(
            |site| {
                site.put(&SITE, rows);
                Ok(())
            },
            true,
            Keep::Yes,
        )
        .unwrap();
    assert_eq!(outcome.touched.len(), 1);
    assert_eq!(other.site().unwrap().rows(&SITE), wanted);
}

#[test]
fn a_failed_edit_and_a_dry_run_change_nothing() {
    let place = place();
    let mut store = Store::open(&place.db).unwrap();
    let before = store.site().unwrap();
    let failed = store.change(
        |site| {
            site.put(&SITE, Vec::new());
            anyhow::bail!("no")
        },
        false,
    );
    assert_eq!(failed.unwrap_err().to_string(), "no");
    let clear = |site: &mut Site| {
        site.put(&SITE, Vec::new());
        Ok(())
    };
    let outcome = store.attempt(clear, false, Keep::DryRun).unwrap();
    assert_eq!(outcome.touched[0].removed, 5);
    assert_eq!(store.site().unwrap(), before);
    let mut again = Store::open(&place.db).unwrap();
    assert_eq!(again.site().unwrap(), before);
}

#[test]
fn writers_do_not_lose_each_others_changes() {
    let place = place();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let db = place.db.clone();
            std::thread::spawn(move || {
                for n in 0..5 {
                    let mut store = Store::open(&db).unwrap();
                    store
                        .change(
                            |site| {
                                site.add(&SITE, setting(&format!("w{writer}-{n}"), "x"));
                                Ok(())
                            },
                            false,
                        )
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let site = Store::open(&place.db).unwrap().site().unwrap();
    assert_eq!(site.rows(&SITE).len(), 5 + 40);
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let place = place();
    drop(Store::open(&place.db).unwrap());
    let connection = rusqlite::Connection::open(&place.db).unwrap();
    connection
        .execute_batch("UPDATE statelite_schema SET version = 99")
        .unwrap();
    let message = Store::open(&place.db).unwrap_err().to_string();
    assert!(message.contains("have version 99"), "{message}");
}

#[test]
fn an_older_store_gets_the_columns_it_lacks() {
    let place = place();
    drop(Store::open(&place.db).unwrap());
    let connection = rusqlite::Connection::open(&place.db).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE litetree DROP COLUMN mntopts; DROP TABLE nodepos; UPDATE statelite_schema SET version = 0",
        )
        .unwrap();
    drop(connection);
    let mut store = Store::open(&place.db).unwrap();
    assert_eq!(store.site().unwrap().rows(&POLICY).len(), 3);
}

#[test]
fn what_is_no_database_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    std::fs::write(
        &file,
        "not a database, but long enough to be taken for one".repeat(40),
    )
    .unwrap();
    let message = Store::open(file.to_str().unwrap()).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot open the tables in "),
        "{message}"
    );
    let below = file.join("y");
    let message = Store::open(below.to_str().unwrap())
        .unwrap_err()
        .to_string();
    assert!(message.contains("exists"), "{message}");
}
