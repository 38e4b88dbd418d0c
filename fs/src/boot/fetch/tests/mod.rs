//! Against a TLS server in this process. Its answers are written by hand in the form that xCAT's have by its source
//! (`wire` in the policy crate); none of them was recorded from a running xcatd.

mod stock;

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{Ipv4Addr, TcpListener};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const LITEFILE: &str = "<xcatresponse>\n  <info>n01: tmpfs         /etc/adjtime</info>\n  \
    <xcatdsource>mn</xcatdsource>\n</xcatresponse>\n<xcatresponse>\n  <info>n01: link          /etc/mtab</info>\n  \
    <xcatdsource>mn</xcatdsource>\n</xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";
const LITETREE: &str = "<xcatresponse>\n  <info>n01: cnfs:/gpfs/dallas/ :soft</info>\n  \
    <xcatdsource>mn</xcatdsource>\n</xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";
const NOTHING: &str = "<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";
const DENIED: &str = "<xcatresponse>\n  <error>Permission denied for request</error>\n  <errorcode>1</errorcode>\n\
    </xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";

/// An authority and what it signs.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority {
            params,
            key: KeyPair::generate().unwrap(),
        }
    }

    fn pem(&self) -> String {
        self.params.self_signed(&self.key).unwrap().pem()
    }

    /// A certificate of a server with this name, and its key.
    fn sign(&self, name: &str, expired: bool) -> [String; 2] {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        [pem, key.serialize_pem()]
    }

    fn server(&self, name: &str, expired: bool) -> Arc<ServerConfig> {
        let [pem, key] = self.sign(name, expired);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }
}

/// What a server does after its answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// It closes without a farewell, as a stock server does in the end.
    Closes,
    /// It waits for another request, as a stock server does first.
    Waits,
}

/// Answers litefile and litetree with these texts; asks of `node`, believing `ca`.
fn talk(
    config: Arc<ServerConfig>,
    ca: Option<&str>,
    answers: [&'static str; 2],
    node: Option<&str>,
) -> anyhow::Result<Lines> {
    talk_and(Then::Closes, config, ca, answers, node)
}

fn talk_and(
    then: Then,
    config: Arc<ServerConfig>,
    ca: Option<&str>,
    answers: [&'static str; 2],
    node: Option<&str>,
) -> anyhow::Result<Lines> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let server = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Acquire) {
            let Ok((tcp, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            tcp.set_nonblocking(false).unwrap();
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, tcp);
            let mut asked = Vec::new();
            let mut buffer = [0; 256];
            while !asked.ends_with(b"</xcatrequest>\n") {
                match stream.read(&mut buffer) {
                    Ok(n @ 1..) => asked.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
            let text = String::from_utf8(asked).unwrap();
            let answer = answers[usize::from(text.contains("litetree"))];
            // In records of a few bytes, so that elements are split between reads.
            for piece in answer.as_bytes().chunks(7) {
                let _ = stream.write_all(piece).and_then(|()| stream.flush());
            }
            if then == Then::Waits {
                let _ = stream.read(&mut buffer);
            }
        }
    });
    let host = Host {
        name: "127.0.0.1".into(),
        port,
    };
    let config = tls::config(ca.map(str::as_bytes)).unwrap();
    let result = lines(&host, &[LOCALHOST], &config, node, None);
    stop.store(true, std::sync::atomic::Ordering::Release);
    server.join().unwrap();
    result
}

fn expected() -> Lines {
    Lines {
        node: "n01".into(),
        litefile: vec![
            "tmpfs         /etc/adjtime".into(),
            "link          /etc/mtab".into(),
        ],
        litetree: vec!["cnfs:/gpfs/dallas/ :soft".into()],
    }
}

#[test]
fn answers_become_lines() {
    let authority = Authority::new();
    let server = authority.server("127.0.0.1", false);
    let ca = authority.pem();
    for (ca, node) in [
        (Some(ca.as_str()), Some("n01")),
        (None, Some("n01")),
        (None, None),
    ] {
        let lines = talk(Arc::clone(&server), ca, [LITEFILE, LITETREE], node).unwrap();
        assert_eq!(lines, expected());
    }
    let bare = talk(server, None, [LITEFILE, NOTHING], Some("n01")).unwrap();
    assert!(bare.litetree.is_empty(), "a site may have no trees");
}

#[test]
fn what_is_no_policy_is_an_error_that_says_what_to_do() {
    let server = Authority::new().server("127.0.0.1", false);
    const CUT: &str =
        "<xcatresponse>\n  <info>n01: tmpfs         /etc/adjtime</info>\n</xcatresponse>\n";
    for (answers, node, says) in [
        ([DENIED, LITETREE], "n01", "policy table"),
        ([LITEFILE, DENIED], "n01", "policy table"),
        ([NOTHING, LITETREE], "n01", "no litefile row applies to n01"),
        (
            [LITEFILE, LITETREE],
            "n02",
            "the server takes this node for n01",
        ),
        ([CUT, LITETREE], "n01", "before <serverdone>"),
        ([LITEFILE, &LITETREE[..60]], "n01", ""),
        (["", LITETREE], "n01", "before <serverdone>"),
        (["Permission denied", LITETREE], "n01", ""),
    ] {
        let error = talk(Arc::clone(&server), None, answers, Some(node)).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(says), "{answers:?}: {text}");
    }
}

