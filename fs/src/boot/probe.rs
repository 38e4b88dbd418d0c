//! Whether an NFS server answers, before the kernel is asked to mount from it.
//!
//! The kernel's mount waits three minutes for a server that is silent, cannot be broken off, and says nothing. So the
//! server gets one call first that does nothing (procedure 0 of RFC 5531). Any answer will do, a refusal too: what it
//! means is for the kernel to tell.

use super::nfs::Options;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take to accept a connection, and again to answer: a lost packet is sent again after one and
/// after three seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Programs of ONC RPC.
const NFS: u32 = 100_003;
const PORT_MAPPER: u32 = 100_000;
const PORT_MAPPER_PORT: u16 = 111;

/// Why there is no use in mounting now.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing comes back. The port and the seconds waited.
    #[error("port {0} does not answer within {1} s (the server is off, or cannot be reached)")]
    Silent(u16, u64),
    /// There is no way to the host.
    #[error("{0} (the server is off, or cannot be reached)")]
    Unreachable(std::io::Error),
    /// The host has nothing at this port.
    #[error("port {0} refuses connections (no NFS server answers there)")]
    Refused(u16),
    /// A connection, and then nothing.
    #[error("port {0} takes connections but does not answer within {1} s (the server hangs)")]
    Hangs(u16, u64),
    /// Something else.
    #[error("port {0}: {1}")]
    Other(u16, std::io::Error),
}

impl NoAnswer {
    /// Whether it is the same for other versions: the host is silent, or its NFS server hangs, which has one port for
    /// all versions. A port mapper that is silent, behind a firewall for instance, or hangs says nothing about version 4.
    pub fn of_host(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Silent(port, _) | Self::Hangs(port, _) => *port != PORT_MAPPER_PORT,
            Self::Refused(_) | Self::Other(..) => false,
        }
    }
}

/// A service to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Service {
    port: u16,
    program: u32,
    version: u32,
}

/// Asks the service at `address` that a mount with these options begins with.
///
/// # Errors
/// No connection, or no answer.
pub fn answers(options: &Options, version: &str, address: IpAddr) -> Result<(), NoAnswer> {
    match first_asked(options, version) {
        Some(service) => ask(service, address, PATIENCE),
        None => Ok(()),
    }
}

/// What the kernel talks to first; none if not over TCP.
fn first_asked(options: &Options, version: &str) -> Option<Service> {
    let proto = options.value("proto").unwrap_or("tcp");
    if !proto.starts_with("tcp") || options.has("udp") || options.has("rdma") {
        return None;
    }
    let port = options.value("port").and_then(|port| port.parse().ok());
    let port = port.filter(|port| *port != 0);
    let major = version.split('.').next()?.parse().ok()?;
    // Version 4 has a fixed port; that of older ones is asked of the port mapper.
    Some(match (major, port) {
        (4.., port) => Service {
            port: port.unwrap_or(2049),
            program: NFS,
            version: 4,
        },
        (_, Some(port)) => Service {
            port,
            program: NFS,
            version: major,
        },
        (_, None) => Service {
            port: PORT_MAPPER_PORT,
            program: PORT_MAPPER,
            version: 2,
        },
    })
}

