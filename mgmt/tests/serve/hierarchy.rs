//! A service node that fetches the tables and serves them while the master is away.

use crate::common::*;
use statelite_mgmt::hierarchy::pull::{Credentials, Master};
use statelite_mgmt::server::listen::Port;
use std::path::PathBuf;

/// Files by which `name` asks the master.
fn credentials(site: &Site1, name: &str) -> Credentials {
    site.issue(name);
    let issued = site.ca_dir().join("issued");
    Credentials {
        ca: site.ca_dir().join("ca.pem"),
        certificate: issued.join(format!("{name}.pem")),
        key: issued.join(format!("{name}.key")),
    }
}

fn pull(site: &Site1, name: &str, to: &std::path::Path) -> anyhow::Result<u64> {
    let port = site.server().port(Port::Https);
    let master = Master::new(
        &format!("https://localhost:{port}"),
        &credentials(site, name),
    )?;
    Ok(master.pull(to)?.generation)
}

#[test]
fn only_service_nodes_get_the_tables() {
    let site = Site1::new();
    let file = site.dir.path().join("snapshot.json");
    let error = format!("{:#}", pull(&site, "n01", &file).unwrap_err());
    assert!(
        error.contains("403") && error.contains("only service nodes"),
        "{error}"
    );
    assert!(!file.exists());
    let generation = pull(&site, "sn1", &file).unwrap();
    assert_eq!(
        generation,
        site.server().state().keeper.world().generation()
    );
    run(async {
        // The address of a service node is not enough.
        let (head, _) = site.get(SN1, None, "/v1/snapshot", "").await;
        assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    });
}

#[test]
fn a_snapshot_answers_as_the_master_did() {
    let master = Site1::new();
    let file = master.dir.path().join("snapshot.json");
    pull(&master, "sn1", &file).unwrap();
    let ca: PathBuf = master.ca_dir();
    let service = Site1 {
        dir: tempfile::tempdir().unwrap(),
        server: None,
    };
    std::fs::create_dir(service.ca_dir()).unwrap();
    for name in ["ca.pem", "server.pem", "server.key"] {
        std::fs::copy(ca.join(name), service.ca_dir().join(name)).unwrap();
    }
    let service = service.start(|config| config.snapshot = Some(file.clone()));
    run(async {
        for command in ["litefile", "litetree"] {
            let wanted = master.ask(N01, None, &request(command)).await;
            assert_eq!(service.ask(N01, None, &request(command)).await, wanted);
        }
        let (_, theirs) = master.get(N01, None, "/v1/policy", "").await;
        let (_, ours) = service.get(N01, None, "/v1/policy", "").await;
        assert_eq!(ours, theirs, "also the generation");
        let (_, health) = service.get(N01, None, "/v1/health", "").await;
        assert!(
            health.contains("\"source\":\"snapshot\"")
                && health.contains("\"status\":\"degraded\""),
            "{health}"
        );
        let (_, metrics) = service.get(N01, None, "/v1/metrics", "").await;
        assert!(metrics.contains("statelite_from_snapshot 1"), "{metrics}");
    });
    assert!(!service.db().exists());
}

#[test]
fn a_master_with_another_certificate_is_not_believed() {
    let (site, other) = (Site1::new(), Site1::new());
    let file = site.dir.path().join("snapshot.json");
    let port = other.server().port(Port::Https);
    let ours = credentials(&site, "sn1");
    let master = Master::new(&format!("https://localhost:{port}"), &ours).unwrap();
    let error = format!("{:#}", master.pull(&file).unwrap_err());
    assert!(error.contains("TLS"), "{error}");
    assert!(!file.exists());
}
