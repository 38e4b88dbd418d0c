//! What must hold for any text, path or pair of policies.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use statelite_policy::csv::{LITEFILE, LITETREE, Record, STATELITE, Table};
use statelite_policy::{
    Dialect, NodeIdentity, Placement, Policy, PolicyTree, Rule, Source, Tables, build, check, csv,
    diff, options, path, rule_arg, template,
};

/// Random tables, paths, rules and policies.
#[cfg(test)]
mod given {
    use super::*;

    pub fn cell() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[a-z \",\r\n#é]{0,6}")
    }

    /// Paths from few names, so that they nest, coincide and share prefixes (`a`, `ab`).
    pub fn near_path() -> impl Strategy<Value = String> {
        vec(prop::sample::select(vec!["a", "ab", "b", "c-d"]), 0..5)
            .prop_map(|names| format!("/{}", names.join("/")))
    }

    pub fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let words = prop::sample::select(vec!["", "rw", "persistent", "localdisk", "ro"]);
        btree_map(near_path(), (words, any::<bool>()), 0..12).prop_map(|rules: BTreeMap<_, _>| {
            let argument = |(path, (word, slash)): (String, (&str, bool))| {
                format!("{path}{}={word}", if slash { "/" } else { "" })
            };
            rules
                .into_iter()
                .map(|rule| rule_arg::parse(&argument(rule), Dialect::Current).unwrap())
                .collect()
        })
    }

    pub fn policy(rules: Vec<Rule>) -> Policy {
        Policy {
            tree: PolicyTree::from_rules(rules).unwrap(),
            ..Policy::default()
        }
    }

    /// The longest rule that is the path or an ancestor of it, found one by one.
    pub fn naive<'r>(rules: &'r [Rule], path: &str) -> Option<&'r Rule> {
        let above = |rule: &&Rule| {
            rule.path == "/"
                || path
                    .strip_prefix(rule.path.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        rules
            .iter()
            .filter(above)
            .max_by_key(|rule| rule.path.len())
    }
}

use given::{cell, naive, near_path, policy, rules};