fn ask(service: Service, address: IpAddr, patience: Duration) -> Result<(), NoAnswer> {
    let port = service.port;
    let silent = || NoAnswer::Silent(port, patience.as_secs());
    let address = SocketAddr::new(address, port);
    let connected = TcpStream::connect_timeout(&address, patience);
    let mut stream = connected.map_err(|e| match e.kind() {
        ErrorKind::TimedOut => silent(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => NoAnswer::Unreachable(e),
        ErrorKind::ConnectionRefused => NoAnswer::Refused(port),
        _ => NoAnswer::Other(port, e),
    })?;
    let other = |e| NoAnswer::Other(port, e);
    stream.set_read_timeout(Some(patience)).map_err(other)?;
    stream.set_write_timeout(Some(patience)).map_err(other)?;
    let asked = stream
        .write_all(&call(service))
        .and_then(|()| stream.read(&mut [0; 64]));
    match asked {
        Err(e) if matches!(e.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            Err(NoAnswer::Hangs(port, patience.as_secs()))
        }
        // An answer, or the server has hung up: it lives.
        _ => Ok(()),
    }
}

/// A call of procedure 0 without credentials, as one record.
fn call(service: Service) -> Vec<u8> {
    const LAST_RECORD: u32 = 1 << 31;
    let words = [
        fastrand::u32(..),
        0, // a call
        2, // version of RPC
        service.program,
        service.version,
        0,
        0,
        0,
        0,
        0,
    ];
    let length = u32::try_from(words.len() * 4).unwrap_or_default();
    let record = std::iter::once(LAST_RECORD | length).chain(words);
    record.flat_map(u32::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::nfs::READ_ONLY;
    use std::net::TcpListener;

    fn options(text: &str) -> Options {
        let given: Vec<String> = text.split(',').map(str::to_owned).collect();
        Options::merge(&READ_ONLY, &[&given])
    }

    #[test]
    fn what_the_kernel_talks_to_first() {
        for (text, version, expected) in [
            ("ro", "4.1", Some((2049, NFS, 4))),
            ("port=12049", "4.0", Some((12049, NFS, 4))),
            ("ro", "3", Some((111, PORT_MAPPER, 2))),
            ("mountport=20048", "3", Some((111, PORT_MAPPER, 2))),
            ("port=0", "3", Some((111, PORT_MAPPER, 2))),
            ("port=2049,mountport=20048", "3", Some((2049, NFS, 3))),
            ("udp", "3", None),
            ("proto=rdma", "4.1", None),
            ("proto=tcp6", "4.1", Some((2049, NFS, 4))),
        ] {
            let found = first_asked(&options(text), version);
            let found = found.map(|one| (one.port, one.program, one.version));
            assert_eq!(found, expected, "{text} {version}");
        }
    }

    #[test]
    fn a_port_mapper_behind_a_firewall_does_not_condemn_the_host() {
        assert!(!NoAnswer::Silent(PORT_MAPPER_PORT, 5).of_host());
        assert!(NoAnswer::Silent(2049, 5).of_host());
        let options = options("ro");
        // The order of versions: 4.1 has condemned the host before, if all of it is silent.
        let ports: Vec<u16> = options
            .versions()
            .iter()
            .filter_map(|version| first_asked(&options, version))
            .map(|service| service.port)
            .collect();
        assert_eq!(ports, [2049, 111, 2049]);
    }

    #[test]
    fn a_server_that_is_silent_is_told_from_one_that_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service {
            port: address.port(),
            program: NFS,
            version: 3,
        };
        let short = Duration::from_millis(200);
        // The kernel takes the connection; nobody reads.
        let hangs = ask(service, address.ip(), short).unwrap_err();
        assert!(hangs.to_string().contains("the server hangs"), "{hangs:#}");
        assert!(hangs.of_host(), "it would be asked again for each version");
        assert!(!NoAnswer::Hangs(PORT_MAPPER_PORT, 5).of_host());
        let _unread = listener.accept().unwrap();

        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 44];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&[0; 28]).unwrap();
            // And hangs up on the next one.
            drop(listener.accept().unwrap());
            request
        });
        for _ in 0..2 {
            ask(service, address.ip(), Duration::from_secs(20)).unwrap();
        }
        let request = answering.join().unwrap();
        assert_eq!(request[..4], [0x80, 0, 0, 40]);
        assert_eq!(
            request[8..24],
            *b"\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03"
        );

        let refused = format!("{:#}", ask(service, address.ip(), short).unwrap_err());
        assert!(refused.contains("no NFS server answers there"), "{refused}");
    }
}
