//! A connection that ends at a given time, however little by little the other side sends.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A TCP connection with a time limit for each call and one for all of them.
#[derive(Debug)]
pub struct Timed {
    tcp: TcpStream,
    silence: Duration,
    end: Instant,
}

impl Timed {
    /// Connects within `patience`; each call after that may take `silence`, and none goes on after `end`.
    ///
    /// # Errors
    /// As `connect(2)`, or the time is over.
    pub fn connect(
        address: &SocketAddr,
        patience: Duration,
        silence: Duration,
        end: Instant,
    ) -> Result<Self> {
        let tcp = TcpStream::connect_timeout(address, left(end)?.min(patience))?;
        Ok(Self { tcp, silence, end })
    }

    fn left(&self) -> Result<Option<Duration>> {
        Ok(Some(left(self.end)?.min(self.silence)))
    }
}

/// The time until `end`, never zero: that would mean no limit.
fn left(end: Instant) -> Result<Duration> {
    match end.checked_duration_since(Instant::now()) {
        None | Some(Duration::ZERO) => Err(ErrorKind::TimedOut.into()),
        Some(left) => Ok(left),
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        self.tcp.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        self.tcp.write(buffer)
    }

    fn flush(&mut self) -> Result<()> {
        self.tcp.flush()
    }
}
