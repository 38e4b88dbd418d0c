//! Tokens to the tree.
//!
//! ```text
//! list    = [ element ] { "," [ element ] }
//! element = [ "-" ] atom { "@" atom }
//! atom    = "(" list ")" | word
//! ```

use super::ast::{Atom, Term, Union};
use super::criterion::Criterion;
use super::lexer::{self, Kind, Token};
use super::{MAX_DEPTH, MAX_TEXT, RangeError};
use regex::{Regex, RegexBuilder};

/// The largest compiled expression, in bytes: plenty for names, far too small to hurt.
const REGEX_MAX: usize = 256 * 1024;

/// The most expressions in one range: people write one or two, and each takes memory.
const REGEXES_MAX: usize = 100;

/// Reads a range.
///
/// # Errors
/// [`RangeError`] when it is not one, whatever the tables say.
pub fn parse(text: &str) -> Result<Union, RangeError> {
    if text.len() > MAX_TEXT {
        return Err(RangeError::TooLong);
    }
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser {
        text,
        tokens: &tokens,
        regexes: 0,
    };
    let union = parser.list(0)?;
    if let Some(token) = parser.tokens.first() {
        return Err(parser.syntax(token.at, "\")\" without \"(\""));
    }
    if union.terms.is_empty() {
        return Err(RangeError::Empty);
    }
    Ok(union)
}

struct Parser<'a, 't> {
    text: &'a str,
    /// What is left.
    tokens: &'t [Token<'a>],
    /// How many words that hold an expression there were.
    regexes: usize,
}

impl<'a> Parser<'a, '_> {
    fn syntax(&self, at: usize, reason: &str) -> RangeError {
        RangeError::Syntax {
            near: lexer::near(self.text, at),
            reason: reason.to_owned(),
        }
    }

    fn next_if(&mut self, kind: Kind<'a>) -> bool {
        match self.tokens.split_first() {
            Some((token, rest)) if token.kind == kind => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn list(&mut self, depth: usize) -> Result<Union, RangeError> {
        if depth > MAX_DEPTH {
            return Err(RangeError::TooDeep);
        }
        let mut terms = Vec::new();
        loop {
            while self.next_if(Kind::Comma) {}
            match self.tokens.first().map(|token| token.kind) {
                None | Some(Kind::Close) => return Ok(Union { terms }),
                Some(_) => terms.push(self.element(depth)?),
            }
            match self.tokens.first() {
                None => {}
                Some(token) if matches!(token.kind, Kind::Comma | Kind::Close) => {}
                Some(token) => {
                    return Err(self.syntax(token.at, "expected \",\", \"@\" or the end"));
                }
            }
        }
    }

    fn element(&mut self, depth: usize) -> Result<Term, RangeError> {
        let exclude = self.next_if(Kind::Minus);
        let mut atoms = vec![self.atom(depth)?];
        while self.next_if(Kind::At) {
            atoms.push(self.atom(depth)?);
        }
        Ok(Term { exclude, atoms })
    }

    fn atom(&mut self, depth: usize) -> Result<Atom, RangeError> {
        let missing = "a node, a group or \"(\" is missing here";
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err(self.syntax(
                self.text.len(),
                "a node, a group or \"(\" is missing at the end",
            ));
        };
        self.tokens = rest;
        match token.kind {
            Kind::Open => {
                let union = self.list(depth + 1)?;
                if !self.next_if(Kind::Close) {
                    return Err(self.syntax(token.at, "\"(\" is not closed"));
                }
                if union.terms.is_empty() {
                    return Err(self.syntax(token.at, "nothing in parentheses"));
                }
                Ok(Atom::Parens(union))
            }
            Kind::Word(word) => self.word(word, token.at),
            _ => Err(self.syntax(token.at, missing)),
        }
    }

    fn word(&mut self, word: &str, at: usize) -> Result<Atom, RangeError> {
        if word.starts_with('/') || word.contains('~') {
            self.regexes += 1;
            if self.regexes > REGEXES_MAX {
                let reason = format!("more than {REGEXES_MAX} regular expressions");
                return Err(self.syntax(at, &reason));
            }
        }
        if let Some(pattern) = word.strip_prefix('/') {
            return regex(&format!("^(?:{pattern})$"), pattern).map(Atom::Regex);
        }
        if let Some(path) = word.strip_prefix('^') {
            if path.is_empty() {
                return Err(self.syntax(at, "a file name is missing after \"^\""));
            }
            return Ok(Atom::File(path.to_owned()));
        }
        if word.starts_with('-') {
            let reason = "an exclusion stands after a comma: write A,-B";
            return Err(self.syntax(at, reason));
        }
        if let Some(criterion) = Criterion::parse(word)? {
            return Ok(Atom::Criterion(criterion));
        }
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "._-:+[],".contains(c));
        match word.find(odd) {
            Some(offset) => Err(self.syntax(at + offset, "no such character in names")),
            None => Ok(Atom::Word(word.to_owned())),
        }
    }
}

/// Compiles an expression; `shown` is what the message says.
pub(super) fn regex(pattern: &str, shown: &str) -> Result<Regex, RangeError> {
    let built = RegexBuilder::new(pattern).size_limit(REGEX_MAX).build();
    built.map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        let reason = last.trim_start_matches("error: ").to_owned();
        RangeError::Regex(shown.to_owned(), reason)
    })
}
