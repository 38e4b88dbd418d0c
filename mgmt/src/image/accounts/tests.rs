use super::*;

fn node() -> Accounts {
    Accounts {
        passwd: "root:x:0:0:root:/root:/bin/zsh\npostgres:x:111:120::/var/lib/pg:/bin/sh\n\
                 ann:x:1000:1000::/home/ann:/bin/bash\nbob:x:1001:100::/home/bob:/bin/bash\n\
                 nobody:x:65534:65534::/:/bin/false\n"
            .to_owned(),
        group:
            "root:x:0:\nsudo:x:27:ann,postgres\nusers:x:100:\nann:x:1000:\nproject:x:1500:ann,bob\n"
                .to_owned(),
        shadow: "root:$y$new:1::::::\npostgres:!:1::::::\nann:$y$ann:1::::::\nbob:$y$bob:1::::::\n"
            .to_owned(),
        gshadow: None,
    }
}

fn image() -> Accounts {
    Accounts {
        passwd: "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:111:111::/:/bin/false\n+::::::\n"
            .to_owned(),
        group: "root:x:0:\nsudo:x:27:\nmessagebus:x:111:\n".to_owned(),
        shadow: "root:*:1::::::\nmessagebus:!:1::::::\n".to_owned(),
        gshadow: Some("root:*::\nsudo:*::\nmessagebus:!::\n".to_owned()),
    }
}

#[test]
fn people_come_over_and_system_accounts_stay() {
    let merged = merge(&node(), &image()).unwrap();
    assert_eq!(
        merged.passwd,
        "root:x:0:0:root:/root:/bin/bash\nmessagebus:x:111:111::/:/bin/false\n\
         ann:x:1000:1000::/home/ann:/bin/bash\nbob:x:1001:100::/home/bob:/bin/bash\n+::::::\n"
    );
    assert_eq!(
        merged.group,
        "root:x:0:\nsudo:x:27:ann\nmessagebus:x:111:\nusers:x:100:\nann:x:1000:\nproject:x:1500:ann,bob\n"
    );
    assert_eq!(
        merged.shadow,
        "root:$y$new:1::::::\nmessagebus:!:1::::::\nann:$y$ann:1::::::\nbob:$y$bob:1::::::\n"
    );
    assert_eq!(
        merged.gshadow.as_deref().unwrap(),
        "root:*::\nsudo:*::ann\nmessagebus:!::\nusers:!::\nann:!::\nproject:!::ann,bob\n"
    );
}

#[test]
fn doing_it_twice_changes_nothing_more() {
    let once = merge(&node(), &image()).unwrap();
    assert_eq!(merge(&node(), &once).unwrap(), once);
}

#[test]
fn a_changed_password_replaces_the_old() {
    let once = merge(&node(), &image()).unwrap();
    let mut changed = node();
    changed.shadow = changed.shadow.replace("$y$ann", "$y$better");
    let twice = merge(&changed, &once).unwrap();
    assert!(twice.shadow.contains("ann:$y$better:"));
    assert_eq!(twice.shadow.matches("ann:").count(), 1);
}

#[test]
fn collisions_are_all_named() {
    let mut image = image();
    image
        .passwd
        .push_str("bob:x:200:200::/:/bin/false\nzoe:x:1000:1000::/:/bin/sh\n");
    image.group.push_str("staff:x:1500:\n");
    let error = merge(&node(), &image).unwrap_err().to_string();
    for wanted in [
        "user bob (1001) and the image's bob (200)",
        "user ann (1000) and the image's zoe (1000)",
        "group project (1500) and the image's staff (1500)",
    ] {
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn numbers_of_people() {
    for (number, wanted) in [
        (0, false),
        (999, false),
        (1000, true),
        (60000, true),
        (61184, false),
        (65534, false),
        (65535, false),
        (200_000, true),
        (u32::MAX, false),
    ] {
        assert_eq!(ordinary(Some(number)), wanted, "{number}");
    }
    assert!(!ordinary(None));
}

/// Files written by an ordinary user cannot be given to root.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: writing accounts into an image: it needs root");
    }
    root
}

#[test]
fn written_into_an_image_with_the_modes_it_had() {
    use std::os::unix::fs::PermissionsExt as _;
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, accounts) in [("node", node()), ("image", image())] {
        let root = dir.path().join(name);
        std::fs::create_dir_all(&root).unwrap();
        write(&Root::open(&root).unwrap(), &accounts).unwrap();
    }
    let shadow = dir.path().join("image/etc/shadow");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&shadow), 0o600);
    std::fs::set_permissions(&shadow, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (from, into) = (dir.path().join("node"), dir.path().join("image"));
    bring(&from, &into, false).unwrap();
    assert_eq!(mode(&shadow), 0o640);
    let found = Accounts::read(&Root::open(&into).unwrap()).unwrap();
    assert_eq!(found, merge(&node(), &image()).unwrap());
    bring(&from, &into, true).unwrap();
    let passwd = std::fs::read_to_string(into.join("etc/passwd")).unwrap();
    assert_eq!(passwd, node().passwd);
}
