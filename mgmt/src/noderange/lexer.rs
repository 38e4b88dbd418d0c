//! Text to tokens. What stands inside `[]` belongs to its word, as does what stands inside the parentheses of a
//! regular expression or a value; a parenthesis that begins an atom is a token.

use super::RangeError;

/// A token with the place where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Byte offset, for messages.
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Comma,
    At,
    /// The `-` before an element of a list.
    Minus,
    Open,
    Close,
    /// Anything else, trimmed, never empty.
    Word(&'a str),
}

/// A few characters of the text, for messages.
pub(super) fn near(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    rest.chars().take(24).collect()
}

/// Takes the text apart.
///
/// # Errors
/// [`RangeError::Syntax`] for brackets that are not closed and for control characters.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, RangeError> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    // A "-" stands for an exclusion where an element of a list begins.
    let mut begins = true;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let kind = match c {
            ',' => Kind::Comma,
            '@' => Kind::At,
            '(' => Kind::Open,
            ')' => Kind::Close,
            '-' if begins => Kind::Minus,
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            _ => {
                let length = word(text, at)?;
                let written = text.get(at..at + length).unwrap_or_default();
                tokens.push(Token {
                    kind: Kind::Word(written.trim_end()),
                    at,
                });
                begins = false;
                at += length;
                continue;
            }
        };
        begins = matches!(kind, Kind::Comma | Kind::Open);
        tokens.push(Token { kind, at });
        at += 1;
    }
    Ok(tokens)
}

/// The length of the word that begins at `start`.
fn word(text: &str, start: usize) -> Result<usize, RangeError> {
    let rest = text.get(start..).unwrap_or_default();
    let syntax = |offset, reason: &str| RangeError::Syntax {
        near: near(text, start + offset),
        reason: reason.to_owned(),
    };
    let mut bracket: Option<usize> = None;
    let mut parens: Vec<usize> = Vec::new();
    let mut chars = rest.char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '\\' => {
                // What is escaped opens and closes nothing.
                chars.next();
            }
            c if c.is_control() => return Err(syntax(offset, "a control character")),
            '[' if bracket.is_none() => bracket = Some(offset),
            ']' => bracket = None,
            _ if bracket.is_some() => {}
            '(' => parens.push(offset),
            ')' if parens.pop().is_none() => return Ok(offset),
            ',' | '@' if parens.is_empty() => return Ok(offset),
            _ => {}
        }
    }
    match (bracket, parens.last()) {
        (Some(offset), _) => Err(syntax(offset, "\"[\" is not closed")),
        (None, Some(offset)) => Err(syntax(*offset, "\"(\" is not closed")),
        (None, None) => Ok(rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::Kind::*;
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        let tokens = tokens(text).unwrap();
        tokens.into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn tokens_of_every_kind() {
        assert_eq!(
            kinds("a-b, -(n[1,2]@/n(1|2,3)),-x@y"),
            [
                Word("a-b"),
                Comma,
                Minus,
                Open,
                Word("n[1,2]"),
                At,
                Word("/n(1|2,3)"),
                Close,
                Comma,
                Minus,
                Word("x"),
                At,
                Word("y")
            ]
        );
        assert_eq!(kinds("/a\\(b,c"), [Word("/a\\(b"), Comma, Word("c")]);
        assert_eq!(kinds("a b ,c"), [Word("a b"), Comma, Word("c")]);
        assert_eq!(kinds("a@-b"), [Word("a"), At, Word("-b")]);
    }

    #[test]
    fn what_is_not_closed_is_shown() {
        for (text, near) in [("n1,n[1-3", "[1-3"), ("/n(1", "(1"), ("n\u{1}", "\u{1}")] {
            match tokens(text) {
                Err(RangeError::Syntax { near: shown, .. }) => assert_eq!(shown, near),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
