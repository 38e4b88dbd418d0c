//! Against the libraries that a stock management server answers with (`stock.pl`), and the answers that its rules give
//! (`mgmt/tests/samples`). A running xcatd is not to be had here.

use super::*;
use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};

/// The server, with these answers.
struct Stock {
    child: Child,
    port: u16,
    ca: String,
    _dir: tempfile::TempDir,
}

impl Stock {
    /// None where perl or one of its two libraries is missing.
    fn start(answers: &[(&str, &str)]) -> Option<Stock> {
        let there = Command::new("perl")
            .args(["-MXML::Simple", "-MIO::Socket::SSL", "-e1"])
            .stderr(Stdio::null())
            .status();
        if !there.is_ok_and(|status| status.success()) {
            eprintln!(
                "SKIPPED: a stock server: needs libxml-simple-perl and libio-socket-ssl-perl"
            );
            return None;
        }
        let authority = Authority::new();
        let dir = tempfile::tempdir().unwrap();
        let [certificate, key] = authority.sign("127.0.0.1", false);
        let file = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let mut child = Command::new("perl")
            .arg(file("stock.pl", include_str!("stock.pl")))
            .args([file("cert", &certificate), file("key", &key)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        for (command, text) in answers {
            writeln!(input, "{command}\t{text}").unwrap();
        }
        drop(input);
        let mut port = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        Some(Stock {
            child,
            port: port.trim().parse().unwrap(),
            ca: authority.pem(),
            _dir: dir,
        })
    }

    fn ask(&self, node: Option<&str>) -> anyhow::Result<Lines> {
        let host = Host {
            name: "127.0.0.1".into(),
            port: self.port,
        };
        let config = tls::config(Some(self.ca.as_bytes())).unwrap();
        lines(&host, &[LOCALHOST], &config, node, None)
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn its_libraries_are_understood() {
    let Some(stock) = Stock::start(&[
        ("litefile", "n01: tmpfs         /etc/adjtime"),
        ("litefile", "n01: ro            /etc/a&b <c> \"d\" 'e'"),
        ("litefile", "n01: persistent    /srv/d\u{e9}p\u{f4}t/"),
        ("litetree", "n01: cnfs:/gpfs/dallas/ :soft"),
    ]) else {
        return;
    };
    let begin = Instant::now();
    for node in [Some("n01"), None] {
        let told = stock.ask(node).unwrap();
        assert_eq!(told.node, "n01");
        assert_eq!(
            told.litefile,
            [
                "tmpfs         /etc/adjtime",
                "ro            /etc/a&b <c> \"d\" 'e'",
                // It puts a question mark for each byte that is not ASCII.
                "persistent    /srv/d??p??t/",
            ]
        );
        assert_eq!(told.litetree, ["cnfs:/gpfs/dallas/ :soft"]);
    }
    assert!(
        begin.elapsed() < SILENCE,
        "it waited for the server to close"
    );
    let other = stock.ask(Some("n02")).unwrap_err();
    let other = format!("{other:#}");
    assert!(
        other.contains("the server takes this node for n01"),
        "{other}"
    );
}

#[test]
fn its_refusal_and_its_silence_are_no_policy() {
    for (answers, says) in [
        (&[("denied", "")][..], "policy table"),
        (&[][..], "no litefile row applies to n01"),
    ] {
        let Some(stock) = Stock::start(answers) else {
            return;
        };
        let error = format!("{:#}", stock.ask(Some("n01")).unwrap_err());
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_samples_of_its_answers_are_understood() {
    const LITEFILE: &str =
        include_str!("../../../../../mgmt/tests/samples/wire.litefile.response.xml");
    const LITETREE: &str =
        include_str!("../../../../../mgmt/tests/samples/wire.litetree.response.xml");
    let server = Authority::new().server("127.0.0.1", false);
    let told = talk(server, None, [LITEFILE, LITETREE], Some("n01")).unwrap();
    let wanted = Lines {
        litetree: vec![
            "10.0.0.1:/statelite/n01".into(),
            "cnfs:/gpfs/dallas/ :soft".into(),
        ],
        ..expected()
    };
    assert_eq!(told, wanted);
    let request = include_str!("../../../../../mgmt/tests/samples/wire.litefile.request.xml");
    assert_eq!(Request::new("litefile").to_xml().trim(), request.trim());
}
