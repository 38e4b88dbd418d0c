//! The tables in a real PostgreSQL server.

#[cfg(test)]
mod tables_support;

#[cfg(test)]
mod tests {

    use super::tables_support::server::Server;
    use super::tables_support::{Place, sample};
    use statelite_mgmt::tables::schema::{POLICY, SITE};
    use statelite_mgmt::tables::store::Keep;
    use statelite_mgmt::tables::{Row, Site, Store};

    /// One server for all of these: making one takes seconds.
    #[test]
    fn a_store_in_postgresql_keeps_what_a_store_promises() {
        let Some(server) = Server::start(|_| Vec::new()) else {
            return;
        };
        behaves_as_one_in_a_file(&server);
        writers_and_first_users_do_not_lose_each_others_work(&server);
        versions_and_lost_connections(&server);
        the_commands_work_on_a_url(&server);
    }

    fn setting(key: &str, value: &str) -> Row {
        let row = Row::new(&SITE).with(&SITE, "key", key);
        row.with(&SITE, "value", value)
    }

    fn behaves_as_one_in_a_file(server: &Server) {
        let db = server.database("one");
        let mut store = Store::open(&db).unwrap();
        let mut other = Store::open(&db).unwrap();
        let fresh = store.site().unwrap();
        assert_eq!(fresh.setting("xcatdport"), Some("3001"));
        assert_eq!(fresh.rows(&POLICY).len(), 3);

        // Rows come back in their order, whatever is in the cells.
        let mut wanted = vec![
            setting("z", "tab\tback\\slash \\N\nline \"q\" é"),
            setting("a", ""),
        ];
        wanted.extend(fresh.rows(&SITE).iter().cloned());
        let rows = wanted.clone();
        let put = |site: &mut Site| {
            site.put(&SITE, rows);
            Ok(())
        };
        let outcome = store.attempt(put, false, Keep::Yes).unwrap();
        assert_eq!(
            (outcome.touched[0].added, outcome.touched[0].changed),
            (2, 0)
        );
        assert_eq!(other.site().unwrap().rows(&SITE), wanted);

        // One changed, one removed, the others untouched.
        wanted.remove(1);
        wanted[0] = setting("z", "new");
        let rows = wanted.clone();
        let put = |site: &mut Site| {
            site.put(&SITE, rows);
            Ok(())
        };
        let outcome = other.attempt(put, false, Keep::Yes).unwrap();
        let touched = &outcome.touched[0];
        assert_eq!((touched.added, touched.changed, touched.removed), (0, 1, 1));
        let after = store.site().unwrap();
        assert_eq!(after.rows(&SITE), wanted);

        // Nothing of a failed edit, of a refusal or of a dry run stays.
        let clear = |site: &mut Site| {
            site.put(&SITE, vec![setting("xcatdport", "0")]);
            Ok(())
        };
        let error = store.change(clear, true).unwrap_err().to_string();
        assert!(error.contains("xcatdport is a port"), "{error}");
        let clear = |site: &mut Site| {
            site.put(&SITE, Vec::new());
            Ok(())
        };
        store.attempt(clear, false, Keep::DryRun).unwrap();
        assert!(store.change(|_| anyhow::bail!("no"), false).is_err());
        assert_eq!(store.site().unwrap(), after);
    }

    fn writers_and_first_users_do_not_lose_each_others_work(server: &Server) {
        let db = server.database("many");
        std::thread::scope(|scope| {
            for writer in 0..6 {
                let db = &db;
                scope.spawn(move || {
                    for n in 0..4 {
                        let add = |site: &mut Site| {
                            site.add(&SITE, setting(&format!("w{writer}-{n}"), "x"));
                            Ok(())
                        };
                        Store::open(db).unwrap().change(add, false).unwrap();
                    }
                });
            }
        });
        let site = Store::open(&db).unwrap().site().unwrap();
        assert_eq!(
            (site.rows(&SITE).len(), site.rows(&POLICY).len()),
            (5 + 24, 3)
        );
    }

