//! Words that stand for many names: `n1-n9`, `n1:n9`, `n[1-3,5]r[1-2]`, `n10+3`.
//!
//! A number counts up in the width its first value is written in if that has leading zeros: `n08-n11` is n08, n09,
//! n10, n11. The number of names is known, and refused when too large, before any is made.

use super::{MAX_NAMES, RangeError};

/// The names a word stands for; `None` when it is one plain name, or fits no pattern.
///
/// # Errors
/// [`RangeError::TooMany`], [`RangeError::Backwards`], or [`RangeError::Syntax`] for odd brackets.
pub(super) fn names(word: &str) -> Result<Option<Vec<String>>, RangeError> {
    if word.contains(['[', ']']) {
        return brackets(word).map(Some);
    }
    if let Some((front, increment)) = word.split_once('+') {
        return offset(word, front, increment);
    }
    match halves(word) {
        Some((left, right)) => span(word, left, right),
        None => Ok(None),
    }
}

/// The two ends of a range: around the only `:`, or around the middle one of an odd number of hyphens.
fn halves(word: &str) -> Option<(&str, &str)> {
    if let Some((left, right)) = word.split_once(':') {
        return (!right.contains(':')).then_some((left, right));
    }
    let count = word.matches('-').count();
    if count.is_multiple_of(2) {
        return None;
    }
    let (at, _) = word.match_indices('-').nth(count / 2)?;
    Some((word.get(..at)?, word.get(at + 1..)?))
}

/// Runs of digits and of anything else, by turns.
fn runs(text: &str) -> Vec<&str> {
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let kind = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != kind)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        runs.push(run);
        rest = after;
    }
    runs
}

/// The names from `left` to `right`, which may differ in one number only.
fn span(word: &str, left: &str, right: &str) -> Result<Option<Vec<String>>, RangeError> {
    if left.is_empty() || right.is_empty() {
        return Ok(None);
    }
    let (lefts, rights) = (runs(left), runs(right));
    if lefts.len() != rights.len() {
        return Ok(None);
    }
    let mut differing = lefts
        .iter()
        .zip(&rights)
        .enumerate()
        .filter(|(_, (left, right))| left != right);
    let Some((index, (from, to))) = differing.next() else {
        return Ok(Some(vec![left.to_owned()]));
    };
    let digits = |run: &str| run.bytes().all(|byte| byte.is_ascii_digit());
    if differing.next().is_some() || !digits(from) || !digits(to) {
        return Ok(None);
    }
    let (Ok(first), Ok(last)) = (from.parse::<u64>(), to.parse::<u64>()) else {
        return Err(RangeError::TooMany(word.to_owned()));
    };
    let head: String = lefts.iter().take(index).copied().collect();
    let tail: String = lefts.iter().skip(index + 1).copied().collect();
    count(word, &head, from, first, last, &tail).map(Some)
}

/// `head` and `tail` around every number from `first`, written `from`, to `last`.
fn count(
    word: &str,
    head: &str,
    from: &str,
    first: u64,
    last: u64,
    tail: &str,
) -> Result<Vec<String>, RangeError> {
    let Some(steps) = last.checked_sub(first) else {
        return Err(RangeError::Backwards(word.to_owned()));
    };
    if steps >= MAX_NAMES as u64 {
        return Err(RangeError::TooMany(word.to_owned()));
    }
    let width = if from.starts_with('0') { from.len() } else { 0 };
    let numbers = first..=last;
    Ok(numbers
        .map(|number| format!("{head}{number:0width$}{tail}"))
        .collect())
}

/// `n10+3`: the name and the three after it. The number is the last one before the end or before a `.domain`.
fn offset(word: &str, front: &str, increment: &str) -> Result<Option<Vec<String>>, RangeError> {
    let runs = runs(front);
    let mut head = String::new();
    for (index, run) in runs.iter().enumerate() {
        let next = runs.get(index + 1).copied().unwrap_or_default();
        let digits = run.bytes().all(|byte| byte.is_ascii_digit());
        let ends = next.is_empty() || (next.starts_with('.') && tail(&runs, index).len() > 1);
        if !digits || !ends {
            head.push_str(run);
            continue;
        }
        if increment.is_empty() || !increment.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let (Ok(first), Ok(more)) = (run.parse::<u64>(), increment.parse::<u64>()) else {
            return Err(RangeError::TooMany(word.to_owned()));
        };
        let Some(last) = first.checked_add(more) else {
            return Err(RangeError::TooMany(word.to_owned()));
        };
        return count(word, &head, run, first, last, &tail(&runs, index)).map(Some);
    }
    Ok(None)
}

fn tail(runs: &[&str], index: usize) -> String {
    runs.iter().skip(index + 1).copied().collect()
}

