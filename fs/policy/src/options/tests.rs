use super::*;

fn meaning(word: &str, dialect: Dialect) -> Option<(Placement, Flavour, &'static str)> {
    parse(word, dialect)
        .ok()
        .map(|entry| (entry.placement, entry.flavour, entry.normal()))
}

#[test]
fn every_word_in_both_dialects() {
    // word, current, 2010
    let table = [
        (
            "",
            Some((Volatile, Link, "tmpfs,rw")),
            Some((Volatile, Link, "tmpfs,rw")),
        ),
        (
            "tmpfs,rw",
            Some((Volatile, Link, "tmpfs,rw")),
            Some((Volatile, Link, "tmpfs,rw")),
        ),
        ("link", Some((Volatile, Link, "link")), None),
        (
            "tmpfs",
            Some((Volatile, Bind, "tmpfs")),
            Some((Volatile, Link, "tmpfs")),
        ),
        ("tempfs", Some((Volatile, Bind, "tmpfs")), None),
        ("rw", Some((Volatile, Bind, "rw")), None),
        ("bind", None, Some((Volatile, Bind, "bind"))),
        (
            "persistent",
            Some((Persistent, Bind, "persistent")),
            Some((Persistent, Link, "persistent")),
        ),
        (
            "persistent,rw",
            None,
            Some((Persistent, Link, "persistent")),
        ),
        (
            "link,persistent",
            Some((Persistent, Link, "link,persistent")),
            None,
        ),
        (
            "bind,persistent",
            None,
            Some((Persistent, Bind, "bind,persistent")),
        ),
        ("localdisk", Some((Local, Bind, "localdisk")), None),
        ("ro", Some((Tree, Bind, "ro")), Some((Tree, Link, "ro"))),
        ("link,ro", Some((Tree, Link, "link,ro")), None),
        (
            "con",
            Some((Concat, Bind, "con")),
            Some((Concat, Link, "con")),
        ),
        ("link,con", Some((Concat, Link, "link,con")), None),
    ];
    for (word, current, seed) in table {
        assert_eq!(meaning(word, Current), current, "{word:?} current");
        assert_eq!(meaning(word, Seed2010), seed, "{word:?} 2010");
    }
    let listed: usize = WORDS.iter().map(|entry| entry.words.len()).sum();
    let tested = table
        .iter()
        .map(|(_, a, b)| usize::from(a.is_some()) + usize::from(b.is_some()));
    assert_eq!(
        listed,
        tested.sum::<usize>(),
        "a word of WORDS is not tested"
    );
}

#[test]
fn a_word_has_one_meaning_per_dialect() {
    for entry in WORDS {
        for word in entry.words {
            assert_eq!(parse(word, entry.dialect), Ok(entry), "{word:?}");
        }
    }
}

#[test]
fn other_spellings_are_unknown() {
    for word in [
        "TMPFS",
        " ro",
        "rw,tmpfs",
        "ro,link",
        "tmpfs, rw",
        "image",
        "concatenation",
        "blank",
    ] {
        assert!(
            parse(word, Current).is_err() && parse(word, Seed2010).is_err(),
            "{word:?}"
        );
    }
}

#[test]
fn messages_say_what_is_allowed() {
    let unknown = parse("foo", Seed2010).unwrap_err().to_string();
    assert_eq!(
        unknown,
        "unknown option \"foo\" (allowed in the 2010 dialect: tmpfs,rw blank tmpfs bind persistent persistent,rw \
         bind,persistent ro con)"
    );
    let other = parse("bind", Current).unwrap_err().to_string();
    assert!(
        other.starts_with("unknown option \"bind\": a word of the 2010 dialect (allowed in"),
        "{other}"
    );
}

#[test]
fn help_has_a_line_per_entry() {
    let help = help(Current);
    assert_eq!(help.lines().count(), 11);
    assert!(
        help.starts_with("tmpfs,rw (blank)          volatile      link changes live in RAM"),
        "{help}"
    );
}
