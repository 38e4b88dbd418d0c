//! `PATH=OPTION` from a command line, for instance `/var/log/=tmpfs`, `/etc/motd=ro` or `/=` (blank option).
//!
//! The same paths and words as in litefile, in the same dialects. The last `=` separates, so a path may hold one.

use std::borrow::Cow;

use crate::litefile::{Draft, RuleError};
use crate::model::{Dialect, Origin, Rule};

/// Why an argument is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleArgError {
    /// "{0}" has no "=": expected PATH=OPTION
    #[error("\"{0}\" has no \"=\": expected PATH=OPTION")]
    NoEquals(String),
    /// "{argument}": {reason}
    #[error("\"{argument}\": {reason}")]
    Rule {
        /// The argument.
        argument: String,
        /// What is wrong with its path or option.
        reason: String,
    },
}

/// Reads `PATH=OPTION`. The rule's origin is [`Origin::CommandLine`]. `/etc/mtab` is `tmpfs,rw` whatever the option.
///
/// # Errors
/// [`RuleArgError`], naming the argument.
pub fn parse(argument: &str, dialect: Dialect) -> Result<Rule, RuleArgError> {
    let (path, option) = argument
        .rsplit_once('=')
        .ok_or_else(|| RuleArgError::NoEquals(argument.to_owned()))?;
    let draft = Draft::new(Cow::Borrowed(path), option, dialect).map_err(|error: RuleError| {
        RuleArgError::Rule {
            argument: argument.to_owned(),
            reason: error.to_string(),
        }
    })?;
    Ok(draft.into_rule(Origin::CommandLine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Flavour, Placement};

    #[test]
    fn arguments() {
        for (argument, dialect, path, directory, placement, flavour) in [
            (
                "/var/log/=tmpfs",
                Dialect::Current,
                "/var/log",
                true,
                Placement::Volatile,
                Flavour::Bind,
            ),
            (
                "/=",
                Dialect::Current,
                "/",
                true,
                Placement::Volatile,
                Flavour::Link,
            ),
            (
                "/etc/motd=ro",
                Dialect::Current,
                "/etc/motd",
                false,
                Placement::Tree,
                Flavour::Bind,
            ),
            (
                "/etc/motd=ro",
                Dialect::Seed2010,
                "/etc/motd",
                false,
                Placement::Tree,
                Flavour::Link,
            ),
            (
                "/etc/a=b=con",
                Dialect::Current,
                "/etc/a=b",
                false,
                Placement::Concat,
                Flavour::Bind,
            ),
            (
                "/etc/mtab=ro",
                Dialect::Current,
                "/etc/mtab",
                false,
                Placement::Volatile,
                Flavour::Link,
            ),
        ] {
            let rule = parse(argument, dialect).unwrap();
            assert_eq!(
                (rule.path.as_str(), rule.directory),
                (path, directory),
                "{argument}"
            );
            assert_eq!(
                (rule.placement, rule.flavour, rule.origin),
                (placement, flavour, Origin::CommandLine)
            );
        }
    }

    #[test]
    fn refused_arguments() {
        for (argument, message) in [
            (
                "/var/log",
                "\"/var/log\" has no \"=\": expected PATH=OPTION",
            ),
            ("var=ro", "\"var=ro\": the path is not absolute"),
            ("=ro", "\"=ro\": the path is empty"),
            (
                "/var/=con",
                "\"/var/=con\": a directory cannot be concatenated: the option \"con\" is for files",
            ),
        ] {
            assert_eq!(
                parse(argument, Dialect::Current).unwrap_err().to_string(),
                message
            );
        }
        assert!(
            parse("/a=bind", Dialect::Current)
                .unwrap_err()
                .to_string()
                .contains("2010 dialect")
        );
    }
}