#[test]
fn certificates_are_checked_if_there_is_an_authority() {
    let ours = Authority::new();
    let ca = ours.pem();
    for (server, says) in [
        (ours.server("127.0.0.1", true), "has expired"),
        (
            Authority::new().server("127.0.0.1", false),
            "not signed by the authority",
        ),
        (ours.server("mn.cluster", false), "for another name"),
    ] {
        let error = talk(server, Some(&ca), [LITEFILE, LITETREE], Some("n01")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(says), "{text}");
    }
    let expired = ours.server("127.0.0.1", true);
    let lines = talk(expired, None, [LITEFILE, LITETREE], Some("n01")).unwrap();
    assert_eq!(
        lines,
        expected(),
        "without an authority anybody is believed"
    );
}

#[test]
fn nobody_there_is_said_with_the_address() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let host = Host {
        name: "mn".into(),
        port,
    };
    let config = tls::config(None).unwrap();
    let error = lines(&host, &[LOCALHOST], &config, Some("n01"), None).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains(&format!("mn:{port}: no connection to 127.0.0.1:{port}")),
        "{text}"
    );
}

#[test]
fn an_answer_ends_with_its_last_element_and_not_with_the_connection() {
    let server = Authority::new().server("127.0.0.1", false);
    let begin = Instant::now();
    let lines = talk_and(
        Then::Waits,
        Arc::clone(&server),
        None,
        [LITEFILE, LITETREE],
        Some("n01"),
    );
    assert_eq!(lines.unwrap(), expected());
    let denied = talk_and(Then::Waits, server, None, [DENIED, LITETREE], Some("n01"));
    let denied = denied.unwrap_err().to_string();
    assert!(denied.contains("management server"), "{denied}");
    assert!(begin.elapsed() < SILENCE, "it waited for the server");
}

#[test]
fn a_server_that_drips_does_not_outlast_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        // A record of 16 KiB, byte by byte.
        let mut whole = tcp.write_all(&[0x16, 3, 3, 0x40, 0]);
        for _ in 0..1000 {
            if whole.is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
            whole = tcp.write_all(&[0]);
        }
    });
    let host = Host {
        name: "mn".into(),
        port,
    };
    let config = tls::config(None).unwrap();
    let begin = Instant::now();
    let limit = Some(Duration::from_secs(1));
    let error = lines(&host, &[LOCALHOST], &config, Some("n01"), limit).unwrap_err();
    let took = begin.elapsed();
    let error = format!("{error:#}");
    assert!(error.contains("it does not answer"), "{error}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    server.join().unwrap();
}
