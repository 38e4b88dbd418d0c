use super::*;
use crate::boot::net::resolve::Resolver;
use std::time::Instant;

fn lines(litefile: &str) -> Lines {
    Lines {
        node: "n01".into(),
        litefile: vec![litefile.into()],
        litetree: Vec::new(),
    }
}

/// Asks for the policy of n01, which has `saved` in its store.
fn gathered(words: &str, ca: Option<&str>, saved: Option<&Lines>) -> anyhow::Result<Lines> {
    let store = tempfile::tempdir().unwrap();
    if let Some(saved) = saved {
        saved::keep(store.path(), saved).unwrap();
    }
    let line = super::super::cmdline::parse(words).unwrap();
    let gather = Gather {
        line: &line,
        mounter: Mounter::new(Resolver::default()).unwrap(),
        ca: ca.map(Into::into),
    };
    gather.lines(Some("n01"), Some(store.path()))
}

/// The port is reserved and nobody listens there.
const NOBODY: &str = "XCAT=127.0.0.1:1 statelite.timeout=1";

#[test]
fn what_cannot_mend_itself_is_not_waited_for() {
    let good = lines("tmpfs         /etc/adjtime");
    let begin = Instant::now();
    for (words, ca, says) in [
        ("", None, "XCAT=HOST:PORT is missing"),
        ("XCAT=127.0.0.1:1", Some("nothing"), "ca.pem"),
    ] {
        let text = format!("{:#}", gathered(words, ca, None).unwrap_err());
        assert!(text.contains(says), "{text}");
        assert_eq!(gathered(words, ca, Some(&good)).unwrap(), good);
    }
    assert!(begin.elapsed() < Duration::from_secs(30), "it waited");
}

#[test]
fn a_saved_policy_is_taken_only_if_it_can_be_followed() {
    let good = lines("tmpfs         /etc/adjtime");
    assert_eq!(gathered(NOBODY, None, Some(&good)).unwrap(), good);
    let odd = lines("banana        /etc/adjtime");
    let text = format!("{:#}", gathered(NOBODY, None, Some(&odd)).unwrap_err());
    assert!(
        text.contains("the saved policy cannot be followed") && text.contains("banana"),
        "{text}"
    );
}