proptest! {
    #[test]
    fn written_tables_read_back(rows in vec(vec(cell(), 5), 0..8)) {
        let columns = LITEFILE.columns.iter().map(|column| column.name).collect();
        let rows = rows.into_iter().map(|fields| Record { line: 0, fields }).collect();
        let table = Table { file: "t".into(), columns, rows };
        let text = csv::write(&table);
        let back = csv::parse("t", text.as_bytes(), &LITEFILE).unwrap();
        let blank_is_null = |row: &Record| -> Vec<Option<String>> {
            row.fields.iter().map(|field| field.clone().filter(|field| !field.is_empty())).collect()
        };
        let expected: Vec<_> = table.rows.iter().map(blank_is_null).collect();
        let got: Vec<_> = back.rows.iter().map(|row| row.fields.clone()).collect();
        prop_assert_eq!(got, expected);
        prop_assert_eq!(csv::write(&back), text);
    }

    #[test]
    fn line_numbers_are_physical(rows in vec(vec(cell(), 5), 0..8)) {
        let columns = LITEFILE.columns.iter().map(|column| column.name).collect();
        let mut line = 2;
        let mut records = Vec::new();
        for fields in rows {
            let breaks = fields.iter().flatten().map(|field| field.matches('\n').count() as u64).sum::<u64>();
            records.push(Record { line, fields });
            line += breaks + 1;
        }
        let table = Table { file: "t".into(), columns, rows: records };
        let back = csv::parse("t", csv::write(&table).as_bytes(), &LITEFILE).unwrap();
        let lines = |table: &Table<'_>| table.rows.iter().map(|row| row.line).collect::<Vec<_>>();
        prop_assert_eq!(lines(&back), lines(&table));
    }

    /// A second reader, by other people, agrees on what tabdump prints.
    #[test]
    fn the_csv_crate_agrees(rows in vec(vec(cell(), 5), 0..8)) {
        let columns = LITEFILE.columns.iter().map(|column| column.name).collect();
        let rows = rows.into_iter().map(|fields| Record { line: 0, fields }).collect();
        let text = csv::write(&Table { file: "t".into(), columns, rows });
        let ours = csv::parse("t", text.as_bytes(), &LITEFILE).unwrap();
        let ours: Vec<Vec<String>> =
            ours.rows.into_iter().map(|row| row.fields.into_iter().map(Option::unwrap_or_default).collect()).collect();
        let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let theirs: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200), header in any::<bool>()) {
        for schema in [LITEFILE, LITETREE, STATELITE] {
            let names: Vec<_> = schema.columns.iter().map(|column| column.name).collect();
            let mut text = if header { format!("#{}\n", names.join(",")).into_bytes() } else { Vec::new() };
            text.extend_from_slice(&bytes);
            if let Ok(table) = csv::parse("t", &text, &schema) {
                prop_assert!(table.rows.iter().all(|row| row.fields.len() == table.columns.len()));
            }
        }
    }

    #[test]
    fn no_rows_make_the_builder_panic(rows in "([a-z1$.:/#,\"\n]|ALL,|,/a|1,,s:/){0,60}") {
        let text = |schema: csv::Schema<'_>| {
            let names: Vec<_> = schema.columns.iter().map(|column| column.name).collect();
            format!("#{}\n{rows}", names.join(","))
        };
        let (files, trees, states) = (text(LITEFILE), text(LITETREE), text(STATELITE));
        let tables = Tables {
            litefile: Some(("f", files.as_bytes())),
            litetree: Some(("t", trees.as_bytes())),
            statelite: Some(("s", states.as_bytes())),
        };
        for dialect in [Dialect::Current, Dialect::Seed2010] {
            // What is right for every node can be wrong for one only because of its variables.
            if let (Err(refusals), Ok(_)) =
                (build(&tables, &NodeIdentity::default(), dialect), check(&tables, dialect))
            {
                prop_assert!(refusals.0.iter().all(|refusal| refusal.reason.contains("node ")), "{}", refusals);
            }
        }
    }

    #[test]
    fn no_word_makes_a_parser_panic(text in any::<String>()) {
        for dialect in [Dialect::Current, Dialect::Seed2010] {
            if let Ok(word) = options::parse(&text, dialect) {
                prop_assert!(word.words.contains(&text.as_str()));
            }
            let _ = rule_arg::parse(&text, dialect);
        }
        let _ = template::Template::parse(&text);
        if let Ok(source) = text.parse::<Source>() {
            prop_assert_eq!(format!("{source:#}").parse::<Source>(), Ok(source));
        }
    }

    #[test]
    fn normal_paths_stay_as_they_are(text in "(/|[a-z.]|\\PC){0,30}") {
        for text in [text.clone(), format!("/{text}")] {
            if let Ok(row) = path::parse(&text) {
                let again = path::parse(&row.path).unwrap();
                prop_assert_eq!(&again.path, &row.path);
                prop_assert_eq!(path::require_normal(&row.path), Ok(()));
                prop_assert_eq!(row.directory, text.ends_with('/'));
            }
        }
    }

    #[test]
    fn governing_is_the_longest_prefix(rules in rules(), paths in vec(near_path(), 1..10)) {
        let tree = PolicyTree::from_rules(rules.clone()).unwrap();
        for path in paths.iter().chain(rules.iter().map(|rule| &rule.path)) {
            prop_assert_eq!(tree.governing(path.as_bytes()), naive(&rules, path), "{}", path);
        }
    }

    #[test]
    fn positions_agree_with_the_rules(rules in rules(), paths in vec(near_path(), 1..10)) {
        let tree = PolicyTree::from_rules(rules.clone()).unwrap();
        for path in &paths {
            let below = |rule: &Rule| rule.path != *path && naive(&[Rule { path: path.clone(), ..rule.clone() }], &rule.path).is_some();
            let exact = rules.iter().find(|rule| rule.path == *path);
            let pos = tree.position(path.as_bytes());
            prop_assert_eq!(pos.and_then(|pos| tree.rule(pos)), exact);
            prop_assert_eq!(pos.is_some_and(|pos| tree.has_rules_below(pos)), rules.iter().any(below));
        }
    }

    #[test]
    fn nothing_changes_from_a_policy_to_itself(rules in rules()) {
        prop_assert!(diff(&policy(rules.clone()), &policy(rules)).is_empty());
    }

    #[test]
    fn applying_the_changes_gives_the_new_policy(old in rules(), new in rules(), paths in vec(near_path(), 1..10)) {
        let (a, b) = (policy(old.clone()), policy(new.clone()));
        let plan = diff(&a, &b);
        prop_assert!(plan.changes.is_sorted_by(|x, y| x.path < y.path));
        let mut applied: BTreeMap<String, Rule> = old.into_iter().map(|rule| (rule.path.clone(), rule)).collect();
        for change in &plan.changes {
            prop_assert_eq!(change.from, a.tree.placement(change.path.as_bytes()));
            prop_assert_eq!(change.to, b.tree.placement(change.path.as_bytes()));
            prop_assert_eq!(change.old.as_ref(), applied.get(&change.path));
            match &change.new {
                Some(rule) => drop(applied.insert(change.path.clone(), rule.clone())),
                None => drop(applied.remove(&change.path)),
            }
        }
        let applied = policy(applied.into_values().collect());
        for path in paths.iter().chain(new.iter().map(|rule| &rule.path)) {
            let placement = |policy: &Policy| -> Placement { policy.tree.placement(path.as_bytes()) };
            prop_assert_eq!(placement(&applied), placement(&b), "{}", path);
        }
    }
}
