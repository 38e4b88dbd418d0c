//! Giving a network card an address, as `ifconfig` and `route` do: for an initramfs in which
//! nobody else does it.
#![allow(unsafe_code)]

use super::Result;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::net::Ipv4Addr;

/// A socket to configure cards through.
///
/// # Errors
/// As `socket(2)`.
pub fn control() -> Result<OwnedFd> {
    socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
}

fn done(result: libc::c_int) -> Result<()> {
    if result == 0 {
        return Ok(());
    }
    let last = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&last).unwrap_or(Errno::IO))
}

fn request(card: &str) -> Result<libc::ifreq> {
    // SAFETY: ifreq is plain data; all zeroes is a valid value of every field.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if card.is_empty() || card.len() >= request.ifr_name.len() {
        return Err(Errno::NODEV);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(card.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn call<T>(control: impl AsFd, code: libc::Ioctl, argument: &mut T) -> Result<()> {
    // SAFETY: every caller passes the structure that this code takes, alive during the call; the
    // kernel writes only within it.
    done(unsafe {
        libc::ioctl(
            control.as_fd().as_raw_fd(),
            code,
            std::ptr::from_mut(argument),
        )
    })
}

fn address(of: Ipv4Addr) -> libc::sockaddr {
    // SAFETY: both are plain data of the same size, and the family says which one it is.
    unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from_ne_bytes(of.octets());
        std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(address)
    }
}

/// Switches a card on.
///
/// # Errors
/// `ENODEV` if there is none of that name; what the driver says.
pub fn switch_on(control: impl AsFd, card: &str) -> Result<()> {
    let mut request = request(card)?;
    call(&control, libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: the kernel has just filled this field of the union.
    unsafe {
        request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    }
    call(&control, libc::SIOCSIFFLAGS, &mut request)
}

/// Gives a card its address in a network of `prefix` bits.
///
/// # Errors
/// As `ifconfig`: `ENODEV`, `EINVAL`.
pub fn set_address(control: impl AsFd, card: &str, own: Ipv4Addr, prefix: u8) -> Result<()> {
    let mut ask = request(card)?;
    ask.ifr_ifru.ifru_addr = address(own);
    call(&control, libc::SIOCSIFADDR, &mut ask)?;
    let bits = u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0);
    ask.ifr_ifru.ifru_netmask = address(Ipv4Addr::from_bits(bits));
    call(&control, libc::SIOCSIFNETMASK, &mut ask)
}

/// Sends what is for elsewhere to `gateway`.
///
/// # Errors
/// `ENETUNREACH` if the gateway is in no network of the card. A route that is there is no error.
pub fn set_gateway(control: impl AsFd, gateway: Ipv4Addr) -> Result<()> {
    // SAFETY: rtentry is plain data; all zeroes is a valid value (its pointer is null).
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = address(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    match call(control, libc::SIOCADDRT, &mut route) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Makes a socket send and receive on one card only.
///
/// # Errors
/// `ENODEV`; `EPERM` without `CAP_NET_RAW`.
pub fn bind_to(socket: impl AsFd, card: &str) -> Result<()> {
    // SAFETY: the name is alive during the call and its length is given.
    done(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            card.as_ptr().cast(),
            card.len() as libc::socklen_t,
        )
    })
}
