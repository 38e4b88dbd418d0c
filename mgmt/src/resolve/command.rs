//! `#CMD=command#` in a cell: replaced by what the command prints (facts §3).
//!
//! xCAT puts whatever comes back into the path, error messages included. Here the output must be one word that can
//! stand in a path, else the row is an error. `$node` and `$table.column` inside the command are filled in; other
//! dollar signs are the shell's. Pure but for the [`Run`] that runs it.

use std::time::Duration;

/// What begins a command.
const BEGIN: &str = "#CMD=";
/// The longest word, in bytes: a name in a path.
const WORD_MAX: usize = 255;

/// Runs a command for a node and returns what it wrote to standard output.
pub trait Run {
    /// Runs it.
    ///
    /// # Errors
    /// [`RunError`] when it does not end well.
    fn run(&self, command: &str, node: &str) -> Result<String, RunError>;
}

impl<F: Fn(&str, &str) -> Result<String, RunError>> Run for F {
    fn run(&self, command: &str, node: &str) -> Result<String, RunError> {
        self(command, node)
    }
}

/// Why a command has no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// it cannot be started: {0}
    #[error("it cannot be started: {0}")]
    Start(String),
    /// it ended with {status}{said}
    #[error("it ended with {status}{said}")]
    Failed {
        /// Its exit status or signal.
        status: String,
        /// What it wrote to standard error, with a colon before, or nothing.
        said: String,
    },
    /// it ran for more than {0:?} (site.statelitecmdtimeout, seconds)
    #[error("it ran for more than {0:?} (site.statelitecmdtimeout, seconds)")]
    Timeout(Duration),
    /// it wrote more than {0} bytes
    #[error("it wrote more than {0} bytes")]
    Output(usize),
}

/// Why a command in a cell cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// "#CMD=" without a "#" that ends it
    #[error("\"#CMD=\" without a \"#\" that ends it")]
    Open,
    /// "#CMD=#" without a command
    #[error("\"#CMD=#\" without a command")]
    Nothing,
    /// ${0} has no value
    #[error("${0} has no value")]
    Undefined(String),
    /// ${0} is "{1}", which is not safe inside a command
    #[error("${0} is \"{1}\", which is not safe inside a command")]
    Unsafe(String, String),
    /// command "{0}": {1}
    #[error("command \"{0}\": {1}")]
    Run(String, #[source] RunError),
    /// command "{0}" printed nothing
    #[error("command \"{0}\" printed nothing")]
    Empty(String),
    /// command "{0}" printed {1:?}: expected one word that can stand in a path
    #[error("command \"{0}\" printed {1:?}: expected one word that can stand in a path")]
    Word(String, String),
}

/// Whether a cell has a command.
#[must_use]
pub fn has_command(cell: &str) -> bool {
    cell.contains(BEGIN)
}

/// The cell with every command replaced by its output. `value` knows the node's `table.column` values.
///
/// As xCAT does where something was filled in, a doubled slash becomes one and a trailing slash is dropped.
///
/// # Errors
/// [`CommandError`].
pub fn expand(
    cell: &str,
    node: &str,
    value: &dyn Fn(&str) -> Option<String>,
    run: &dyn Run,
) -> Result<String, CommandError> {
    let value = |name: &str| match name {
        "node" => Some(node.to_owned()),
        name => value(name).filter(|value| !value.is_empty()),
    };
    let mut done = String::new();
    let mut rest = cell;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (command, after) = after.split_once('#').ok_or(CommandError::Open)?;
        done.push_str(before);
        // A variable right before a command ends there; its output must not become a part of the name.
        let cut = done.rfind(['/', ':']).map_or(0, |at| at + 1);
        let segment = done.split_off(cut);
        done.push_str(&fill_segment(&segment, &value)?);
        done.push_str(&output(command, node, &value, run)?);
        rest = after;
    }
    done.push_str(rest);
    Ok(tidy(&done))
}

