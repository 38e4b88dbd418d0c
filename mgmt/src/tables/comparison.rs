//! How a value is compared in a criterion of nodes and in a selection of rows.

use regex::Regex;
use std::cmp::Ordering;

/// What a value has to be.
#[derive(Debug, Clone)]
pub(crate) enum Comparison {
    Is(String),
    Not(String),
    Matches(Regex),
    MatchesNot(Regex),
    Compares(fn(Ordering) -> bool, String),
}

impl Comparison {
    /// What an operator (`==` or `=`, `!=`, `=~`, `!~`, `<`, `<=`, `>`, `>=`) and the text after it say. An expression may
    /// stand between slashes.
    pub(crate) fn new<E>(
        operator: &str,
        value: &str,
        regex: impl Fn(&str) -> Result<Regex, E>,
    ) -> Result<Self, E> {
        let text = || value.to_owned();
        let regex = || {
            let value = value.strip_prefix('/').unwrap_or(value);
            regex(value.strip_suffix('/').unwrap_or(value))
        };
        Ok(match operator {
            "!=" => Self::Not(text()),
            "=~" => Self::Matches(regex()?),
            "!~" => Self::MatchesNot(regex()?),
            ">" => Self::Compares(Ordering::is_gt, text()),
            ">=" => Self::Compares(Ordering::is_ge, text()),
            "<" => Self::Compares(Ordering::is_lt, text()),
            "<=" => Self::Compares(Ordering::is_le, text()),
            _ => Self::Is(text()),
        })
    }

    /// Whether a value is so.
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::Not(unwanted) => value != unwanted,
            Self::Matches(regex) => regex.is_match(value),
            Self::MatchesNot(regex) => !regex.is_match(value),
            Self::Compares(wanted, other) => wanted(compare(value, other)),
        }
    }
}

fn compare(left: &str, right: &str) -> Ordering {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let numbers = number(left).zip(number(right));
    numbers
        .and_then(|(left, right)| left.partial_cmp(&right))
        .unwrap_or_else(|| left.cmp(right))
}
