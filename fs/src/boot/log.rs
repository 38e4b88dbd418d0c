//! Messages before and after there is a file system to log to.
//!
//! Every message goes to the kernel's log, where journald finds it later. Warnings and errors
//! are also written to the console when the kernel (`quiet`) would not show them there, until
//! the node has its root; see [`leave_console`].

use crate::cli::daemon::USUAL_LOG;
use parking_lot::Mutex;
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Longest record, in bytes, that is sure to fit one of the kernel's (`LOG_LINE_MAX` is about 1000).
const RECORD_MAX: usize = 900;
/// Messages allowed in one [`PERIOD`]; more would push the kernel's own out of its buffer.
const BURST: u32 = 200;
/// See [`BURST`].
const PERIOD: Duration = Duration::from_secs(10);

/// Where messages go.
#[derive(Debug)]
struct Sink {
    kmsg: Option<Mutex<Limited>>,
    /// The kernel shows messages of a lower number than this on the console.
    shown: u8,
    console: AtomicBool,
}

#[derive(Debug)]
struct Limited {
    kmsg: File,
    since: Instant,
    sent: u32,
    dropped: u32,
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Makes `tracing` write there. `/dev` and `/proc` should be mounted; what is not is left out.
pub fn start(debug: bool) {
    let printk = std::fs::read_to_string("/proc/sys/kernel/printk").unwrap_or_default();
    let shown = printk
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok());
    let kmsg = File::options().write(true).open("/dev/kmsg").ok();
    let sink = Sink {
        // Without a kernel log all is written to the console.
        shown: if kmsg.is_some() {
            shown.unwrap_or(7)
        } else {
            0
        },
        kmsg: kmsg.map(|kmsg| {
            Mutex::new(Limited {
                kmsg,
                since: Instant::now(),
                sent: 0,
                dropped: 0,
            })
        }),
        console: AtomicBool::new(true),
    };
    let _ = SINK.set(sink);
    // fuser tells of every ioctl(2) that a program tries on a file, which is no news.
    let level = if debug {
        "debug".to_owned()
    } else {
        format!("{USUAL_LOG},fuser=error")
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("STATELITEFS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_writer(Records)
        .try_init();
}

/// From now on the console belongs to the node's own programs.
pub fn leave_console() {
    if let Some(sink) = SINK.get() {
        sink.console.store(false, Ordering::Release);
    }
}

/// Makes a writer for each message.
#[derive(Debug)]
struct Records;

impl<'a> MakeWriter<'a> for Records {
    type Writer = Record;

    fn make_writer(&'a self) -> Record {
        Record {
            priority: 6,
            text: Vec::new(),
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Record {
        let priority = match *meta.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        Record {
            priority,
            text: Vec::new(),
        }
    }
}

/// One message; sent when dropped.
#[derive(Debug)]
struct Record {
    /// As in syslog: 3 error, 4 warning, 6 information, 7 debugging.
    priority: u8,
    text: Vec<u8>,
}

impl Write for Record {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(sink) = SINK.get() else {
            return;
        };
        for line in self.text.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            for part in line.chunks(RECORD_MAX) {
                sink.send(self.priority, part);
            }
        }
    }
}

impl Sink {
    fn send(&self, priority: u8, line: &[u8]) {
        if let Some(kmsg) = &self.kmsg {
            kmsg.lock().send(priority, line);
        }
        let told = self.kmsg.is_some() && priority < self.shown;
        let worth = priority <= 4 || self.kmsg.is_none();
        if worth && !told && self.console.load(Ordering::Acquire) {
            let mut text = b"statelitefs: ".to_vec();
            text.extend_from_slice(line);
            text.push(b'\n');
            // There is nowhere else to tell that the console is gone.
            let _ = std::io::stderr().write_all(&text);
        }
    }
}

impl Limited {
    fn send(&mut self, priority: u8, line: &[u8]) {
        if self.since.elapsed() >= PERIOD {
            let dropped = std::mem::take(&mut self.dropped);
            self.since = Instant::now();
            self.sent = 0;
            if dropped > 0 {
                self.write(4, format!("{dropped} messages were left out").as_bytes());
            }
        }
        if self.sent >= BURST {
            self.dropped += 1;
            return;
        }
        self.sent += 1;
        self.write(priority, line);
    }

    fn write(&mut self, priority: u8, line: &[u8]) {
        // One write is one record. Facility 3: a system daemon.
        let mut record = format!("<{}>statelitefs: ", 3 << 3 | priority).into_bytes();
        record.extend_from_slice(line);
        // Without it the kernel keeps the record open for more, and shows it to nobody before the next one comes.
        record.push(b'\n');
        let _ = self.kmsg.write_all(&record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_whole() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut limited = Limited {
            kmsg: file.reopen().unwrap(),
            since: Instant::now(),
            sent: 0,
            dropped: 0,
        };
        limited.send(4, b"waiting");
        let written = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(written, "<28>statelitefs: waiting\n");
    }
}
