//! What the server counts.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows, or goes up and down.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests on the wire that were answered.
    pub wire_answered: Count,
    /// Requests on the wire that the policy table, or the question itself, forbade.
    pub wire_denied: Count,
    /// Requests on the wire that were no requests, too long, or too slow.
    pub wire_bad: Count,
    /// HTTPS requests.
    pub http_requests: Count,
    /// Listeners to the event stream, now.
    pub listeners: Count,
    /// TLS handshakes that failed.
    pub handshake_failed: Count,
    /// TLS handshakes that took too long.
    pub handshake_slow: Count,
    /// Node states, and records of what nodes were told, written down.
    pub reports_stored: Count,
    /// Those that could not be written down.
    pub reports_lost: Count,
}

impl Metrics {
    /// The counters as Prometheus text, then gauges given by the caller as name, help, value.
    #[must_use]
    pub fn render(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut text = String::new();
        for (name, help, count) in [
            (
                "wire_answered_total",
                "requests on the wire answered",
                &self.wire_answered,
            ),
            (
                "wire_denied_total",
                "requests on the wire denied",
                &self.wire_denied,
            ),
            (
                "wire_bad_total",
                "requests on the wire not understood",
                &self.wire_bad,
            ),
            ("http_requests_total", "HTTPS requests", &self.http_requests),
            (
                "handshake_failed_total",
                "TLS handshakes failed",
                &self.handshake_failed,
            ),
            (
                "handshake_slow_total",
                "TLS handshakes given up",
                &self.handshake_slow,
            ),
            (
                "reports_stored_total",
                "node states and records of answers stored",
                &self.reports_stored,
            ),
            (
                "reports_lost_total",
                "node states and records of answers not stored",
                &self.reports_lost,
            ),
        ] {
            line(&mut text, name, help, "counter", count.get());
        }
        line(
            &mut text,
            "listeners",
            "event streams open",
            "gauge",
            self.listeners.get(),
        );
        for (name, help, value) in gauges {
            let kind = if name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            line(&mut text, name, help, kind, *value);
        }
        text
    }
}

fn line(text: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "# HELP statelite_{name} {help}\n# TYPE statelite_{name} {kind}\nstatelite_{name} {value}\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_help_type_and_value() {
        let metrics = Metrics::default();
        metrics.wire_denied.add();
        let text = metrics.render(&[("nodes", "nodes in the tables", 5)]);
        assert!(text.contains(
            "# TYPE statelite_wire_denied_total counter\nstatelite_wire_denied_total 1\n"
        ));
        assert!(text.contains("# TYPE statelite_nodes gauge\nstatelite_nodes 5\n"));
    }
}
