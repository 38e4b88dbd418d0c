//! The replacement of a substitution: text, groups of the pattern, and integer arithmetic over them.

use super::SubstitutionError;
use regex::Captures;

/// A part of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// The text of a group.
    Group(usize),
    /// `(...)`
    Value {
        text: String,
        value: Expr,
    },
    /// `(sprintf("%02d",...))`
    Format {
        text: String,
        format: Format,
        value: Expr,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    Number(i64),
    Group(usize),
    Negative(Box<Expr>),
    Pair(Box<Expr>, u8, Box<Expr>),
}

/// One `%` of sprintf with what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format {
    before: String,
    zeros: bool,
    width: usize,
    kind: u8,
    after: String,
}

/// How deep parentheses may be nested.
const DEPTH: usize = 32;

fn fail(text: &str, reason: impl Into<String>) -> SubstitutionError {
    SubstitutionError::Expression(text.to_owned(), reason.into())
}

/// Text with groups; parentheses are text.
pub(super) fn text(replacement: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = replacement;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let group = matches!(c, '$' | '\\').then(|| group(after)).flatten();
        match group {
            Some((number, length)) => {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Group(number));
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                plain.push(c);
                rest = after;
            }
        }
    }
    pieces.push(Piece::Text(plain));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    pieces
}

/// `1` or `{1}` at the beginning: the number and its length.
fn group(text: &str) -> Option<(usize, usize)> {
    let inside = text.strip_prefix('{').unwrap_or(text);
    let digits = inside.bytes().take_while(u8::is_ascii_digit).count();
    let number = inside.get(..digits)?.parse().ok()?;
    if inside.len() == text.len() {
        return Some((number, digits));
    }
    inside
        .get(digits..)?
        .starts_with('}')
        .then_some((number, digits + 2))
}

/// Text with groups and arithmetic.
pub(super) fn pieces(replacement: &str) -> Result<Vec<Piece>, SubstitutionError> {
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some(open) = rest.find('(') {
        let (before, from) = rest.split_at(open);
        pieces.extend(text(before));
        let length = balanced(from).ok_or_else(|| fail(from, "it is not closed"))?;
        let inside = from.get(1..length - 1).unwrap_or_default();
        pieces.push(computed(inside)?);
        rest = from.get(length..).unwrap_or_default();
    }
    pieces.extend(text(rest));
    Ok(pieces)
}

/// The length of the parenthesised text at the beginning.
fn balanced(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(index + 1);
        }
    }
    None
}

fn computed(inside: &str) -> Result<Piece, SubstitutionError> {
    let text = inside.to_owned();
    let arguments = inside.strip_prefix("sprintf(");
    if let Some(arguments) = arguments.and_then(|rest| rest.strip_suffix(')')) {
        let (format, value) = Format::parse(arguments).ok_or_else(|| {
            fail(
                inside,
                "sprintf knows one %d, %u, %s, %x, %X or %o and one value",
            )
        })?;
        let value = parse(inside, value)?;
        return Ok(Piece::Format {
            text,
            format,
            value,
        });
    }
    let value = parse(inside, inside)?;
    Ok(match value {
        Expr::Group(number) => Piece::Group(number),
        value => Piece::Value { text, value },
    })
}

impl Format {
    /// Reads `"%02d",value`; the value is returned as text.
    fn parse(arguments: &str) -> Option<(Self, &str)> {
        let quote = arguments
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))?;
        let (format, value) = arguments.get(1..)?.split_once(quote)?;
        let (before, rest) = format.split_once('%')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (width, rest) = rest.split_at(digits);
        let kind = rest
            .bytes()
            .next()
            .filter(|kind| b"dusxXo".contains(kind))?;
        let after = rest.get(1..)?;
        if after.contains('%') || width.len() > 2 {
            return None;
        }
        let format = Self {
            before: before.to_owned(),
            zeros: width.starts_with('0'),
            width: width.parse().unwrap_or(0),
            kind,
            after: after.to_owned(),
        };
        Some((format, value.trim_start().strip_prefix(',')?))
    }

    fn fill(&self, value: i64) -> String {
        let digits = match self.kind {
            b'x' => format!("{value:x}"),
            b'X' => format!("{value:X}"),
            b'o' => format!("{value:o}"),
            _ => value.to_string(),
        };
        let width = self.width;
        let padded = match digits.strip_prefix('-') {
            Some(digits) if self.zeros => {
                format!("-{digits:0>width$}", width = width.saturating_sub(1))
            }
            None if self.zeros => format!("{digits:0>width$}"),
            _ => format!("{digits:>width$}"),
        };
        format!("{}{padded}{}", self.before, self.after)
    }
}

/// Reads an expression; `whole` is what messages show.
fn parse(whole: &str, text: &str) -> Result<Expr, SubstitutionError> {
    let mut parser = Parser {
        whole,
        rest: text.trim_start(),
    };
    let value = parser.sum(0)?;
    match parser.rest.chars().next() {
        None => Ok(value),
        Some(c) => Err(fail(whole, format!("\"{c}\" is not expected"))),
    }
}

struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default().trim_start();
    }

    fn operator(&mut self, allowed: &[u8]) -> Option<u8> {
        let next = self
            .rest
            .bytes()
            .next()
            .filter(|byte| allowed.contains(byte))?;
        self.take(1);
        Some(next)
    }

    fn sum(&mut self, depth: usize) -> Result<Expr, SubstitutionError> {
        if depth > DEPTH {
            return Err(fail(self.whole, "too many parentheses"));
        }
        let mut left = self.product(depth)?;
        while let Some(operator) = self.operator(b"+-") {
            let right = self.product(depth)?;
            left = Expr::Pair(Box::new(left), operator, Box::new(right));
        }
        Ok(left)
    }

    fn product(&mut self, depth: usize) -> Result<Expr, SubstitutionError> {
        let mut left = self.factor(depth)?;
        while let Some(operator) = self.operator(b"*/%") {
            let right = self.factor(depth)?;
            left = Expr::Pair(Box::new(left), operator, Box::new(right));
        }
        Ok(left)
    }

    fn factor(&mut self, depth: usize) -> Result<Expr, SubstitutionError> {
        let whole = self.whole;
        match self.rest.bytes().next() {
            None => Err(fail(whole, "it ends too early")),
            Some(b'(') => {
                self.take(1);
                let inside = self.sum(depth + 1)?;
                if self.operator(b")").is_none() {
                    return Err(fail(whole, "it ends too early"));
                }
                Ok(inside)
            }
            Some(b'-') if depth < DEPTH => {
                self.take(1);
                Ok(Expr::Negative(Box::new(self.factor(depth + 1)?)))
            }
            Some(b'-') => Err(fail(whole, "too many parentheses")),
            Some(b'$') => {
                let (number, length) = group(self.rest.get(1..).unwrap_or_default())
                    .ok_or_else(|| fail(whole, "\"$\" without a number"))?;
                self.take(length + 1);
                Ok(Expr::Group(number))
            }
            Some(byte) if byte.is_ascii_digit() => {
                let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
                let digits = self.rest.get(..length).unwrap_or_default();
                if digits.starts_with('0') && length > 1 {
                    return Err(fail(whole, "a leading zero (octal for xCAT): leave it out"));
                }
                let number = digits
                    .parse()
                    .map_err(|_| fail(whole, "a number is too large"))?;
                self.take(length);
                Ok(Expr::Number(number))
            }
            Some(_) => {
                let odd = self.rest.chars().next().unwrap_or_default();
                let reason = if ")+*/%".contains(odd) {
                    "it ends too early".to_owned()
                } else {
                    format!("\"{odd}\" is not arithmetic")
                };
                Err(fail(whole, reason))
            }
        }
    }
}

impl Expr {
    fn highest(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Group(number) => *number,
            Self::Negative(inside) => inside.highest(),
            Self::Pair(left, _, right) => left.highest().max(right.highest()),
        }
    }

    fn value(&self, text: &str, captures: &Captures<'_>) -> Result<i64, SubstitutionError> {
        let large = || fail(text, "the result is too large");
        Ok(match self {
            Self::Number(number) => *number,
            Self::Group(number) => {
                let group = captured(captures, text, *number)?;
                group
                    .parse()
                    .map_err(|_| fail(text, format!("\"{group}\" is no number")))?
            }
            Self::Negative(inside) => inside
                .value(text, captures)?
                .checked_neg()
                .ok_or_else(large)?,
            Self::Pair(left, operator, right) => {
                let (left, right) = (left.value(text, captures)?, right.value(text, captures)?);
                if right == 0 && matches!(operator, b'/' | b'%') {
                    return Err(fail(text, "a division by zero"));
                }
                let result = match operator {
                    b'+' => left.checked_add(right),
                    b'-' => left.checked_sub(right),
                    b'*' => left.checked_mul(right),
                    b'/' => left.checked_div(right),
                    _ => left.checked_rem(right),
                };
                result.ok_or_else(large)?
            }
        })
    }
}

/// The text of a group; one that took no part in the match is empty.
fn captured<'h>(
    captures: &Captures<'h>,
    text: &str,
    number: usize,
) -> Result<&'h str, SubstitutionError> {
    if number >= captures.len() {
        return Err(fail(
            text,
            format!("there is no number ${number} in the name"),
        ));
    }
    Ok(captures.get(number).map_or("", |group| group.as_str()))
}

impl Piece {
    /// The greatest number of a group used.
    pub(super) fn highest(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Group(number) => *number,
            Self::Value { value, .. } | Self::Format { value, .. } => value.highest(),
        }
    }

    pub(super) fn fill(&self, captures: &Captures<'_>) -> Result<String, SubstitutionError> {
        Ok(match self {
            Self::Text(text) => text.clone(),
            Self::Group(number) => captured(captures, &format!("${number}"), *number)?.to_owned(),
            Self::Value { text, value } => value.value(text, captures)?.to_string(),
            Self::Format {
                text,
                format,
                value,
            } => format.fill(value.value(text, captures)?),
        })
    }
}
