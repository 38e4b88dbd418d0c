use super::*;
use crate::tables::schema::NODERES;
use proptest::prelude::*;

fn site() -> Site {
    let mut site = Site::default();
    let node = Row::new(&NODELIST).with(&NODELIST, "node", "n12");
    site.add(&NODELIST, node.with(&NODELIST, "groups", "rack1,all"));
    for (name, column, value) in [
        ("all", "nfsserver", "nfs0"),
        ("all", "tftpdir", "/tftpboot"),
        ("rack1", "nfsserver", "|n(\\d)(\\d)|nfs$1|"),
    ] {
        let row = Row::new(&NODERES).with(&NODERES, "node", name);
        let row = row.with(&NODERES, column, value);
        match site
            .rows(&NODERES)
            .iter()
            .position(|r| r.key(&NODERES) == [name])
        {
            Some(_) => {
                let mut rows = site.rows(&NODERES).to_vec();
                for old in &mut rows {
                    if old.key(&NODERES) == [name] {
                        old.set(&NODERES, column, Some(value.to_owned()));
                    }
                }
                site.put(&NODERES, rows);
            }
            None => site.add(&NODERES, row),
        }
    }
    site
}

#[test]
fn own_row_then_groups_per_column() {
    let site = site();
    assert_eq!(
        site.node_value("n12", &NODERES, "nfsserver").as_deref(),
        Some("nfs1")
    );
    assert_eq!(
        site.node_value("n12", &NODERES, "tftpdir").as_deref(),
        Some("/tftpboot")
    );
    assert_eq!(site.node_value("n12", &NODERES, "netboot"), None);
    assert_eq!(
        site.variable("n12", "noderes.nfsserver").as_deref(),
        Some("nfs1")
    );
}

fn values(cells: &[(&str, &str)]) -> Site {
    let mut site = Site::default();
    let node = Row::new(&NODELIST).with(&NODELIST, "node", "n12");
    site.add(&NODELIST, node.with(&NODELIST, "groups", "rack1,all"));
    for (name, value) in cells {
        let row = Row::new(&NODERES).with(&NODERES, "node", name);
        let row = row.with(&NODERES, "nfsserver", value);
        site.add(&NODERES, row.with(&NODERES, "nfsdir", value));
    }
    site
}

#[test]
fn substitutions_and_groups() {
    for (cells, wanted) in [
        (
            vec![("all", "|n(\\d+)|10.0.0.($1+1)|")],
            Some("10.0.0.13 all"),
        ),
        // Does not match: the next group is asked, never the node's name as a value.
        (vec![("n12", "|x|y|"), ("all", "nfs0")], Some("nfs0 all")),
        (vec![("n12", "|x|y|")], None),
        // Blank on purpose: the groups are not asked.
        (vec![("n12", "|^.*$||"), ("all", "nfs0")], None),
        (vec![("rack1", "/n/m/")], Some("m12 rack1")),
        (vec![("rack1", "/x/m/")], Some("/x/m/ rack1")),
        (vec![("rack1", "")], None),
    ] {
        let site = values(&cells);
        let found = site.find("n12", &NODERES, "nfsserver").unwrap();
        let shown = found.map(|found| format!("{} {}", found.value, found.from));
        assert_eq!(shown.as_deref(), wanted, "{cells:?}");
    }
    let site = values(&[("all", "/n/state/")]);
    let dir = site.node_value("n12", &NODERES, "nfsdir");
    assert_eq!(dir.as_deref(), Some("/n/state/"), "a directory stays one");
    let node = site.node_value("n12", &NODERES, "node");
    assert_eq!(node.as_deref(), Some("n12"), "not the group's name");
}

