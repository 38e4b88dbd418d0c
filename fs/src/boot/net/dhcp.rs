//! An address by DHCP: discover, offer, request, acknowledge. The lease is renewed by the node's
//! own network service, if it has one; servers are reached over it from the first minute, so an
//! administrator gives diskless nodes fixed or long leases.

use super::cards::Card;
use crate::sys::net;
use anyhow::{Context as _, bail};
use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable as _, Encodable as _};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(4);

/// What the server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Own address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
    /// Router.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
    /// Own name.
    pub host: Option<String>,
    /// Domain to look names up in.
    pub domain: Option<String>,
    /// Who gave it.
    server: Ipv4Addr,
}

/// Asks once on `card`, which must be switched on.
///
/// # Errors
/// If nobody answers in some seconds, or the server refuses.
pub fn ask(card: &Card) -> anyhow::Result<Lease> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68)).context("port 68")?;
    net::bind_to(&socket, &card.name).with_context(|| card.name.clone())?;
    socket.set_broadcast(true)?;
    let id = fastrand::u32(..);
    let discover = message(id, card, MessageType::Discover, None);
    let Some((_, offer)) = exchange(&socket, &discover, is_offer)? else {
        bail!("no offer");
    };
    let request = message(id, card, MessageType::Request, Some(&offer));
    match exchange(&socket, &request, |kind, from| decides(&offer, kind, from))? {
        Some((MessageType::Ack, lease)) => Ok(lease),
        Some(_) => bail!("{} takes its offer back", offer.server),
        None => bail!("{} does not confirm its offer", offer.server),
    }
}

fn is_offer(kind: MessageType, _: &Lease) -> bool {
    kind == MessageType::Offer
}

/// Whether this is the word on an offer of the server that made it: other servers' offers may still come in, and a server
/// that was not chosen may say no. A refusal may be without a server's name.
fn decides(offer: &Lease, kind: MessageType, from: &Lease) -> bool {
    let own = from.server == offer.server || from.server.is_unspecified();
    matches!(kind, MessageType::Ack | MessageType::Nak) && own
}

/// Sends, and waits for an answer to it that is `wanted`.
fn exchange(
    socket: &UdpSocket,
    message: &Message,
    wanted: impl Fn(MessageType, &Lease) -> bool,
) -> anyhow::Result<Option<(MessageType, Lease)>> {
    socket
        .send_to(&message.to_vec()?, (Ipv4Addr::BROADCAST, 67))
        .context("cannot send")?;
    let end = Instant::now() + ANSWER;
    let mut buffer = vec![0; 2048];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let Ok(length) = socket.recv(&mut buffer) else {
            return Ok(None);
        };
        let answer = buffer.get(..length).and_then(|text| read(text, message));
        if let Some((kind, lease)) = answer.filter(|(kind, lease)| wanted(*kind, lease)) {
            return Ok(Some((kind, lease)));
        }
    }
}

fn message(id: u32, card: &Card, kind: MessageType, offer: Option<&Lease>) -> Message {
    let zero = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(id, zero, zero, zero, zero, &card.mac.0);
    message.set_flags(Flags::default().set_broadcast());
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    let mut client = vec![1];
    client.extend_from_slice(&card.mac.0);
    options.insert(DhcpOption::ClientIdentifier(client));
    options.insert(DhcpOption::ParameterRequestList(vec![
        OptionCode::SubnetMask,
        OptionCode::Router,
        OptionCode::DomainNameServer,
        OptionCode::Hostname,
        OptionCode::DomainName,
    ]));
    if let Some(offer) = offer {
        options.insert(DhcpOption::RequestedIpAddress(offer.address));
        options.insert(DhcpOption::ServerIdentifier(offer.server));
    }
    message
}