/// A path segment with its variables filled in, by the rules of [`statelite_policy::template`].
fn fill_segment(
    segment: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, CommandError> {
    let Some((before, names)) = segment.split_once('$') else {
        return Ok(segment.to_owned());
    };
    let (names, after) = names.split_at(names.find(['#', ' ']).unwrap_or(names.len()));
    let values = names
        .split('$')
        .map(|name| value(name).ok_or_else(|| CommandError::Undefined(name.to_owned())));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{before}{}{after}", values.join(".")))
}

fn output(
    command: &str,
    node: &str,
    value: &dyn Fn(&str) -> Option<String>,
    run: &dyn Run,
) -> Result<String, CommandError> {
    if command.trim().is_empty() {
        return Err(CommandError::Nothing);
    }
    let command = fill_command(command, value)?;
    let output = run
        .run(&command, node)
        .map_err(|error| CommandError::Run(command.clone(), error))?;
    let word = output.trim_end_matches(['\n', '\r']);
    if word.trim().is_empty() {
        return Err(CommandError::Empty(command));
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-+%=,~@".contains(c);
    if word.len() > WORD_MAX || !word.chars().all(safe) || matches!(word, "." | "..") {
        let shown = word.chars().take(80).collect();
        return Err(CommandError::Word(command, shown));
    }
    Ok(word.to_owned())
}

/// Fills in `$node` and `$table.column`. A value could be more than a word to the shell, so only plain ones are taken.
fn fill_command(
    command: &str,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, CommandError> {
    let mut filled = String::new();
    let mut rest = command;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = after.find(|c| !word(c)).unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        let ours = name == "node"
            || name
                .split_once('.')
                .is_some_and(|(table, _)| crate::tables::schema::table(table).is_some());
        if !ours {
            filled.push('$');
            rest = after;
            continue;
        }
        let value = value(name).ok_or_else(|| CommandError::Undefined(name.to_owned()))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@,+=%".contains(c);
        if !value.chars().all(plain) || value.starts_with('-') {
            return Err(CommandError::Unsafe(name.to_owned(), value));
        }
        filled.push_str(&value);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The text with doubled and trailing slashes dropped from the directory.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '/' || !tidy.ends_with('/') {
            tidy.push(c);
        }
    }
    if tidy.ends_with('/') && !tidy.ends_with(":/") && tidy.len() > 1 {
        tidy.pop();
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Option<String> {
        match name {
            "nodetype.os" => Some("rhels6.2".into()),
            "nodepos.room" => Some("a; rm -rf /".into()),
            _ => None,
        }
    }

    fn echo(command: &str, node: &str) -> Result<String, RunError> {
        match command {
            "fail" => Err(RunError::Failed {
                status: "exit status 3".into(),
                said: ": no room".into(),
            }),
            "where" => Ok(format!("{node}-here\n")),
            other => Ok(other.strip_prefix("echo ").unwrap_or_default().to_owned()),
        }
    }

    fn expanded(cell: &str) -> Result<String, CommandError> {
        expand(cell, "n1", &value, &echo)
    }

    #[test]
    fn outputs_take_the_place_of_commands() {
        for (cell, wanted) in [
            ("s:/a/#CMD=echo b#/c", "s:/a/b/c"),
            ("s:/a/x#CMD=echo b#y", "s:/a/xby"),
            ("s:/a//#CMD=where#/", "s:/a/n1-here"),
            ("#CMD=echo s#:/a", "s:/a"),
            ("s:/#CMD=echo a#/#CMD=echo b#", "s:/a/b"),
            ("s:/$node#CMD=echo -x#/$node", "s:/n1-x/$node"),
            ("s:/p$node$nodetype.os#CMD=echo x#", "s:/pn1.rhels6.2x"),
            ("s:/#CMD=echo $node-$nodetype.os#", "s:/n1-rhels6.2"),
            ("s:/none", "s:/none"),
        ] {
            assert_eq!(expanded(cell).unwrap(), wanted, "{cell}");
        }
    }

    #[test]
    fn the_shells_dollars_are_left_to_it() {
        let seen = |command: &str, _: &str| {
            assert_eq!(command, "echo $HOME $(x) ${node} $1 $a.b n1");
            Ok("x".to_owned())
        };
        let cell = "s:/#CMD=echo $HOME $(x) ${node} $1 $a.b $node#";
        assert_eq!(expand(cell, "n1", &value, &seen).unwrap(), "s:/x");
    }

    #[test]
    fn what_cannot_stand_in_a_path_is_refused() {
        for (cell, message) in [
            (
                "s:/#CMD=fail#",
                "command \"fail\": it ended with exit status 3: no room",
            ),
            ("s:/#CMD=echo #", "command \"echo \" printed nothing"),
            (
                "s:/#CMD=echo a b#",
                "command \"echo a b\" printed \"a b\": expected one word",
            ),
            (
                "s:/#CMD=echo a/b#",
                "expected one word that can stand in a path",
            ),
            ("s:/#CMD=echo ..#", "printed \"..\""),
            ("s:/#CMD=echo a\nb#", "printed \"a\\nb\""),
            ("s:/#CMD=echo", "without a \"#\" that ends it"),
            ("s:/#CMD= #", "without a command"),
            ("s:/#CMD=echo $nodepos.rack#", "$nodepos.rack has no value"),
            ("s:/$nodepos.rack#CMD=echo x#", "$nodepos.rack has no value"),
            (
                "s:/#CMD=echo $nodepos.room#",
                "which is not safe inside a command",
            ),
        ] {
            let error = expanded(cell).unwrap_err().to_string();
            assert!(error.contains(message), "{cell}: {error}");
        }
        let long = format!("s:/#CMD=echo {}#", "x".repeat(300));
        assert!(expanded(&long).is_err());
    }
}
