//! The table commands as users call them: by their own names, on an SQLite file.

#[cfg(test)]
mod tables_support;

#[cfg(test)]
mod tests {
    use super::tables_support::{Place, sample};
    use serde_json::Value;

    const SAMPLES: &[(&str, &str)] = &[
        ("litefile", "litefile.seed.redhat.csv"),
        ("litefile", "litefile.seed.sles11.csv"),
        ("litetree", "litetree.current-header.csv"),
        ("statelite", "statelite.current-header.csv"),
        ("policy", "policy.statelite.csv"),
    ];

    #[test]
    fn samples_of_xcat_are_dumped_byte_for_byte() {
        let place = Place::new();
        for (table, name) in SAMPLES {
            let text = sample(name);
            place.write("t.csv", &text);
            place.run(&format!("tabrestore -t {table} t.csv")).good();
            assert_eq!(
                place.run(&format!("tabdump {table}")).good(),
                text,
                "{name}"
            );
            // And once more, by the file name and by standard input.
            place.write(&format!("{table}.csv"), &text);
            place.run(&format!("tabrestore {table}.csv")).good();
            place
                .with_env(
                    &format!("statelite tabrestore --table {table} -"),
                    &[],
                    &text,
                )
                .good();
            assert_eq!(
                place.run(&format!("tabdump {table}")).good(),
                text,
                "{name}"
            );
        }
    }

    #[test]
    fn older_headers_load_and_get_the_columns_of_today() {
        let place = Place::new();
        place.write("litetree.csv", &sample("litetree.seed.two-level.csv"));
        place.run("tabrestore litetree.csv").good();
        assert_eq!(
            place.run("tabdump litetree").good(),
            "#priority,image,directory,mntopts,comments,disable\n\
             \"1\",,\"$noderes.nfsserver:/statelite/$node\",,,\n\"2\",,\"cnfs:/gpfs/dallas/\",,,\n"
        );
    }

    #[test]
    fn words_of_2010_need_their_dialect() {
        let place = Place::new();
        place.write("litefile.csv", "#image,file,options\nALL,/a,bind\n");
        let error = place.run("tabrestore litefile.csv --force").bad();
        assert!(
            error.contains(
                "litefile: row 1 (\"ALL\", \"/a\"): column options: unknown option \"bind\""
            ),
            "{error}"
        );
        place
            .run("chtab key=statelitedialect site.value=2010")
            .good();
        place.run("tabrestore litefile.csv").good();
    }

    #[test]
    fn tabdump_lists_tables_and_columns() {
        let place = Place::new();
        let names = place.run("tabdump").good();
        assert!(
            names.starts_with("hosts\nlinuximage\nlitefile\n"),
            "{names}"
        );
        assert_eq!(
            place.run("tabdump -d site").good(),
            "key:\t\tsetting\n\nvalue:\t\tvalue\n\ncomments:\tfor people\n\n\
             disable:\tblank, 0 and no keep the row live\n"
        );
        assert!(
            place
                .run("tabdump -d")
                .good()
                .contains("\n\nsite:\t\tSettings of the site\n")
        );
        assert!(
            place
                .run("tabdump sites")
                .bad()
                .contains("No such table: sites")
        );
        for version in ["tabdump -v", "tabdump --version"] {
            let said = place.run(version).good();
            assert!(said.starts_with("tabdump - statelite "), "{said}");
        }
        // What only reads makes no tables.
        for read in [
            "tabdump policy",
            "statelite check",
            "statelite litefile n1",
            "statelite nodels",
            "statelite nodeset n1 osimage",
        ] {
            assert!(
                place.run(read).bad().contains("there are no tables in"),
                "{read}"
            );
        }
        place.run("chtab key=master site.value=10.0.0.1").good();
        let rows: Value = serde_json::from_str(&place.run("tabdump --json policy").good()).unwrap();
        assert_eq!(rows[0]["commands"], "litefile");
        assert_eq!(rows[0]["name"], Value::Null);
    }

