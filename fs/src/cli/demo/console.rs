//! What the demo prints. Output that nobody takes (a closed pipe) does not stop the clean-up.

use std::io::Write as _;

/// Whose prompt a command is shown with.
#[derive(Clone, Copy, Debug)]
pub enum At {
    /// In the merged root, as a process on the node sees it.
    Node,
    /// On this machine, beside the mount.
    Host,
}

/// Prints, and counts expectations that were not met.
#[derive(Debug, Default)]
pub struct Console {
    steps: usize,
    failures: usize,
}

impl Console {
    /// A line of explanation.
    pub fn note(&mut self, text: &str) {
        // Nothing can be done about a terminal that went away.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// Begins a step of the tour.
    pub fn step(&mut self, text: &str) {
        self.steps += 1;
        self.note(&format!("\n{}. {text}", self.steps));
    }

    /// A command, as one would type it to do what happens next.
    pub fn command(&mut self, at: At, text: &str) {
        let prompt = match at {
            At::Node => "node#",
            At::Host => "host#",
        };
        self.note(&format!("   {prompt} {text}"));
    }

    /// What the command printed.
    pub fn output(&mut self, text: &str) {
        for line in text.lines() {
            self.note(&format!("   {line}"));
        }
    }

    /// Says whether `what` is so.
    pub fn expect(&mut self, met: bool, what: &str) {
        if !met {
            self.failures += 1;
        }
        let verdict = if met { "ok" } else { "FAILED" };
        self.note(&format!("   [{verdict}] {what}"));
    }

    /// How many expectations were not met.
    pub fn failures(&self) -> usize {
        self.failures
    }
}
