//! The two questions asked of name servers: which names has an address, and has a name this address.

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// How long one name server gets.
const PATIENCE: Duration = Duration::from_millis(1500);
/// A UDP answer is no longer than this without EDNS, which is not offered.
const LONGEST: usize = 512;
/// Names of one address that are looked at.
const MOST_NAMES: usize = 4;

/// Asks name servers in turn.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
}

impl Resolver {
    /// Asks these, or those of `/etc/resolv.conf` if there are none.
    pub fn new(servers: &[String]) -> Self {
        let mut parsed: Vec<_> = servers.iter().filter_map(|text| server(text)).collect();
        if servers.is_empty() {
            let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
            parsed = resolv_conf(&text);
        }
        Self { servers: parsed }
    }

    /// The names of an address.
    pub async fn names(&self, address: IpAddr) -> Vec<String> {
        let answers = self.ask(Name::from(address), RecordType::PTR).await;
        let name = |data: RData| match data {
            RData::PTR(name) => Some(name.0.to_ascii()),
            _ => None,
        };
        answers
            .into_iter()
            .filter_map(name)
            .take(MOST_NAMES)
            .collect()
    }

    /// Whether a name has the address.
    pub async fn has_address(&self, name: &str, address: IpAddr) -> bool {
        let kind = match address {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::AAAA,
        };
        let Ok(mut name) = Name::from_ascii(name) else {
            return false;
        };
        name.set_fqdn(true);
        let answers = self.ask(name, kind).await;
        answers.into_iter().any(|data| match data {
            RData::A(found) => IpAddr::V4(found.0) == address,
            RData::AAAA(found) => IpAddr::V6(found.0) == address,
            _ => false,
        })
    }

    /// The first server that answers with something other than a failure decides.
    async fn ask(&self, name: Name, kind: RecordType) -> Vec<RData> {
        for server in &self.servers {
            let asked = tokio::time::timeout(PATIENCE, exchange(*server, &name, kind)).await;
            if let Ok(Ok(Some(answers))) = asked {
                return answers;
            }
        }
        Vec::new()
    }
}

/// One question and its answer; `None` is a server that failed.
async fn exchange(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> std::io::Result<Option<Vec<RData>>> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    // A new socket for every question: its port, chosen by the system, and the number are what a forger must guess.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let id = fastrand::u16(..);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let query = Query::query(name.clone(), kind);
    message.add_query(query.clone());
    let bytes = message.to_vec().map_err(std::io::Error::other)?;
    socket.send(&bytes).await?;
    let mut buffer = [0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Some(Ok(answer)) = buffer.get(..length).map(Message::from_vec) else {
            continue;
        };
        let same = |asked: &Query| asked.name() == query.name() && asked.query_type() == kind;
        if answer.metadata.id != id || !answer.queries.iter().all(same) {
            continue;
        }
        return Ok(match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Some(
                answer
                    .answers
                    .into_iter()
                    .map(|record| record.data)
                    .collect(),
            ),
            _ => None,
        });
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    address.or_else(|_| text.parse()).ok()
}

/// The name servers of a resolver configuration; the first three, as the C library.
fn resolv_conf(text: &str) -> Vec<SocketAddr> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| server(words.next()?))?
    };
    text.lines().filter_map(line).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, PTR};

    /// A name server that knows one node under two addresses but only one address of the node.
    async fn name_server() -> (Resolver, tokio::task::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let query = question.queries[0].clone();
                let mut answer = Message::response(question.metadata.id, OpCode::Query);
                let name = query.name().to_ascii();
                answer.add_query(query.clone());
                let data = match name.as_str() {
                    "1.0.0.10.in-addr.arpa." | "2.0.0.10.in-addr.arpa." => {
                        Some(RData::PTR(PTR(Name::from_ascii("n01.cluster.").unwrap())))
                    }
                    "n01.cluster." => Some(RData::A(A(Ipv4Addr::new(10, 0, 0, 1)))),
                    _ => None,
                };
                if let Some(data) = data {
                    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                }
                // A forged answer comes first and is not taken.
                let mut forged = answer.clone();
                forged.metadata.id ^= 1;
                for message in [forged, answer] {
                    socket
                        .send_to(&message.to_vec().unwrap(), from)
                        .await
                        .unwrap();
                }
            }
        });
        (Resolver::new(&[at.to_string()]), task)
    }

    #[tokio::test]
    async fn names_are_found_and_confirmed() {
        let (resolver, task) = name_server().await;
        for (address, names, confirmed) in [
            ("10.0.0.1", vec!["n01.cluster."], true),
            ("10.0.0.2", vec!["n01.cluster."], false),
            ("10.0.0.3", vec![], false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(resolver.names(address).await, names);
            let back = resolver.has_address("n01.cluster", address).await;
            assert_eq!(back, confirmed, "{address}");
        }
        task.abort();
    }

    #[test]
    fn resolver_configurations() {
        let text =
            "search cluster\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver ::1\n";
        let servers: Vec<_> = resolv_conf(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.53:53", "[::1]:53"]);
        assert_eq!(server("127.0.0.1:5353").unwrap().port(), 5353);
    }
}
