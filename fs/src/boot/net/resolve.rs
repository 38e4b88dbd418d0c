//! What address a name has. The C library's way needs shared objects that a static program
//! cannot load, so names are looked up in `/etc/hosts` and then asked of the name servers.

use super::Network;
use anyhow::{Context as _, bail};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::str::FromStr as _;
use std::time::Duration;

/// How long one name server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Port of name servers.
const PORT: u16 = 53;

/// Knows names.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    hosts: String,
    servers: Vec<SocketAddr>,
    domains: Vec<String>,
}

impl Resolver {
    /// Reads `/etc/hosts` and `/etc/resolv.conf` as they are now, beside what the network said.
    pub fn new(network: &Network) -> Resolver {
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Resolver::of(hosts, &conf, network)
    }

    fn of(hosts: String, conf: &str, network: &Network) -> Resolver {
        let mut servers = network.nameservers.clone();
        let mut domains: Vec<String> = network.domain.iter().cloned().collect();
        for line in conf.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok()))
                }
                Some("search" | "domain") => domains.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        let mut known = std::collections::BTreeSet::new();
        servers.retain(|server| known.insert(*server));
        Resolver {
            hosts,
            servers: servers
                .into_iter()
                .map(|ip| SocketAddr::new(ip, PORT))
                .collect(),
            domains,
        }
    }

    /// The addresses of `name`; an address stands for itself.
    ///
    /// # Errors
    /// If nobody knows the name, or no name server answers.
    pub fn lookup(&self, name: &str) -> anyhow::Result<Vec<IpAddr>> {
        let (bare, zone) = name.split_once('%').unwrap_or((name, ""));
        if let Ok(address) = bare.parse() {
            if !zone.is_empty() {
                bail!("{name}: an address with a zone cannot be used here");
            }
            return Ok(vec![address]);
        }
        let found = in_hosts(&self.hosts, name);
        if !found.is_empty() {
            return Ok(found);
        }
        if self.servers.is_empty() {
            bail!(
                "the address of {name} is not known: not in /etc/hosts, and there is no name server"
            );
        }
        let mut last = None;
        for full in self.candidates(name) {
            for kind in [RecordType::A, RecordType::AAAA] {
                match self.ask_all(&full, kind) {
                    Ok(found) if !found.is_empty() => return Ok(found),
                    Ok(_) => {}
                    Err(e) => last = Some(e),
                }
            }
        }
        match last {
            Some(e) => Err(e.context(format!("the address of {name}"))),
            None => bail!("{name} is not known to the name servers"),
        }
    }

    /// A name with dots is tried as it is first, one without in the domains.
    fn candidates(&self, name: &str) -> Vec<String> {
        let as_is = format!("{}.", name.trim_end_matches('.'));
        let mut all: Vec<String> = self
            .domains
            .iter()
            .map(|domain| format!("{name}.{}.", domain.trim_end_matches('.')))
            .collect();
        if name.ends_with('.') {
            all.clear();
        }
        if name.contains('.') {
            all.insert(0, as_is);
        } else {
            all.push(as_is);
        }
        all
    }

    fn ask_all(&self, name: &str, kind: RecordType) -> anyhow::Result<Vec<IpAddr>> {
        let mut last = None;
        for server in &self.servers {
            match ask(*server, name, kind) {
                Ok(found) => return Ok(found),
                Err(e) => last = Some(e.context(format!("name server {}", server.ip()))),
            }
        }
        last.map_or(Ok(Vec::new()), Err)
    }
}

/// Addresses of `name` in the text of `/etc/hosts`.
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(line));
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words
                .any(|word| word.eq_ignore_ascii_case(name))
                .then_some(address)
        })
        .collect()
}

fn ask(server: SocketAddr, name: &str, kind: RecordType) -> anyhow::Result<Vec<IpAddr>> {
    let name = Name::from_str(name).context("not a name")?;
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    let text = question.to_vec()?;
    let mut answer = Message::from_vec(&over_udp(server, &text)?)?;
    if answer.metadata.truncation {
        answer = Message::from_vec(&over_tcp(server, &text)?)?;
    }
    if answer.metadata.id != question.metadata.id {
        bail!("an answer to another question");
    }
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Ok(Vec::new()),
        code => bail!("{code}"),
    }
    let addresses = answer
        .answers
        .iter()
        .filter_map(|record| match record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        });
    Ok(addresses.collect())
}

fn over_udp(server: SocketAddr, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(text)?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

fn over_tcp(server: SocketAddr, text: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&u16::try_from(text.len())?.to_be_bytes())?;
    stream.write_all(text)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::MessageType;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;

    #[test]
    fn hosts_and_addresses_need_no_server() {
        let hosts = "127.0.0.1 localhost\n10.0.0.1\tmn.cluster mn # the master\nfd00::1 six\n";
        let resolver = Resolver::of(hosts.into(), "", &Network::default());
        for (name, address) in [
            ("mn", "10.0.0.1"),
            ("MN.cluster", "10.0.0.1"),
            ("six", "fd00::1"),
            ("10.1.1.1", "10.1.1.1"),
            ("fe80::1", "fe80::1"),
        ] {
            assert_eq!(
                resolver.lookup(name).unwrap(),
                [address.parse::<IpAddr>().unwrap()]
            );
        }
        let error = resolver.lookup("master").unwrap_err().to_string();
        assert!(error.contains("no name server"), "{error}");
    }

    /// A name server that knows `mn.cluster.`.
    fn serve(socket: &UdpSocket, questions: usize) {
        for _ in 0..questions {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            let query = message.queries[0].clone();
            message.metadata.message_type = MessageType::Response;
            if query.name().to_string() != "mn.cluster." {
                message.metadata.response_code = ResponseCode::NXDomain;
            } else if query.query_type() == RecordType::A {
                let data = RData::A(A([10, 0, 0, 9].into()));
                message.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
            socket.send_to(&message.to_vec().unwrap(), from).unwrap();
        }
    }

    #[test]
    fn name_servers_are_asked_with_the_search_domain() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut resolver =
            Resolver::of(String::new(), "search other cluster\n", &Network::default());
        resolver.servers = vec![socket.local_addr().unwrap()];
        let server = std::thread::spawn(move || serve(&socket, 3 + 6));
        let expected: IpAddr = "10.0.0.9".parse().unwrap();
        assert_eq!(resolver.lookup("mn").unwrap(), [expected]);
        let error = resolver.lookup("nobody").unwrap_err().to_string();
        assert!(error.contains("not known"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn network_and_file_give_servers_once() {
        let network = Network {
            nameservers: vec!["10.0.0.3".parse().unwrap()],
            domain: Some("a".into()),
            ..Network::default()
        };
        let conf = "nameserver 10.0.0.3\nnameserver fd00::3\nsearch b c\n";
        let resolver = Resolver::of(String::new(), conf, &network);
        assert_eq!(resolver.servers.len(), 2);
        assert_eq!(resolver.candidates("x"), ["x.a.", "x.b.", "x.c.", "x."]);
        assert_eq!(resolver.candidates("x.y")[0], "x.y.");
    }
}