/// What a server's message says, if it is an answer to `asked`.
fn read(text: &[u8], asked: &Message) -> Option<(MessageType, Lease)> {
    let answer = Message::decode(&mut dhcproto::Decoder::new(text)).ok()?;
    let fits = answer.opcode() == Opcode::BootReply
        && answer.xid() == asked.xid()
        && answer.chaddr() == asked.chaddr();
    if !fits {
        return None;
    }
    let get = |code: OptionCode| answer.opts().get(code);
    let Some(DhcpOption::MessageType(kind)) = get(OptionCode::MessageType) else {
        return None;
    };
    let address = answer.yiaddr();
    let mask = match get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => mask.to_bits().leading_ones() as u8,
        _ => 24,
    };
    let text = |option: Option<&DhcpOption>| match option {
        Some(DhcpOption::Hostname(name) | DhcpOption::DomainName(name)) => {
            let name = name.trim_end_matches('\0');
            (!name.is_empty()).then(|| name.to_owned())
        }
        _ => None,
    };
    let lease = Lease {
        address,
        prefix: mask,
        gateway: match get(OptionCode::Router) {
            Some(DhcpOption::Router(routers)) => routers.first().copied(),
            _ => None,
        },
        nameservers: match get(OptionCode::DomainNameServer) {
            Some(DhcpOption::DomainNameServer(servers)) => {
                servers.iter().copied().map(IpAddr::V4).collect()
            }
            _ => Vec::new(),
        },
        host: text(get(OptionCode::Hostname)),
        domain: text(get(OptionCode::DomainName)),
        server: match get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(server)) => *server,
            _ => answer.siaddr(),
        },
    };
    let usable = *kind == MessageType::Nak || !address.is_unspecified();
    usable.then_some((*kind, lease))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::cmdline::address::Mac;

    fn card() -> Card {
        Card {
            name: "eth0".into(),
            mac: Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        }
    }

    fn reply(asked: &Message) -> Message {
        let mut answer = asked.clone();
        answer.set_opcode(Opcode::BootReply);
        answer.set_yiaddr([10, 0, 2, 15]);
        let options = answer.opts_mut();
        options.insert(DhcpOption::MessageType(MessageType::Offer));
        options.insert(DhcpOption::SubnetMask([255, 255, 255, 0].into()));
        options.insert(DhcpOption::Router(vec![[10, 0, 2, 2].into()]));
        options.insert(DhcpOption::DomainNameServer(vec![[10, 0, 2, 3].into()]));
        options.insert(DhcpOption::Hostname("n01\0".into()));
        options.insert(DhcpOption::ServerIdentifier([10, 0, 2, 2].into()));
        answer
    }

    #[test]
    fn of_two_servers_the_chosen_one_has_the_word() {
        let asked = message(7, &card(), MessageType::Discover, None);
        let from = |kind, server: [u8; 4]| {
            let mut answer = reply(&asked);
            answer.opts_mut().insert(DhcpOption::MessageType(kind));
            let server = DhcpOption::ServerIdentifier(server.into());
            answer.opts_mut().insert(server);
            read(&answer.to_vec().unwrap(), &asked).unwrap()
        };
        let (first, second) = ([10, 0, 2, 2], [10, 0, 2, 9]);
        let (kind, offer) = from(MessageType::Offer, first);
        assert!(is_offer(kind, &offer));
        for (kind, server, decisive) in [
            (MessageType::Offer, second, false),
            (MessageType::Offer, first, false),
            (MessageType::Nak, second, false),
            (MessageType::Ack, second, false),
            (MessageType::Nak, first, true),
            (MessageType::Ack, first, true),
        ] {
            let (kind, lease) = from(kind, server);
            assert_eq!(
                decides(&offer, kind, &lease),
                decisive,
                "{kind:?} {server:?}"
            );
            assert!(kind == MessageType::Offer || !is_offer(kind, &lease));
        }
    }

    #[test]
    fn an_offer_is_read_and_asked_for() {
        let asked = message(7, &card(), MessageType::Discover, None);
        let asked = Message::decode(&mut dhcproto::Decoder::new(&asked.to_vec().unwrap())).unwrap();
        let (kind, lease) = read(&reply(&asked).to_vec().unwrap(), &asked).unwrap();
        assert_eq!(kind, MessageType::Offer);
        assert_eq!(
            lease,
            Lease {
                address: [10, 0, 2, 15].into(),
                prefix: 24,
                gateway: Some([10, 0, 2, 2].into()),
                nameservers: vec![IpAddr::V4([10, 0, 2, 3].into())],
                host: Some("n01".into()),
                domain: None,
                server: [10, 0, 2, 2].into(),
            }
        );
        let request = message(7, &card(), MessageType::Request, Some(&lease));
        let wanted = request.opts().get(OptionCode::RequestedIpAddress);
        assert_eq!(
            wanted,
            Some(&DhcpOption::RequestedIpAddress([10, 0, 2, 15].into()))
        );
    }

    #[test]
    fn answers_to_others_and_noise_are_passed_over() {
        let asked = message(7, &card(), MessageType::Discover, None);
        let mut other = reply(&asked);
        other.set_xid(8);
        assert_eq!(read(&other.to_vec().unwrap(), &asked), None);
        assert_eq!(
            read(&asked.to_vec().unwrap(), &asked),
            None,
            "a request of another node"
        );
        assert_eq!(read(b"noise", &asked), None);
        let mut empty = reply(&asked);
        empty.set_yiaddr([0, 0, 0, 0]);
        assert_eq!(read(&empty.to_vec().unwrap(), &asked), None);
    }
}
