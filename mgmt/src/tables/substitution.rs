//! Values that are computed from the node's name (facts §1).
//!
//! | value | what a node gets |
//! |---|---|
//! | `\|pattern\|replacement\|` | its name with what matches replaced |
//! | `/pattern/replacement/` | the same; exactly three slashes, and not in columns that hold directories |
//! | `\|replacement\|` | the replacement alone; `$1`, `$2`, ... are the numbers in the name, without leading zeros |
//!
//! Between bars, `(...)` is integer arithmetic with `+ - * / %` over `$1`, `$2`, ..., `\|n(\d+)\|10.0.0.($1+100)\|`; a
//! single `($1)` keeps its text, zeros included; `(sprintf("%02d",$1+1))` formats. Outside of parentheses `$1` and `\1`
//! are filled in too, where xCAT leaves them as text.
//!
//! A pattern that does not match gives no value at all, where xCAT gives the node's name: a name in the place of an
//! address or a server is never what was meant. With slashes the text then stays as it is: it is a path.

mod arithmetic;

use arithmetic::Piece;
use regex::{Captures, Regex};
use std::borrow::Cow;
use std::sync::OnceLock;

/// Why a value cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubstitutionError {
    /// the pattern "{0}" is not understood: {1}
    #[error("the pattern \"{0}\" is not understood: {1}")]
    Regex(String, String),
    /// "({0})" cannot be computed: {1}
    #[error("\"({0})\" cannot be computed: {1}")]
    Expression(String, String),
    /// "${number}" is used, but the pattern has only {known} in parentheses
    #[error("\"${number}\" is used, but the pattern has only {known} in parentheses")]
    NoGroup {
        /// The number used.
        number: usize,
        /// How many there are.
        known: usize,
    },
}

/// What a substitution gives for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A value.
    Value(String),
    /// Empty text: the node has no value, and its groups are not asked (`nodech NODE table.column=` writes this).
    Blank,
    /// The pattern does not match the node's name.
    Unmatched,
}

/// A value that is computed.
#[derive(Debug, Clone)]
pub struct Substitution {
    /// None: made from the name's numbers.
    pattern: Option<Regex>,
    pieces: Vec<Piece>,
}

impl Substitution {
    /// Reads a value; `None` when it is plain text.
    ///
    /// # Errors
    /// [`SubstitutionError`] when it has the form of a substitution and cannot be one.
    pub fn parse(value: &str) -> Result<Option<Self>, SubstitutionError> {
        let inside = |mark: char| value.strip_prefix(mark)?.strip_suffix(mark);
        let (pattern, pieces) = if let Some(inside) = inside('|') {
            match inside.split_once('|') {
                Some((pattern, replacement)) => (Some(pattern), arithmetic::pieces(replacement)?),
                None if inside.is_empty() => return Ok(None),
                None => (None, arithmetic::pieces(inside)?),
            }
        } else if let Some(inside) = inside('/')
            && let Some((pattern, replacement)) = inside.split_once('/')
            && !replacement.contains('/')
        {
            (Some(pattern), arithmetic::text(replacement))
        } else {
            return Ok(None);
        };
        let pattern = pattern.map(regex).transpose()?;
        if let Some(pattern) = &pattern {
            let known = pattern.captures_len().saturating_sub(1);
            if let Some(number) = pieces.iter().map(Piece::highest).max()
                && number > known
            {
                return Err(SubstitutionError::NoGroup { number, known });
            }
        }
        Ok(Some(Self { pattern, pieces }))
    }

    /// What it gives for a node.
    ///
    /// # Errors
    /// [`SubstitutionError::Expression`] for an overflow, a division by zero, or text where a number is needed.
    pub fn apply(&self, node: &str) -> Result<Outcome, SubstitutionError> {
        let of_numbers;
        let pattern = match &self.pattern {
            Some(pattern) => pattern,
            None => match numbers(node)? {
                Some(pattern) => {
                    of_numbers = pattern;
                    &of_numbers
                }
                None => return Ok(Outcome::Unmatched),
            },
        };
        let Some(captures) = pattern.captures(node) else {
            return Ok(Outcome::Unmatched);
        };
        let mut made = String::new();
        for piece in &self.pieces {
            made.push_str(&piece.fill(&captures)?);
        }
        let value = around(node, &captures, &made);
        Ok(match value.is_empty() {
            true => Outcome::Blank,
            false => Outcome::Value(value),
        })
    }
}