    #[test]
    fn tabdump_chooses_rows_and_writes_files() {
        let place = Place::new();
        place.write("policy.csv", &sample("policy.statelite.csv"));
        place.run("tabrestore policy.csv").good();
        let all = place.run("tabdump policy").good();
        let header = all.lines().next().unwrap();
        let some = place.run("tabdump -w commands==litetree policy").good();
        let row = all.lines().find(|line| line.contains("litetree")).unwrap();
        assert_eq!(some, format!("{header}\n{row}\n"));
        let none = "tabdump policy -w commands=~^lite -w commands!~^lite";
        assert_eq!(place.run(none).good(), format!("{header}\n"));
        let file = place.path("out.csv");
        let words = format!("tabdump -w commands==litetree -f {} policy", file.display());
        assert_eq!(place.run(&words).good(), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), some);
        let json = place.run("tabdump policy -w priority<4.8 --json").good();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(
            json.as_array()
                .unwrap()
                .iter()
                .all(|row| row["priority"].as_str() < Some("4.8"))
        );
        for (words, message) in [
            (
                "tabdump policy -w command==x",
                "the table policy has no column \"command\"",
            ),
            ("tabdump policy -f /nonesuch/x", "cannot write /nonesuch/x"),
        ] {
            let error = place.run(words).bad();
            assert!(error.contains(message), "{words}: {error}");
        }
    }

    #[test]
    fn tabrestore_adds_or_replaces_and_does_nothing_by_halves() {
        let place = Place::new();
        place.write("site.csv", "#key,value\na,1\n");
        place.run("tabrestore site.csv").good();
        place.write("site.csv", "#key,value\nb,2\na,1\n");
        let ran = place.run("tabrestore -a site.csv");
        assert!(ran.err.contains("1 left out"), "{ran:?}");
        let dump = "#key,value,comments,disable\n\"a\",\"1\",,\n\"b\",\"2\",,\n";
        assert_eq!(place.run("tabdump site").good(), dump);
        for (text, wanted) in [
            (
                "#key,value\nc,3\nd, \"4\"\n",
                "site.csv:3: column value: field 2: whitespace before the opening quote",
            ),
            (
                "#key,valu\nc,3\n",
                "site.csv:1: column valu: field 2: the site table has no column \"valu\"",
            ),
            (
                "#key,value\nc,3\nc,4\n",
                "site: row 2 (\"c\"): column key: another row has the same key",
            ),
            ("c,3\n", "no header line"),
        ] {
            place.write("site.csv", text);
            let error = place.run("tabrestore site.csv").bad();
            assert!(error.contains(wanted), "{error}");
            assert_eq!(place.run("tabdump site").good(), dump);
        }
        place.write("site.csv", "#key,value\na,9\n");
        let error = place.run("tabrestore --addrows site.csv").bad();
        assert!(error.contains("another row has the same key"), "{error}");
        assert!(
            place
                .run("tabrestore vpd.csv")
                .bad()
                .contains("No such table: vpd")
        );
        assert!(place.run("tabrestore -").bad().contains("--table TABLE"));
    }

    #[test]
    fn chtab_sets_adds_deletes_and_is_refused_with_row_and_reason() {
        let place = Place::new();
        place.run("chtab node=n1 nodelist.groups=rack1,all").good();
        place
            .run("chtab node=n1 nodelist.groups+=all,web nodelist.comments=x=y")
            .good();
        let rows: Value =
            serde_json::from_str(&place.run("tabdump nodelist --json").good()).unwrap();
        assert_eq!(
            (&rows[0]["groups"], &rows[0]["comments"]),
            (&"rack1,all,web".into(), &"x=y".into())
        );
        let line = "chtab image=deb,file=/etc/motd litefile.options=ro";
        let error = place.run(line).bad();
        assert!(
            error.contains(
                "litefile: row 1 (\"deb\", \"/etc/motd\"): column image: no osimage \"deb\""
            ),
            "{error}"
        );
        assert!(error.contains("--force"), "{error}");
        let ran = place.run(&format!("{line} --force"));
        assert!(
            ran.code == 0 && ran.err.starts_with("Warning: litefile: row 1"),
            "{ran:?}"
        );
        // What was forced in does not stop the next change, and check tells of it.
        let ran = place.run("chtab image=ALL,file=/tmp/ litefile.options=");
        assert!(ran.code == 0 && ran.err.is_empty(), "{ran:?}");
        let ran = place.run("statelite check");
        assert!(
            ran.code == 1 && ran.out.ends_with("1 errors, 0 warnings\n"),
            "{ran:?}"
        );
        let report: Value = serde_json::from_str(&place.run("statelite check --json").out).unwrap();
        assert_eq!(report["findings"][0]["rule"], "unknown-image");
        assert_eq!(report["findings"][0]["key"][1], "/etc/motd");
        place.run("chtab -d image=deb litefile").good();
        assert_eq!(
            place.run("statelite check").good(),
            "0 errors, 0 warnings\n"
        );
        let ran = place.run("chtab -d image=deb litefile");
        assert!(
            ran.code == 0 && ran.err.contains("no row of litefile has image=deb"),
            "{ran:?}"
        );
        assert!(
            place
                .run("chtab site.value=x site.value=x")
                .bad()
                .contains("does not say which rows")
        );
        assert_eq!(place.run("chtab key=x").code, 2);
    }

    #[test]
    fn a_site_can_be_restored_table_by_table() {
        let place = Place::new();
        let osimage = "#imagename,groups,provmethod\ndeb,,statelite\n";
        let files = [
            ("litefile", "#image,file\ndeb,/etc/motd\n"),
            (
                "nodetype",
                "#node,os,arch,profile,provmethod\nall,d,x,p,deb\n",
            ),
            ("nodelist", "#node,groups\nn1,all\n"),
            ("osimage", osimage),
        ];
        for (table, text) in files {
            place.write(&format!("{table}.csv"), text);
            let ran = place.run(&format!("tabrestore --force {table}.csv"));
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        assert_eq!(
            place.run("statelite check").good(),
            "0 errors, 0 warnings\n"
        );
        // Taking the image away again is refused at the rows that need it.
        let error = place.run("chtab -d imagename=deb osimage").bad();
        assert!(
            error.contains("litefile: row 1") && error.contains("nodetype: row 1"),
            "{error}"
        );
    }

    #[test]
    fn tabedit_edits_and_asks_again_after_an_error() {
        let place = Place::new();
        let edit = |editor: &str, input: &str| {
            place.with_env("tabedit site", &[("TABEDITOR", editor)], input)
        };
        assert_eq!(
            edit("true", "").good(),
            "No file modifications detected, not restoring.\n"
        );
        edit("sed -i s/3001/3101/", "").good();
        assert!(
            place
                .run("tabdump site")
                .good()
                .contains("\"xcatdport\",\"3101\"")
        );
        // The first save is wrong, the second right; the text between is kept.
        place.write(
            "fix.sh",
            "grep -q wrong $1 && sed -i s/wrong/3201/ $1 || sed -i s/3101/wrong/ $1\n",
        );
        let fix = format!("sh {}", place.path("fix.sh").display());
        let ran = edit(&fix, "\n");
        assert!(
            ran.err.contains("xcatdport is a port") && ran.err.contains("hit enter to edit"),
            "{ran:?}"
        );
        assert_eq!(ran.code, 0);
        assert!(
            place
                .run("tabdump site")
                .good()
                .contains("\"xcatdport\",\"3201\"")
        );
        // Without an answer the text stays where the message says.
        let error = edit("sed -i s/3201/wrong/", "").bad();
        let file = error.trim_end().rsplit(' ').next().unwrap();
        assert!(std::fs::read_to_string(file).unwrap().contains("wrong"));
        assert!(
            place
                .run("tabdump site")
                .good()
                .contains("\"xcatdport\",\"3201\"")
        );
        assert!(
            edit("false", "")
                .bad()
                .contains("the editor \"false\" failed")
        );
    }

    #[test]
    fn tabedit_keeps_what_others_change_meanwhile() {
        let place = Place::new();
        let chtab = |line: &str| format!("{} {line}", place.path("chtab").display());
        let editor = |other: &str| {
            place.write(
                "edit.sh",
                &format!("{}\nsed -i s/3001/3101/ $1\n", chtab(other)),
            );
            format!("sh {}", place.path("edit.sh").display())
        };
        let env = editor("key=master site.value=mn");
        place
            .with_env("tabedit site", &[("EDITOR", &env)], "")
            .good();
        let dump = place.run("tabdump site").good();
        assert!(
            dump.contains("\"xcatdport\",\"3101\"") && dump.contains("\"master\",\"mn\""),
            "{dump}"
        );
        place.run("chtab key=xcatdport site.value=3001").good();
        let env = editor("key=xcatdport site.value=3333");
        let error = place
            .with_env("tabedit site", &[("EDITOR", &env)], "")
            .bad();
        assert!(
            error.contains(
                "another command changed the same rows of site in the meantime: xcatdport"
            ),
            "{error}"
        );
        assert!(
            place
                .run("tabdump site")
                .good()
                .contains("\"xcatdport\",\"3333\"")
        );
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure_and_a_full_one_is() {
        let place = Place::new();
        place.run("chtab key=master site.value=10.0.0.1").good();
        for (out, wanted) in [("| true", ""), (">/dev/full", "No space left on device")] {
            let line = format!(
                "{} servicenodes --json {out}",
                place.path("statelite").display()
            );
            let ran = std::process::Command::new("bash")
                .args(["-o", "pipefail", "-c", &line])
                .env("STATELITE_DB", place.path("tables.sqlite"))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(ran.status.success(), wanted.is_empty(), "{out}: {said}");
            assert!(
                said.contains(wanted) && !said.contains("panicked"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_whole_site_goes_out_and_comes_in() {
        let place = Place::new();
        let files = [
            ("in/litefile.csv", sample("litefile.seed.redhat.csv")),
            ("in/litetree.csv", sample("litetree.seed.csv")),
            (
                "in/statelite.csv",
                "#node,image,statemnt,comments,disable\nall,,\"cnfs:/gpfs/state\",,\n".to_owned(),
            ),
            (
                "in/nodetype.csv",
                "#node,os,arch,profile,provmethod\nall,d,x,p,deb\n".to_owned(),
            ),
            ("in/nodelist.csv", "#node,groups\nn1,all\n".to_owned()),
            (
                "in/osimage.csv",
                "#imagename,provmethod,zone\ndeb,statelite,z\n".to_owned(),
            ),
            ("in/vpd.csv", "#node,serial\nn1,x\n".to_owned()),
        ];
        for (name, text) in &files {
            place.write(name, text);
        }
        place.run("chtab key=timezone site.value=UTC").good();
        let before = place.run("tabdump litefile").good();
        let out = place.run("statelite import --dry-run in").good();
        assert!(
            out.contains("litefile: 42 rows added") && out.contains("nothing was stored"),
            "{out}"
        );
        assert_eq!(place.run("tabdump litefile").good(), before);
        let ran = place.run("statelite import in");
        assert!(
            ran.err.contains("reading litefile.csv\n")
                && ran.err.contains("checking and storing 47 rows of 6 tables"),
            "{ran:?}"
        );
        assert!(
            ran.out
                .contains("tables that are not kept here, left out: vpd\n"),
            "{ran:?}"
        );
        assert!(
            ran.out
                .contains("columns that are not kept here, left out: osimage.zone\n"),
            "{ran:?}"
        );
        assert_eq!(place.run("tabdump litefile").good(), files[0].1);
        assert_eq!(
            place.run("statelite check").good(),
            "Warning: litetree: row 1 (\"1\"): column directory: $nodepos.room: n1 has no value: it becomes UNDEFINED \
             [no-value]\n0 errors, 1 warnings\n"
        );

        for form in ["", "--sqlite"] {
            place
                .run(&format!("statelite export {form} out{form}"))
                .good();
            let other = Place::new();
            let dir = place.path(&format!("out{form}"));
            other
                .run(&format!("statelite import {}", dir.display()))
                .good();
            for table in place.run("tabdump").good().lines() {
                let dump = format!("tabdump {table}");
                assert_eq!(
                    other.run(&dump).good(),
                    place.run(&dump).good(),
                    "{form} {table}"
                );
            }
        }
        assert_eq!(
            place.run("statelite import out").good(),
            "everything is there already\n"
        );

        // One bad row, and nothing comes in.
        place.write("out/litefile.csv", "#image,file\nALL,etc/motd\n");
        place.write("out/nodelist.csv", "#node,groups\nn2,all\n");
        let error = place.run("statelite import out").bad();
        assert!(
            error.contains("column file: the path is not absolute"),
            "{error}"
        );
        assert!(place.run("tabdump nodelist").good().contains("\"n1\""));
        let report = place.run("statelite import in --json").good();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["tables_left_out"][0], "vpd");
    }

    #[test]
    fn link_mode_refuses_what_fuse_mode_takes() {
        let place = Place::new();
        let rows = "#image,file,options\nALL,/a/,ro\nALL,/a/b,\n";
        place.write("litefile.csv", rows);
        let ran = place.run("tabrestore litefile.csv");
        assert!(
            ran.code == 0 && ran.err.contains("(link mode would refuse this"),
            "{ran:?}"
        );
        let error = place
            .run("chtab --force key=statelitemode site.value=links")
            .bad();
        assert!(
            error.contains("litefile: row 1 (\"ALL\", \"/a/\")"),
            "{error}"
        );
    }

    #[test]
    fn commands_at_the_same_time_do_not_lose_changes() {
        let place = Place::new();
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let place = &place;
                scope.spawn(move || {
                    for n in 0..5 {
                        place
                            .run(&format!("chtab key=w{writer}-{n} site.value=x"))
                            .good();
                        place.run("tabdump site").good();
                    }
                });
            }
        });
        assert_eq!(place.run("tabdump site").good().lines().count(), 1 + 5 + 30);
    }

    #[test]
    fn rules_are_listed() {
        let place = Place::new();
        let text = place.run("statelite check --rules").good();
        assert!(
            text.contains("\nunknown-image       refused, unless forced  "),
            "{text}"
        );
        assert!(
            text.contains("\nnesting             refused                 "),
            "{text}"
        );
        let rules: Value =
            serde_json::from_str(&place.run("statelite check --rules --json").good()).unwrap();
        assert_eq!(rules.as_array().unwrap().len(), text.lines().count());
    }
}
