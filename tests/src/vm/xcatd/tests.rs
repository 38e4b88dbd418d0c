use super::*;

const TABLE: &str =
    "#image,file,options,comments,disable\n\"ALL\",\"/tmp/\",,,\n\"ALL\",\"/etc/a\",\"ro\",,\n";

/// What the stock node's own tool gets for its two-line request.
fn ask(cage: &Cage, command: &str, ca: &Path) -> String {
    let script = format!(
        "printf '<xcatrequest>\\n   <command>{command}</command>\\n</xcatrequest>\\n' | \
         timeout 5 openssl s_client -connect 10.77.1.1:3001 -CAfile {} -verify_return_error -quiet 2>/dev/null",
        ca.display()
    );
    cage.cmd("sh").args(["-c", &script]).run().unwrap().stdout
}

#[test]
fn it_answers_stock_nodes_and_misbehaves_on_demand() {
    if !crate::root_or_skip("it_answers_stock_nodes_and_misbehaves_on_demand") {
        return;
    }
    let cage = Arc::new(Cage::new().unwrap());
    let authority = Arc::new(Authority::new().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    write_ca(&authority, &ca).unwrap();
    let tables = Tables::new("n01", TABLE, &["10.77.0.2:/trees/one".into()]).unwrap();
    let mut server = Xcatd::start(&cage, &authority, "10.77.1.1", tables).unwrap();
    let lines = |text: &str| {
        let response = wire::Response::parse(text).unwrap();
        let lines = response.lines("n01").map(|lines| lines.join("\n"));
        lines.map_err(|error| error.to_string())
    };

    let both = "tmpfs,rw      /tmp/\nro            /etc/a";
    assert_eq!(lines(&ask(&cage, "litefile", &ca)), Ok(both.to_owned()));
    let tree = "10.77.0.2:/trees/one".to_owned();
    assert_eq!(lines(&ask(&cage, "litetree", &ca)), Ok(tree));
    assert_eq!(server.asked(), ["litefile", "litetree"]);

    for (manner, error) in [
        (
            Manner::Refuse,
            wire::WireError::Refused(wire::DENIED.into()),
        ),
        (Manner::Empty, wire::WireError::Empty),
    ] {
        server.set_manner(manner);
        assert_eq!(lines(&ask(&cage, "litefile", &ca)), Err(error.to_string()));
    }
    server.set_manner(Manner::Cut);
    let cut = ask(&cage, "litefile", &ca);
    assert!(
        cut.contains("<xcatresponse>") && !cut.contains("serverdone"),
        "{cut}"
    );
    server.set_manner(Manner::Close);
    assert_eq!(ask(&cage, "litefile", &ca), "");

    server.set_manner(Manner::Good);
    for validity in [Validity::Expired, Validity::Foreign] {
        server.set_certificate(validity).unwrap();
        assert_eq!(ask(&cage, "litefile", &ca), "", "{validity:?}");
    }
    server.set_certificate(Validity::Good).unwrap();
    server.down();
    assert_eq!(ask(&cage, "litefile", &ca), "");
    server.up().unwrap();
    assert_eq!(lines(&ask(&cage, "litefile", &ca)), Ok(both.to_owned()));

    let status = "exec 3<>/dev/tcp/10.77.1.1/3002; read -r a <&3; echo 'installstatus netbooting' >&3; read -r b <&3; echo $a $b";
    let said = cage.cmd("bash").args(["-c", status]).check().unwrap();
    assert_eq!(said.stdout, "ready done\n");
    assert_eq!(server.told(), ["installstatus netbooting"]);
}
