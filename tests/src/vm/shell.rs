//! Commands over a serial line.
//!
//! The guest's end is a shell in raw mode that reads its commands from the line. A command goes there in base64 and
//! its output comes back so, with the exit status: no echo and no quoting can disturb it. Standard error comes with standard
//! output; standard input is empty.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The longest command, in bytes: the terminal of the guest holds 4096, and base64 adds a third.
const LONGEST: usize = 2500;

/// From the socket's name to the first connection that is taken.
const LISTENS: Duration = Duration::from_secs(10);

/// A serial line with a shell at its other end.
#[derive(Debug)]
pub struct Shell {
    line: UnixStream,
    seen: Vec<u8>,
    number: u32,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its exit status.
    pub code: i32,
    /// What it wrote.
    pub output: String,
}

impl Shell {
    /// The line at this socket, which may be there a moment before somebody listens at it.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(socket: &Path) -> Result<Self> {
        let deadline = Instant::now() + LISTENS;
        let line = loop {
            match UnixStream::connect(socket) {
                Err(error)
                    if error.kind() == ErrorKind::ConnectionRefused
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                result => break result,
            }
        };
        let line = line.with_context(|| format!("no serial line at {}", socket.display()))?;
        line.set_read_timeout(Some(Duration::from_millis(100)))?;
        line.set_write_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self {
            line,
            seen: Vec::new(),
            number: 0,
        })
    }

    /// Waits until the shell says that it is there.
    ///
    /// # Errors
    /// At the limit, or when the line ends.
    pub fn ready(&mut self, deadline: Instant) -> Result<()> {
        self.wait(deadline, |text| {
            text.contains("shell ready\n").then_some(())
        })
    }

    /// Whether it has said so by now.
    ///
    /// # Errors
    /// When the line ended.
    pub fn is_ready(&mut self) -> Result<bool> {
        self.read()?;
        Ok(String::from_utf8_lossy(&self.seen).contains("shell ready\n"))
    }

    /// Runs a command.
    ///
    /// # Errors
    /// When it gives no answer within the limit; later commands have no meaning then.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Reply> {
        ensure!(
            command.len() <= LONGEST,
            "longer than a terminal's buffer: {command}"
        );
        self.number += 1;
        self.seen.clear();
        let number = self.number;
        let text = format!(
            "\no=$(sh -c \"$(printf %s {} | base64 -d)\" </dev/null 2>&1); s=$?; \
             printf '\\n@%s %s %s.\\n' {number} $s \"$(printf %s \"$o\" | base64 -w0)\"\n",
            encode(command.as_bytes())
        );
        self.line.write_all(text.as_bytes())?;
        let mark = format!("@{number} ");
        self.wait(Instant::now() + limit, |text| answer(text, &mark))
            .with_context(|| format!("no answer to: {command}"))
    }

    /// Starts a command whose output comes as it is, and waits for a word in it. Returns as soon as the word is there,
    /// whatever the command does next; no later command has a meaning.
    ///
    /// # Errors
    /// When the word does not come within the limit.
    pub fn until(&mut self, command: &str, word: &str, limit: Duration) -> Result<()> {
        ensure!(
            command.len() <= LONGEST,
            "longer than a terminal's buffer: {command}"
        );
        self.seen.clear();
        let text = format!(
            "\nsh -c \"$(printf %s {} | base64 -d)\" </dev/null\n",
            encode(command.as_bytes())
        );
        self.line.write_all(text.as_bytes())?;
        self.wait(Instant::now() + limit, |text| {
            text.contains(word).then_some(())
        })
        .with_context(|| format!("no {word:?} from: {command}"))
    }

    fn wait<T>(&mut self, deadline: Instant, found: impl Fn(&str) -> Option<T>) -> Result<T> {
        loop {
            if let Some(value) = found(&String::from_utf8_lossy(&self.seen)) {
                return Ok(value);
            }
            if Instant::now() > deadline {
                bail!("the shell says nothing");
            }
            self.read()?;
        }
    }

    /// Takes what has come, or waits a moment for it.
    fn read(&mut self) -> Result<()> {
        let mut some = [0; 16 << 10];
        match self.line.read(&mut some) {
            Ok(0) => bail!("the serial line ended"),
            Ok(count) => {
                let new = some.iter().take(count).filter(|byte| **byte != b'\r');
                self.seen.extend(new);
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => {}
                _ => return Err(error).context("serial line"),
            },
        }
        Ok(())
    }
}

/// The reply in what the line said, once it is whole.
fn answer(text: &str, mark: &str) -> Option<Reply> {
    let (_, rest) = text.split_once(&format!("\n{mark}"))?;
    let (line, _) = rest.split_once(".\n")?;
    let (code, output) = line.split_once(' ')?;
    Some(Reply {
        code: code.parse().ok()?,
        output: String::from_utf8_lossy(&decode(output)?).into_owned(),
    })
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS.get((bits >> (18 - 6 * place) & 63) as usize);
            let there = place <= chunk.len();
            text.push(
                letter
                    .filter(|_| there)
                    .map_or('=', |letter| *letter as char),
            );
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = LETTERS.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 255) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    /// A real shell behind a socket.
    fn shell() -> (tempfile::TempDir, std::process::Child, Shell) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let client = Shell::connect(&socket).unwrap();
        let (end, _) = listener.accept().unwrap();
        let end: std::os::fd::OwnedFd = end.into();
        let child = Command::new("sh")
            .args(["-c", "echo noise; echo shell ready; exec sh"])
            .stdin(Stdio::from(end.try_clone().unwrap()))
            .stdout(Stdio::from(end))
            .spawn()
            .unwrap();
        (dir, child, client)
    }

    #[test]
    fn commands_come_back_with_their_status_and_output() {
        let (_dir, mut child, mut shell) = shell();
        let limit = Duration::from_secs(20);
        shell.ready(Instant::now() + limit).unwrap();
        for (command, code, output) in [
            ("echo 'a  \"b\"'; echo c >&2; exit 3", 3, "a  \"b\"\nc"),
            ("cat", 0, ""),
            ("printf '@3 0 aGk=.\\n'", 0, "@3 0 aGk=."),
            ("printf '\\303\\244'", 0, "\u{e4}"),
        ] {
            let reply = shell.run(command, limit).unwrap();
            assert_eq!(
                (reply.code, reply.output.as_str()),
                (code, output),
                "{command}"
            );
        }
        assert!(shell.run("exit 0; sleep 9", limit).is_ok());
        assert!(shell.run("sleep 5", Duration::from_millis(1)).is_err());
        drop(shell);
        child.wait().unwrap();
    }

    #[test]
    fn base64_comes_back() {
        for length in 0..70_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(77)).collect();
            assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }
        assert_eq!(encode(b"ab"), "YWI=");
        assert_eq!(decode("!"), None);
    }
}