/// `n[1-3,5]r[1-2]`: every combination. Outside of brackets every character stands for itself.
fn brackets(word: &str) -> Result<Vec<String>, RangeError> {
    let syntax = |near: &str, reason: &str| RangeError::Syntax {
        near: near.to_owned(),
        reason: reason.to_owned(),
    };
    let mut names = vec![String::new()];
    let mut rest = word;
    while !rest.is_empty() {
        let (literal, inside) = rest.split_once('[').unwrap_or((rest, ""));
        if literal.contains([']', '+', ':', ',']) {
            return Err(syntax(rest, "only names and brackets here"));
        }
        for name in &mut names {
            name.push_str(literal);
        }
        if !rest.contains('[') {
            break;
        }
        let Some((set, after)) = inside.split_once(']') else {
            return Err(syntax(rest, "\"[\" is not closed"));
        };
        let mut choices = Vec::new();
        for element in set.split(',').map(str::trim) {
            if element.is_empty() || element.contains(['[', '+']) {
                return Err(syntax(set, "expected numbers and ranges like 1-3,5"));
            }
            match halves(element) {
                Some((left, right)) => {
                    let span = span(word, left.trim(), right.trim())?;
                    choices.extend(span.ok_or_else(|| {
                        syntax(element, "the ends of a range differ in one number only")
                    })?);
                }
                None => choices.push(element.to_owned()),
            }
        }
        if names.len().saturating_mul(choices.len()) > MAX_NAMES {
            return Err(RangeError::TooMany(word.to_owned()));
        }
        let pairs = names.iter().flat_map(|name| {
            let choices = choices.iter();
            choices.map(move |choice| format!("{name}{choice}"))
        });
        names = pairs.collect();
        rest = after;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(word: &str) -> Option<String> {
        names(word).unwrap().map(|names| names.join(" "))
    }

    #[test]
    fn words_that_count() {
        for (word, wanted) in [
            ("n1-n3", "n1 n2 n3"),
            ("n1:n3", "n1 n2 n3"),
            ("n08-n11", "n08 n09 n10 n11"),
            ("n98-n101", "n98 n99 n100 n101"),
            ("n1-c-n2-c", "n1-c n2-c"),
            ("r1n1-r1n2", "r1n1 r1n2"),
            ("n1-n1", "n1"),
            ("10-12", "10 11 12"),
            ("a[1-2,5]b[01-02]", "a1b01 a1b02 a2b01 a2b02 a5b01 a5b02"),
            ("a[1:2]", "a1 a2"),
            ("a-[1-2]-ib", "a-1-ib a-2-ib"),
            ("a[x,y]", "ax ay"),
            ("[1-2]", "1 2"),
            ("n10+2", "n10 n11 n12"),
            ("n08+3", "n08 n09 n10 n11"),
            ("r1n5+1", "r1n5 r1n6"),
            ("n1.d2+1", "n1.d2 n2.d2"),
            ("5+1", "5 6"),
        ] {
            assert_eq!(joined(word).as_deref(), Some(wanted), "{word}");
        }
        for word in [
            "n1",
            "my-host",
            "n1-m2",
            "n1-n2-n3",
            "r1n1-r2n2",
            "a:b:c",
            "n1-",
            "-n1",
            "n+3",
            "n1+x",
        ] {
            assert_eq!(joined(word), None, "{word}");
        }
    }

    #[test]
    fn words_that_are_refused() {
        for (word, message) in [
            (
                "n1-n999999999",
                "noderange: \"n1-n999999999\" gives more than 100000 names",
            ),
            ("n1-n99999999999999999999", "more than"),
            ("n1+999999", "more than"),
            ("n1+99999999999999999999", "more than"),
            ("n[1-1000]m[1-1000]", "more than"),
            ("n9-n1", "noderange: \"n9-n1\" counts backwards"),
            ("n[3-1]", "counts backwards"),
            ("n[]", "expected numbers and ranges"),
            ("n[1,]", "expected numbers and ranges"),
            ("n[a-c]", "differ in one number only"),
            ("n[1-2]+3", "only names and brackets here"),
            ("n]1", "only names and brackets here"),
        ] {
            let error = names(word).unwrap_err().to_string();
            assert!(error.contains(message), "{word}: {error}");
        }
        assert_eq!(
            names("n1-n100000").unwrap().map(|names| names.len()),
            Some(MAX_NAMES)
        );
    }

    proptest! {
        #[test]
        fn ranges_are_loops(head in "[a-z]{1,4}", tail in "([a-z]{1,3})?", first in 0u64..500, more in 0u64..300, width in 1usize..5) {
            let last = first + more;
            let number = |n: u64| format!("{n:0width$}");
            let written = number(first);
            let mut wanted = Vec::new();
            let pad = if written.starts_with('0') { written.len() } else { 0 };
            for n in first..=last {
                wanted.push(format!("{head}{n:0pad$}{tail}"));
            }
            let word = format!("{head}{written}{tail}-{head}{}{tail}", number(last));
            prop_assert_eq!(names(&word).unwrap(), Some(wanted.clone()));
            let word = format!("{head}[{written}-{}]{tail}", number(last));
            prop_assert_eq!(names(&word).unwrap(), Some(wanted.clone()));
            if tail.is_empty() {
                let word = format!("{head}{written}+{more}");
                prop_assert_eq!(names(&word).unwrap(), Some(wanted));
            }
        }

        #[test]
        fn no_word_panics(word in "[a1\\[\\]:+,. -]{0,12}") {
            let _ = names(&word);
        }
    }
}
