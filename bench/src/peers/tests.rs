#![allow(clippy::unwrap_used)]
use super::*;

fn lines(name: &str) -> Vec<String> {
    let site = Site {
        program: "/p".into(),
        lower: "/l".into(),
        upper: "/u".into(),
        work: "/w".into(),
        mnt: "/m".into(),
    };
    let peer = PEERS.iter().find(|peer| peer.name == name).unwrap();
    (peer.mounts)(&site)
        .iter()
        .map(|(command, point)| format!("{command:?} @ {}", point.display()))
        .collect()
}

#[test]
fn command_lines() {
    let cases = [
        (
            "overlay",
            r#""mount" "-t" "overlay" "overlay" "-o" "lowerdir=/l,upperdir=/u,workdir=/w" "/m" @ /m"#,
        ),
        (
            "fuse-overlayfs",
            r#""/p" "-o" "lowerdir=/l,upperdir=/u,workdir=/w" "/m" @ /m"#,
        ),
        (
            "unionfs-fuse",
            r#""/p" "-o" "cow,allow_other,use_ino" "/u=RW:/l=RO" "/m" @ /m"#,
        ),
        (
            "mergerfs",
            r#""/p" "-o" "allow_other,use_ino" "/u=RW:/l=RO" "/m" @ /m"#,
        ),
        (
            "statelitefs-root",
            r#""/p" "mount" "--image" "/l" "--volatile" "/u" "--rule" "/=tmpfs" "--freshness" "published" "/m" @ /m"#,
        ),
    ];
    for (name, line) in cases {
        assert_eq!(lines(name), [line], "{name}");
    }
}

#[test]
fn the_bare_directory_gets_a_writable_place_of_its_own() {
    let lines = lines(BARE);
    assert_eq!(lines.len(), 2);
    assert!(
        lines.iter().all(|line| line.contains("--make-private")),
        "{lines:?}"
    );
    assert!(
        lines.last().unwrap().ends_with("@ /m/bench/work"),
        "{lines:?}"
    );
}

#[test]
fn a_missing_program_is_named() {
    let ours = *PEERS
        .iter()
        .find(|peer| peer.source == Source::Ours)
        .unwrap();
    let missing = ours
        .find(&Runner::unnoted(), Path::new("/no/statelitefs"), false)
        .unwrap_err();
    assert!(missing.why.contains("--statelitefs"), "{}", missing.why);
}
