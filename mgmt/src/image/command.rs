//! A command line: what would be run, apart from running it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::{Command, Stdio};

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// {program} is not installed: {hint}
    #[error(
        "{program} is not installed or not in PATH; install the package that has it, then run this again"
    )]
    Missing {
        /// The program.
        program: String,
    },
    /// cannot start {program}: {why}
    #[error("cannot start {program}: {why}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        why: std::io::Error,
    },
    /// {line}: {status}
    #[error("{status}: {line}{output}")]
    Failed {
        /// The command line.
        line: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said last, on lines of its own; empty when it wrote to the terminal.
        output: String,
    },
}

/// A program, its arguments and its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
}

/// Lines of output that an error repeats: enough to see the reason, not the whole log.
const TAIL: usize = 20;

impl CommandLine {
    /// A command without arguments.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(self, args: I) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// This command as the arguments of another.
    #[must_use]
    pub fn under(self, outer: Self) -> Self {
        let mut outer = outer.arg(self.program).args(self.args);
        outer.env.extend(self.env);
        outer
    }

    /// Runs it with our standard output and error; its input is empty unless `interactive`.
    ///
    /// # Errors
    /// [`CommandError`], also when it ends with another status than 0.
    pub fn run(&self, interactive: bool) -> Result<(), CommandError> {
        let mut command = self.command();
        if !interactive {
            command.stdin(Stdio::null());
        }
        let status = command.status().map_err(|error| self.start(error))?;
        self.judge(status, "")
    }

    /// Runs it and returns what it writes to standard output.
    ///
    /// # Errors
    /// [`CommandError`] with the last lines it wrote to standard error.
    pub fn output(&self) -> Result<Vec<u8>, CommandError> {
        let mut command = self.command();
        command.stdin(Stdio::null());
        let output = command.output().map_err(|error| self.start(error))?;
        self.judge(output.status, &String::from_utf8_lossy(&output.stderr))?;
        Ok(output.stdout)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn start(&self, why: std::io::Error) -> CommandError {
        let program = self.program.to_string_lossy().into_owned();
        if why.kind() == std::io::ErrorKind::NotFound {
            return CommandError::Missing { program };
        }
        CommandError::Start { program, why }
    }

    fn judge(&self, status: std::process::ExitStatus, said: &str) -> Result<(), CommandError> {
        if status.success() {
            return Ok(());
        }
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(TAIL));
        Err(CommandError::Failed {
            line: self.to_string(),
            status,
            output: tail.map(|line| format!("\n    {line}")).collect(),
        })
    }
}

impl fmt::Display for CommandLine {
    /// As one would type it in a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(&value.to_string_lossy()))?;
        }
        f.write_str(&quoted(&self.program.to_string_lossy()))?;
        for arg in &self.args {
            write!(f, " {}", quoted(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_typed() {
        let command = CommandLine::new("dnf").args(["--disablerepo=*", "it's", ""]);
        let command = command.env("LANG", "C").under(CommandLine::new("nice"));
        assert_eq!(
            command.to_string(),
            r"LANG=C nice dnf '--disablerepo=*' 'it'\''s' ''"
        );
    }

    #[test]
    fn failures_name_command_and_reason() {
        let command = CommandLine::new("sh").args(["-c", "echo no space >&2; exit 3"]);
        let error = command.output().unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no space"), "{error}");
        let error = CommandLine::new("no-such-program-at-all").run(false);
        assert!(error.unwrap_err().to_string().contains("not installed"));
    }

    #[test]
    fn output_and_environment() {
        let command = CommandLine::new("sh").args(["-c", "printf %s \"$X\""]);
        assert_eq!(command.env("X", "a b").output().unwrap(), b"a b");
    }
}