    fn versions_and_lost_connections(server: &Server) {
        let db = server.database("versions");
        drop(Store::open(&db).unwrap());
        server.sql(
            "versions",
            "ALTER TABLE litetree DROP COLUMN mntopts; DROP TABLE nodepos; UPDATE statelite_schema SET version = 0",
        );
        let mut store = Store::open(&db).unwrap();
        assert_eq!(store.site().unwrap().rows(&POLICY).len(), 3);

        // A server that was started again does not stop a program that runs for months.
        server.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'statelite'",
        );
        let tries = (0..50).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            store.site().is_ok()
        });
        assert!(tries, "{:?}", store.site());

        server.sql("versions", "UPDATE statelite_schema SET version = 99");
        let error = Store::open(&db).unwrap_err().to_string();
        assert!(error.contains("have version 99"), "{error}");
        let error = Store::open(&server.url("nonesuch"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("database \"nonesuch\" does not exist"),
            "{error}"
        );
    }

    fn the_commands_work_on_a_url(server: &Server) {
        let place = Place::at(server.database("commands"));
        let text = sample("litefile.seed.redhat.csv");
        place.write("litefile.csv", &text);
        place.run("tabrestore litefile.csv").good();
        assert_eq!(place.run("tabdump litefile").good(), text);
        place.run("chtab key=master site.value=mn").good();
        assert!(
            place
                .run("tabdump site")
                .good()
                .ends_with("\"master\",\"mn\",,\n")
        );
    }

    #[test]
    fn a_password_is_in_no_message() {
        let place = Place::at("postgresql://xcat:geheim@127.0.0.1:1/xcat".to_owned());
        let error = place.run("tabdump site").bad();
        assert!(error.contains("xcat@127.0.0.1:1/xcat"), "{error}");
        assert!(
            !error.contains("geheim") && !place.run("tabdump --help").good().contains("geheim")
        );
    }

    /// An authority and a certificate it signed for a name: PEM of authority, certificate and key.
    fn certificates(name: &str) -> [String; 3] {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap();
        [certificate, server.pem(), key.serialize_pem()]
    }

    #[test]
    fn an_encrypted_connection_shows_a_certificate_that_counts() {
        let [authority, certificate, key] = certificates("localhost");
        let server = Server::start(|data| {
            let own = |name: &str, text: &str| {
                use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
                let path = data.join(name);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
                let owner = std::fs::metadata(data).unwrap();
                chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
            };
            own("server.crt", &certificate);
            own("server.key", &key);
            // Nobody gets in without encryption over the network.
            own(
                "pg_hba.conf",
                "local all all trust\nhostssl all all 127.0.0.1/32 trust\n",
            );
            vec!["ssl=on".to_owned()]
        });
        let Some(server) = server else { return };
        server.database("secret");
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (right, wrong) = (
            file("ca.pem", &authority),
            file("other.pem", &certificates("x")[0]),
        );
        let url = |host: &str| format!("postgresql://statelite@{host}:{}/secret", server.port);

        let mut store = Store::open(&format!("{}?sslrootcert={right}", url("localhost"))).unwrap();
        assert_eq!(store.site().unwrap().rows(&POLICY).len(), 3);
        for (db, reason) in [
            (
                format!("{}?sslrootcert={wrong}", url("localhost")),
                "certificate",
            ),
            (
                format!("{}?sslrootcert={right}", url("127.0.0.1")),
                "certificate",
            ),
            (url("localhost"), "no encryption"),
            (
                format!("{}?sslmode=require", url("localhost")),
                "needs sslrootcert",
            ),
            (
                format!("{}?sslrootcert=/nonesuch", url("localhost")),
                "/nonesuch: ",
            ),
        ] {
            let error = Store::open(&db).unwrap_err().to_string();
            assert!(error.contains(reason), "{db}: {error}");
        }
    }
}
