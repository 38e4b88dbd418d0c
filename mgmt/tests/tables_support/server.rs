//! A PostgreSQL server for one test file, started as an ordinary user and stopped whatever happens.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server refuses to run as root: then it runs as Debian's `nobody`.
const NOBODY: u32 = 65534;
/// How long a start may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    child: Child,
    pub dir: tempfile::TempDir,
    pub port: u16,
}

/// The directory of the programs: PATH, else where Debian puts them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|entry| entry.path().join("bin")));
    }
    let all = |dir: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| dir.join(name).exists())
    };
    places.into_iter().find(all)
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

impl Server {
    /// Starts one with the user `statelite`; none, said loudly, when PostgreSQL is not installed. With `prepare` more can be
    /// put beside the data (by its path) and more settings given.
    pub fn start(prepare: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!(
                "SKIPPED: no PostgreSQL server here (initdb, postgres): install the package postgresql"
            );
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        if rustix::process::geteuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let output = command(&programs.join("initdb"))
            .args(["-U", "statelite", "-A", "trust", "-E", "UTF8", "-D"])
            .arg(&data)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let settings = prepare(&data);
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut postgres = command(&programs.join("postgres"));
        postgres.arg("-D").arg(&data).arg("-k").arg(dir.path());
        postgres.args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]);
        for setting in settings {
            postgres.args(["-c", &setting]);
        }
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = postgres
            .current_dir(dir.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, dir, port };
        server.wait();
        Some(server)
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while postgres::Client::connect(&self.url("postgres"), postgres::NoTls).is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("log"));
            let status = self.child.try_wait().unwrap();
            assert!(status.is_none(), "postgres ended: {:?}", log());
            assert!(
                start.elapsed() < PATIENCE,
                "postgres does not answer: {:?}",
                log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The URL of a database, over the unix socket.
    pub fn url(&self, database: &str) -> String {
        let host = self.dir.path().display().to_string().replace('/', "%2F");
        format!(
            "postgresql:///{database}?host={host}&port={}&user=statelite",
            self.port
        )
    }

    /// Makes a database and returns its URL.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(name)
    }

    /// Runs SQL in a database.
    pub fn sql(&self, database: &str, sql: &str) {
        let mut client = postgres::Client::connect(&self.url(database), postgres::NoTls).unwrap();
        client.batch_execute(sql).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An interrupt is PostgreSQL's fast shutdown: it cleans up its shared memory.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.child.wait();
    }
}