#[test]
fn what_cannot_be_computed_names_the_row() {
    let site = values(&[("all", "|n(\\d+)|10.0.0.($1/0)|")]);
    assert_eq!(
        site.find("n12", &NODERES, "nfsserver")
            .unwrap_err()
            .to_string(),
        "noderes: row all: column nfsserver: \"|n(\\d+)|10.0.0.($1/0)|\" for node n12: \
         \"($1/0)\" cannot be computed: a division by zero"
    );
    assert_eq!(site.node_value("n12", &NODERES, "nfsserver"), None);
    assert_eq!(site.variable("n12", "noderes.nfsserver"), None);
}

#[test]
fn rows_are_found_after_every_change() {
    let mut site = values(&[("a", "1")]);
    assert!(site.row(&NODERES, &["b"]).is_none());
    let copy = site.clone();
    site.add(&NODERES, Row::new(&NODERES).with(&NODERES, "node", "b"));
    assert!(site.row(&NODERES, &["b"]).is_some());
    assert!(copy.row(&NODERES, &["b"]).is_none() && copy != site);
    site.put(&NODERES, Vec::new());
    assert!(site.row(&NODERES, &["a"]).is_none());
    let off = Row::new(&NODERES).with(&NODERES, "node", "c");
    site.add(&NODERES, off.with(&NODERES, "disable", "1"));
    assert!(site.row(&NODERES, &["c"]).is_none());
}

/// What is done to a table.
#[derive(Debug, Clone)]
enum Step {
    Add(String, bool),
    Edit(String, String, bool),
    Rename(String, String),
    Put,
    Look(String),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || "[a-d]";
    prop_oneof![
        (name(), any::<bool>()).prop_map(|(name, off)| Step::Add(name, off)),
        (name(), "[0-9]", any::<bool>())
            .prop_map(|(name, value, off)| Step::Edit(name, value, off)),
        (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        Just(Step::Put),
        name().prop_map(Step::Look),
    ]
}

/// The first row of this name that is live, else the first of the name.
fn place(rows: &[Row], name: &str, live: bool) -> Option<usize> {
    let mine = |row: &Row| row.get(&NODERES, "node") == Some(name);
    let found = rows.iter().position(|row| mine(row) && row.live(&NODERES));
    match live {
        true => found,
        false => found.or_else(|| rows.iter().position(mine)),
    }
}

proptest! {
    #[test]
    fn the_index_finds_what_a_search_finds(steps in prop::collection::vec(step(), 1..30)) {
        let mut site = Site::default();
        let mut model: Vec<Row> = Vec::new();
        let word = |off: bool| off.then(|| "1".to_owned());
        for step in steps {
            match step {
                Step::Add(name, off) => {
                    let mut row = Row::new(&NODERES).with(&NODERES, "node", &name);
                    row.set(&NODERES, "disable", word(off));
                    model.push(row.clone());
                    site.add(&NODERES, row);
                }
                Step::Edit(name, value, off) => {
                    let edit = |row: &mut Row| {
                        row.set(&NODERES, "nfsserver", Some(value.clone()));
                        row.set(&NODERES, "disable", word(off));
                    };
                    match place(&model, &name, false) {
                        Some(place) => edit(&mut model[place]),
                        None => {
                            let mut row = Row::new(&NODERES).with(&NODERES, "node", &name);
                            edit(&mut row);
                            model.push(row);
                        }
                    }
                    site.edit_row(&NODERES, &[&name], edit);
                }
                Step::Rename(from, to) => {
                    if let Some(place) = place(&model, &from, false) {
                        model[place].set(&NODERES, "node", Some(to.clone()));
                        site.edit_row(&NODERES, &[&from], |row| {
                            row.set(&NODERES, "node", Some(to));
                        });
                    }
                }
                Step::Put => site.put(&NODERES, model.clone()),
                Step::Look(name) => {
                    let wanted = place(&model, &name, true).map(|place| &model[place]);
                    prop_assert_eq!(site.row(&NODERES, &[&name]), wanted);
                }
            }
            prop_assert_eq!(site.rows(&NODERES), &model[..]);
        }
    }
}
