use super::*;
use crate::tables::schema::{LITEFILE, NODERES, OSIMAGE};
use rusqlite::Connection;

fn site() -> Site {
    let mut site = Site::default();
    for (table, text) in [
        (
            &LITEFILE,
            "#image,file,options,disable\nALL,/z,,\nALL,\"/a\"\"b\",\"tmpfs,rw\",1\n,/blank,ro,\n",
        ),
        (
            &SITE,
            "#key,value,comments\nmaster,mn,\"two\nlines, \"\"quoted\"\"\"\n",
        ),
        (&OSIMAGE, "#imagename,groups\ndeb,é\n"),
    ] {
        let rows = super::super::csv::read(table, "t", text.as_bytes()).unwrap();
        site.put(table, rows);
    }
    site
}

#[test]
fn what_is_exported_comes_back_in_both_forms() {
    for kind in [Kind::Csv, Kind::Sqlite] {
        let dir = tempfile::tempdir().unwrap();
        let site = site();
        export(&site, dir.path(), kind, |_| {}).unwrap();
        export(&site, dir.path(), kind, |_| {}).unwrap();
        let mut files = Vec::new();
        let bundle = Bundle::read(dir.path(), |name| files.push(name.to_owned())).unwrap();
        assert_eq!(files.len(), TABLES.len());
        let mut back = Site::default();
        bundle.put(&mut back);
        for table in TABLES {
            let text = |site: &Site| super::super::csv::write(table, site.rows(table));
            assert_eq!(text(&back), text(&site), "{kind:?} {}", table.name);
        }
    }
}

#[test]
fn what_is_not_known_is_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("vpd.csv", "#node,serial\nn1,x\n");
    write("ipmi.csv", "broken");
    write("noderes.csv", "#node,netboot,zone\nn1,pxe,z\n");
    write("README", "");
    write(".litefile.csv.new", "half");
    let bundle = Bundle::read(dir.path(), |_| {}).unwrap();
    assert_eq!(bundle.left_out, ["ipmi", "vpd"]);
    assert_eq!(bundle.tables.len(), 1);
    assert_eq!(bundle.tables[0].left_out, ["zone"]);
    assert_eq!(
        bundle.tables[0].rows[0].get(&NODERES, "netboot"),
        Some("pxe")
    );
}

#[test]
fn databases_of_xcat_are_read_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let connection = Connection::open(dir.path().join("litefile.sqlite")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE litefile (image TEXT NOT NULL, file TEXT NOT NULL, options TEXT, comments TEXT, disable TEXT,
                 PRIMARY KEY (image, file));
             INSERT INTO litefile VALUES ('ALL', '/z', NULL, NULL, NULL), ('ALL', '/a', 'ro', '', 1)",
        )
        .unwrap();
    drop(connection);
    // A table that was never used has a file without it.
    drop(Connection::open(dir.path().join("litetree.sqlite")).unwrap());
    let bundle = Bundle::read(dir.path(), |_| {}).unwrap();
    let [loaded] = &bundle.tables[..] else {
        panic!("{bundle:?}");
    };
    assert_eq!(
        super::super::csv::write(&LITEFILE, &loaded.rows),
        "#image,file,options,comments,disable\n\"ALL\",\"/z\",,,\n\"ALL\",\"/a\",\"ro\",,\"1\"\n"
    );
}

#[test]
fn our_own_settings_survive_the_site_table_of_xcat() {
    let row = |key: &str, value: &str| {
        let row = Row::new(&SITE).with(&SITE, "key", key);
        row.with(&SITE, "value", value)
    };
    let mut site = Site::default();
    site.put(
        &SITE,
        vec![
            row("statelitemode", "links"),
            row("statelitedialect", "2010"),
            row("x", "1"),
        ],
    );
    let loaded = Loaded {
        table: &SITE,
        file: String::new(),
        rows: vec![row("master", "mn"), row("statelitedialect", "current")],
        left_out: Vec::new(),
    };
    let bundle = Bundle {
        tables: vec![loaded],
        left_out: Vec::new(),
    };
    bundle.put(&mut site);
    assert_eq!(
        site.rows(&SITE),
        [
            row("master", "mn"),
            row("statelitedialect", "current"),
            row("statelitemode", "links")
        ]
    );
}

#[test]
fn every_malformed_row_of_every_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("site.csv", "#key,value\na, \"b\"\n");
    write("litefile.csv", "#image,file\na,b,c\n");
    let message = Bundle::read(dir.path(), |_| {}).unwrap_err().to_string();
    assert!(
        message.contains("litefile.csv:2: field 3: 3 fields, the header has 2"),
        "{message}"
    );
    assert!(
        message.contains("site.csv:2: column value: field 2: whitespace"),
        "{message}"
    );
    std::fs::remove_file(dir.path().join("litefile.csv")).unwrap();
    write("site.csv", "#key,value\n");
    write("site.sqlite", "");
    let message = Bundle::read(dir.path(), |_| {}).unwrap_err().to_string();
    assert_eq!(
        message,
        "the table site is there twice, as site.csv and site.sqlite: keep one of the files"
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        Bundle::read(empty.path(), |_| {}),
        Err(TransferError::Nothing(_))
    ));
    assert!(matches!(
        Bundle::read(&empty.path().join("x"), |_| {}),
        Err(TransferError::File { .. })
    ));
}
