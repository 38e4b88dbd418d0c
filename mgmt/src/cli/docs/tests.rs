use super::*;
use std::fs::read_to_string;
use std::process::Command as Process;

fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    run(&DocsArgs {
        dir: dir.path().to_owned(),
    })
    .unwrap();
    dir
}

#[test]
fn every_name_has_a_page_of_its_own() {
    let dir = written();
    let page = |name: &str| {
        let path = dir.path().join("man").join(format!("{name}.8"));
        read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for name in LINKS {
        let text = page(name);
        assert!(text.contains(&format!(".TH {name} 8")), "{text}");
        // The name that is typed, not that of the program.
        let shown = name.replace('-', "\\-");
        assert!(text.contains(&format!("\\fB{shown}\\fR")), "{text}");
        assert!(!text.contains("fBstatelite"), "{text}");
        assert!(text.contains("\\-\\-db"), "{text}");
        page(&format!("statelite-{name}"));
    }
    // Commands within commands, and those that are no links.
    for name in [
        "ca-init",
        "ca-show",
        "ca-issue",
        "ca-server",
        "serve",
        "diff",
    ] {
        page(&format!("statelite-{name}"));
    }
    assert!(page("statelite-ca").contains("statelite\\-ca\\-issue(8)"));
    assert!(page("statelite-ca-issue").contains("\\-\\-days"));
    let names = std::fs::read_dir(dir.path().join("man")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    for name in names {
        let name = name.to_string_lossy().into_owned();
        assert!(!name.contains("-help"), "{name}");
    }
}

#[test]
fn the_manual_names_every_link() {
    let text = include_str!("../../../../docs/manual/management.md");
    let words = text.split_once("for name in ").unwrap().1;
    let words = words.split_once("do ln").unwrap().0.replace('\\', "");
    let names: Vec<&str> = words.split_whitespace().collect();
    assert_eq!(names, LINKS);
}

#[test]
fn every_name_has_completions() {
    let dir = written();
    let text = |file: String| read_to_string(dir.path().join("completions").join(&file)).unwrap();
    for name in LINKS.into_iter().chain([PROGRAM]) {
        assert!(
            text(format!("_{name}")).starts_with(&format!("#compdef {name}\n")),
            "{name}"
        );
        assert!(
            text(format!("{name}.fish")).contains(&format!("complete -c {name} ")),
            "{name}"
        );
        assert!(
            text(format!("{name}.bash")).contains(&format!(" {name}\n")),
            "{name}"
        );
    }
}

/// What bash offers when the command line so far is this, the last word being completed.
fn offered(dir: &Path, words: &[&str]) -> String {
    let name = words[0];
    let script = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  set -- \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                  function=$(complete -p \"$1\" | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                  \"$function\" \"$@\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let file = dir.join("completions").join(format!("{name}.bash"));
    let output = Process::new("bash")
        .args(["--norc", "-c", script, "bash"])
        .arg(file)
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{words:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_by_every_name() {
    if Process::new("bash").arg("--version").output().is_err() {
        eprintln!("SKIPPED: completions in bash: there is no bash");
        return;
    }
    let dir = written();
    for name in LINKS {
        let offered = offered(dir.path(), &[name, "--"]);
        let words: Vec<&str> = offered.lines().collect();
        for word in ["--db", "--json", "--help"] {
            assert!(words.contains(&word), "{name}: {words:?}");
        }
    }
    let offered = |words: &[&str]| offered(dir.path(), words);
    assert_eq!(offered(&["liteimg", "--rootf"]), "\n");
    assert_eq!(offered(&["liteimg", "-t", ""]), "nfs\nramdisk\n");
    assert_eq!(offered(&["liteimg", "--dia"]), "--dialect\n");
    assert_eq!(offered(&["statelite", "liteimg", "--dia"]), "--dialect\n");
    assert_eq!(offered(&["statelite", "ca", "iss"]), "issue\n");
}
