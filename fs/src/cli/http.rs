//! One HTTP request on standard input, answered on standard output: what a systemd socket with `Accept=yes` gives us.

use anyhow::Context as _;
use std::io::{BufRead, Read as _, Write};

/// The longest request head that is read, in bytes; what a collector sends is below 1 KiB.
const HEAD_MAX: u64 = 16 * 1024;

/// Answers a request with `metrics`.
///
/// # Errors
/// As reading standard input and writing standard output.
pub fn answer(metrics: &str) -> anyhow::Result<()> {
    let mut stdin = std::io::stdin().lock().take(HEAD_MAX);
    let reply = respond(&mut stdin, metrics).context("standard input")?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(reply.as_bytes())?;
    stdout.flush().context("standard output")
}

/// The answer to the request that `input` begins with.
fn respond(input: &mut impl BufRead, metrics: &str) -> std::io::Result<String> {
    let mut first = String::new();
    input.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
    }
    let mut words = first.split_ascii_whitespace();
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/metrics" | "/")) => ("200 OK", metrics),
        (Some("GET"), Some(_)) => ("404 Not Found", "only /metrics is here\n"),
        _ => ("405 Method Not Allowed", "only GET is answered\n"),
    };
    Ok(format!(
        "HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::respond;

    #[test]
    fn requests() {
        for (request, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n", "200"),
            ("GET / HTTP/1.0\r\n\r\n", "200"),
            ("GET /etc/passwd HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("", "405"),
        ] {
            let reply = respond(&mut request.as_bytes(), "x 1\n").unwrap();
            assert_eq!(reply.split(' ').nth(1), Some(status), "{request:?}");
        }
    }
}
