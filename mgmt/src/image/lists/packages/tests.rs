use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn read(files: &[(&str, &str)], used: Use) -> Result<PackageList, ListError> {
    let texts: HashMap<PathBuf, String> = files
        .iter()
        .map(|(name, text)| (PathBuf::from(name), (*text).to_owned()))
        .collect();
    let top = PathBuf::from(files[0].0);
    PackageList::read(&[top], used, &|path| {
        let text = texts.get(path).cloned();
        text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    })
}

/// A pass in short: `K=v|-a|b dir/c @g|--d`.
fn short(list: &PackageList) -> Vec<String> {
    let pass = |pass: &Pass| {
        let env: Vec<_> = pass.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let install: Vec<_> = pass
            .install
            .iter()
            .map(|entry| match &entry.dir {
                Some(dir) => format!("{dir}/{}", entry.name),
                None => entry.name.clone(),
            })
            .collect();
        let parts = [
            env.join(" "),
            pass.remove_before.join(" "),
            install.join(" "),
            pass.remove_after.join(" "),
        ];
        parts.join("|")
    };
    list.passes.iter().map(pass).collect()
}

#[test]
fn lines_of_a_main_list() {
    for (text, wanted) in [
        ("bash\nnfs-utils\n", vec!["||bash nfs-utils|"]),
        (
            "bash,nfs-utils , dhclient\n",
            vec!["||bash nfs-utils dhclient|"],
        ),
        ("# a comment\n\n  \t\nbash  \r\n", vec!["||bash|"]),
        ("bash # the shell\n", vec!["||bash|"]),
        (
            "@Development Tools\n@core\n",
            vec!["||@Development Tools @core|"],
        ),
        ("bash\nbash\n", vec!["||bash|"]),
        ("a\n#NEW_INSTALL_LIST#\nb\n", vec!["||a|", "||b|"]),
        ("#NEW_INSTALL_LIST#\n#NEW_INSTALL_LIST#\nb\n", vec!["||b|"]),
        ("#ENV:INITRD=no#\na\n", vec!["INITRD=no||a|"]),
        ("#ENV:A=1,2#,a\n", vec!["A=1,2||a|"]),
        ("#NEW_INSTALL_LIST\na\n", vec!["||a|"]),
        (
            "a.x86_64\nlibstdc++\npython3:any\n",
            vec!["||a.x86_64 libstdc++ python3:any|"],
        ),
        ("", vec![]),
    ] {
        let list = read(&[("/c/p", text)], Use::Main).unwrap();
        assert_eq!(short(&list), wanted, "{text:?}");
        assert_eq!(list.warnings, [""; 0], "{text:?}");
    }
}

#[test]
fn removals_and_directories_count_in_other_lists_only() {
    let text = "-before\n--after\nib/drivers/mlnx\nplain\n";
    let list = read(&[("/c/o", text)], Use::Other).unwrap();
    assert_eq!(short(&list), ["|before|ib/drivers/mlnx plain|after"]);
    assert_eq!(list.passes[0].dirs(), [None, Some("ib/drivers")]);
    let list = read(&[("/c/o", text)], Use::Main).unwrap();
    assert_eq!(short(&list), ["||mlnx plain|"]);
    assert_eq!(list.warnings.len(), 3);
    assert!(list.warnings[0].starts_with("/c/o:1: \"-before\""));
}

#[test]
fn includes_count_from_the_first_list() {
    let files = [
        ("/c/p", "a\n#INCLUDE:sub/one#\nz\n"),
        ("/c/sub/one", "b\n#INCLUDE:two#\n"),
        ("/c/two", "c,#INCLUDE:/abs#,d\n"),
        ("/abs", "e\n#NEW_INSTALL_LIST#\nf"),
    ];
    let list = read(&files, Use::Main).unwrap();
    assert_eq!(short(&list), ["||a b c e|", "||f d z|"]);
}

#[test]
fn a_file_may_be_included_twice_but_not_by_itself() {
    let files = [("/c/p", "#INCLUDE:x#\n#INCLUDE:x#\n"), ("/c/x", "a\n")];
    assert_eq!(short(&read(&files, Use::Main).unwrap()), ["||a|"]);
    let files = [("/c/p", "#INCLUDE:x#\n"), ("/c/x", "a\n#INCLUDE:p#\n")];
    let error = read(&files, Use::Main).unwrap_err().to_string();
    assert_eq!(
        error,
        "/c/x:2: /c/p includes itself; remove one of the #INCLUDE: lines"
    );
}

#[test]
fn refusals_name_file_and_line() {
    for (text, wanted) in [
        ("a b\n", "/c/p:1: \"a b\" is no package name"),
        ("x\n$(reboot)\n", "/c/p:2: \"$(reboot)\" is no package name"),
        (
            "#INCLUDE:none#\n",
            "cannot read the package list /c/none (included by /c/p:1)",
        ),
        ("#INCLUDE:#\n", "/c/p:1: #INCLUDE: should be"),
        ("#ENV:novalue#\n", "/c/p:1: #ENV: should be"),
        ("---x\n", "/c/p:1: \"---x\" is no package to remove"),
        ("-\n", "/c/p:1: \"-\" is no package to remove"),
        ("../../x\n", "/c/p:1: \"../../x\" is no package in"),
        ("dir/\n", "/c/p:1: \"dir/\" is no package in"),
    ] {
        let error = read(&[("/c/p", text)], Use::Other).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{text:?}: {error}");
    }
}

#[test]
fn passes_of_several_lists_are_joined_by_number() {
    let read = |path: &Path| {
        Ok(match path.to_str() {
            Some("/c/1") => "a\n#NEW_INSTALL_LIST#\nb\n",
            _ => "c\n#NEW_INSTALL_LIST#\nd\n",
        }
        .to_owned())
    };
    let files = ["/c/1", "/c/2"].map(PathBuf::from);
    let list = PackageList::read(&files, Use::Main, &read).unwrap();
    assert_eq!(short(&list), ["||a c|", "||b d|"]);
}

proptest! {
    #[test]
    fn names_come_out_as_they_went_in(
        names in proptest::collection::hash_set("[a-z0-9][a-z0-9+._:-]{0,12}", 1..20),
        commas in any::<bool>(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let text = names.join(if commas { "," } else { "\n" });
        let list = read(&[("/c/p", &text)], Use::Other).unwrap();
        let found: Vec<String> = list.passes[0].names().map(str::to_owned).collect();
        prop_assert_eq!(found, names);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = read(&[("/c/p", &text)], Use::Other);
        let _ = read(&[("/c/p", &format!("#INCLUDE:p#{text}"))], Use::Main).unwrap_err();
    }
}