/// The name with the matched part replaced.
fn around(node: &str, captures: &Captures<'_>, made: &str) -> String {
    let range = captures.get(0).map_or(0..0, |whole| whole.range());
    let before = node.get(..range.start).unwrap_or_default();
    let after = node.get(range.end..).unwrap_or_default();
    format!("{before}{made}{after}")
}

fn regex(pattern: &str) -> Result<Regex, SubstitutionError> {
    Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches("error: ").to_owned();
        SubstitutionError::Regex(pattern.to_owned(), reason)
    })
}

/// Names have a few numbers. Making a pattern costs more than all the rest, and it depends on how many there are alone.
static PATTERNS: [OnceLock<Regex>; 16] = [const { OnceLock::new() }; 16];

/// The pattern that has every number of a name as a group, without leading zeros.
fn numbers(node: &str) -> Result<Option<Cow<'static, Regex>>, SubstitutionError> {
    let runs = node.split(|c: char| !c.is_ascii_digit());
    let count = runs.filter(|run| !run.is_empty()).count();
    if count == 0 {
        return Ok(None);
    }
    let kept = PATTERNS.get(count);
    if let Some(pattern) = kept.and_then(OnceLock::get) {
        return Ok(Some(Cow::Borrowed(pattern)));
    }
    let pattern = regex(&format!("^{}.*$", "[\\D0]*(\\d+)".repeat(count)))?;
    Ok(Some(match kept {
        Some(kept) => Cow::Borrowed(kept.get_or_init(|| pattern)),
        None => Cow::Owned(pattern),
    }))
}

/// Applies a substitution to a node's name. Any other value stays as it is, and so does one that does not match or
/// cannot be computed.
#[must_use]
pub fn substitute(value: &str, node: &str) -> String {
    let substitution = Substitution::parse(value).ok().flatten();
    match substitution.map(|substitution| substitution.apply(node)) {
        Some(Ok(Outcome::Value(value))) => value,
        Some(Ok(Outcome::Blank)) => String::new(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(value: &str, node: &str) -> Outcome {
        let substitution = Substitution::parse(value).unwrap().unwrap();
        substitution.apply(node).unwrap()
    }

    #[test]
    fn names_to_values() {
        for (value, node, wanted) in [
            ("|n(\\d+)|10.0.0.($1+0)|", "n012", "10.0.0.12"),
            ("|n(\\d+)|10.0.0.($1)|", "n012", "10.0.0.012"),
            ("|n(\\d+)|10.0.($1/100).($1%100+1)|", "n250", "10.0.2.51"),
            (
                "|\\D+(\\d+)\\D+(\\d+)|10.($1*2).(($2-1)*3).7|",
                "r2n5",
                "10.4.12.7",
            ),
            ("|n(\\d+)|x(-$1+20)|", "n5", "x15"),
            ("|n(\\d+)|x(${1}+1)|", "n5", "x6"),
            ("|n(\\d+)|(7-10)|", "n5", "-3"),
            ("|n(\\d+)|(-7/2)|", "n5", "-3"),
            ("|n(\\d+)|(-7%2)|", "n5", "-1"),
            ("|n(\\d+)|c(sprintf(\"%02d\",$1+1))|", "n5", "c06"),
            ("|n(\\d+)|c(sprintf('%x',$1))|", "n255", "cff"),
            ("|n(\\d)(\\d)|nfs$1|", "n12", "nfs1"),
            ("|(\\d+)|($1+1)|", "n12x", "n13x"),
            ("|\\z|-ib|", "n12", "n12-ib"),
            ("/\\z/-bmc/", "n12", "n12-bmc"),
            ("/n/m/", "n12", "m12"),
            ("/n(\\d+)/m(\\1)/", "n12", "m(12)"),
            ("|10.0.($1).($2+100)|", "rack02node07", "10.0.2.107"),
            ("|10.0.0.($1)|", "n0", "10.0.0.0"),
            ("|n|a|b|", "n1", "a|b1"),
        ] {
            assert_eq!(
                outcome(value, node),
                Outcome::Value(wanted.into()),
                "{value}"
            );
        }
        assert_eq!(outcome("|^.*$||", "n12"), Outcome::Blank);
        assert_eq!(outcome("|x|y|", "n12"), Outcome::Unmatched);
        assert_eq!(outcome("/gpfs/state/", "n12"), Outcome::Unmatched);
        assert_eq!(outcome("|10.0.0.($1)|", "login"), Outcome::Unmatched);
    }

    #[test]
    fn plain_text() {
        for value in [
            "", "plain", "|", "||", "/", "//", "/a/", "/a/b", "/a/b/c/", "a|b|c", "|a|b",
        ] {
            assert!(Substitution::parse(value).unwrap().is_none(), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_computed() {
        for (value, message) in [
            (
                "|n(|x|",
                "the pattern \"n(\" is not understood: unclosed group",
            ),
            (
                "|n(\\d+)|($2)|",
                "\"$2\" is used, but the pattern has only 1 in parentheses",
            ),
            ("|n(\\d+)|$3|", "\"$3\" is used"),
            (
                "|n(\\d+)|($1+)|",
                "\"($1+)\" cannot be computed: it ends too early",
            ),
            (
                "|n(\\d+)|(abc)|",
                "\"(abc)\" cannot be computed: \"a\" is not arithmetic",
            ),
            ("|n(\\d+)|($1+1|", "is not closed"),
            ("|n(\\d+)|()|", "it ends too early"),
            ("|n(\\d+)|(1 2)|", "\"2\" is not expected"),
            ("|n(\\d+)|(010)|", "a leading zero"),
            ("|n(\\d+)|(99999999999999999999)|", "too large"),
            ("|n(\\d+)|(sprintf(\"%s %s\",$1))|", "sprintf knows one"),
        ] {
            let error = Substitution::parse(value).unwrap_err().to_string();
            assert!(error.contains(message), "{value}: {error}");
        }
        for (value, node, message) in [
            ("|n(\\d+)|($1/0)|", "n1", "division by zero"),
            ("|n(\\d+)|($1%($1-1))|", "n1", "division by zero"),
            ("|n(\\d+)|($1*9223372036854775807)|", "n2", "too large"),
            ("|n(\\D+)|($1+1)|", "nx", "\"x\" is no number"),
            ("|10.($2)|", "n1", "no number $2 in the name"),
        ] {
            let substitution = Substitution::parse(value).unwrap().unwrap();
            let error = substitution.apply(node).unwrap_err().to_string();
            assert!(error.contains(message), "{value}: {error}");
        }
        let deep = format!("|n(\\d+)|{}1{}|", "(".repeat(100), ")".repeat(100));
        let error = Substitution::parse(&deep).unwrap_err().to_string();
        assert!(error.contains("too many parentheses"), "{error}");
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "[|/][n()\\\\d+*$1-9%|/. sprintf\"]{0,30}[|/]", node in "[a-z0-9]{0,8}") {
            if let Ok(Some(substitution)) = Substitution::parse(&value) {
                let _ = substitution.apply(&node);
            }
            let _ = substitute(&value, &node);
        }

        #[test]
        fn arithmetic_is_arithmetic(a in 0i64..10_000, b in 1i64..100, c in 0i64..100) {
            let value = format!("|n(\\d+)|($1*{b}+{c}-$1/{b}%7)|");
            let wanted = a * b + c - a / b % 7;
            prop_assert_eq!(outcome(&value, &format!("n{a}")), Outcome::Value(wanted.to_string()));
        }
    }
}
