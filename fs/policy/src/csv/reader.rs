//! One pass over the text; fields borrow from it.

use std::borrow::Cow;

use super::Schema;
use crate::refusal::Report;

/// Reads rows one after the other, keeping count of physical lines.
#[derive(Debug)]
pub(crate) struct Reader<'s, 'a> {
    rest: &'a [u8],
    line: u64,
    columns: Vec<&'s str>,
    fields: Vec<Option<Cow<'a, str>>>,
}

/// One well-formed row: as many fields as columns.
#[derive(Debug)]
pub(crate) struct Row<'s, 'a> {
    pub(crate) line: u64,
    pub(crate) fields: &'s mut Vec<Option<Cow<'a, str>>>,
}

impl<'a> Row<'_, 'a> {
    /// The value at a column index from [`Reader::index`]; NULL and absent columns give `None`.
    pub(crate) fn get(&self, index: Option<usize>) -> Option<&str> {
        self.fields.get(index?)?.as_deref()
    }

    /// As [`Row::get`], moving the value out; NULL becomes the empty string.
    pub(crate) fn take(&mut self, index: Option<usize>) -> Cow<'a, str> {
        index
            .and_then(|index| self.fields.get_mut(index))
            .and_then(Option::take)
            .unwrap_or_default()
    }
}

/// What is wrong with the field now being read.
enum Bad {
    /// Skip to the end of the physical line and go on.
    Here(&'static str),
    /// The quote never closes: there is nothing sensible to go on with.
    Unterminated,
}

enum After {
    Comma,
    RowEnd,
}

impl<'s, 'a> Reader<'s, 'a> {
    /// Reads the header; `None` when it is refused.
    pub(crate) fn open(text: &'a [u8], schema: &Schema<'s>, report: &mut Report) -> Option<Self> {
        let (header, rest) = split_line(text);
        let names = std::str::from_utf8(header)
            .ok()
            .and_then(|header| header.strip_prefix('#'));
        let Some(names) = names else {
            let expected: Vec<_> = schema.columns.iter().map(|column| column.name).collect();
            report.refuse(
                1,
                None,
                format_args!("no header line: expected \"#{}\"", expected.join(",")),
            );
            return None;
        };
        let before = report.refusals.len();
        let mut columns = Vec::new();
        for (index, name) in names.trim_end().split(',').enumerate() {
            let name = name.trim_matches('"');
            match schema.columns.iter().find(|column| column.name == name) {
                None => {
                    let reason = format!(
                        "field {}: the {} table has no column \"{name}\"",
                        index + 1,
                        schema.table
                    );
                    report.refuse(1, Some(name), reason);
                }
                Some(column) if columns.contains(&column.name) => {
                    report.refuse(
                        1,
                        Some(name),
                        format_args!("field {}: the column is named twice", index + 1),
                    );
                }
                Some(column) => columns.push(column.name),
            }
        }
        for column in schema
            .columns
            .iter()
            .filter(|column| column.required && !columns.contains(&column.name))
        {
            report.refuse(1, Some(column.name), "the header lacks this column");
        }
        let fields = Vec::with_capacity(columns.len() + 1);
        (report.refusals.len() == before).then_some(Self {
            rest,
            line: 2,
            columns,
            fields,
        })
    }

    pub(crate) fn columns(&self) -> &[&'s str] {
        &self.columns
    }

    /// The index of a column, if the header has it.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column == name)
    }

    /// The next well-formed row. Malformed ones go to the report and are passed over.
    pub(crate) fn next_row(&mut self, report: &mut Report) -> Option<Row<'_, 'a>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let line = self.line;
            if let Some(after) = blank_to_end(self.rest) {
                self.rest = after;
                self.line += 1;
            } else if self.read_row(line, report) {
                return Some(Row {
                    line,
                    fields: &mut self.fields,
                });
            }
        }
    }

    /// Reads one row that is not an empty line; false when it is refused.
    fn read_row(&mut self, line: u64, report: &mut Report) -> bool {
        self.fields.clear();
        if self.rest.first() == Some(&b'#') {
            report.refuse(
                line,
                None,
                "a table has no comment lines; to switch a row off set its disable column to 1",
            );
            self.skip_line();
            return false;
        }
        loop {
            match self.field() {
                Ok((value, after)) => {
                    self.fields.push(value);
                    if matches!(after, After::RowEnd) {
                        return self.complete(line, report);
                    }
                }
                Err(bad) => {
                    let number = self.fields.len() + 1;
                    let column = self.columns.get(self.fields.len()).copied();
                    let reason = match bad {
                        Bad::Here(reason) => {
                            self.skip_line();
                            reason
                        }
                        Bad::Unterminated => {
                            self.rest = &[];
                            "the opening quote is never closed"
                        }
                    };
                    report.refuse(line, column, format_args!("field {number}: {reason}"));
                    return false;
                }
            }
        }
    }

    /// Evens the row out to the header: missing trailing fields are NULL, one extra comma is dropped.
    fn complete(&mut self, line: u64, report: &mut Report) -> bool {
        let want = self.columns.len();
        if self.fields.len() == want + 1 && self.fields.last().is_some_and(Option::is_none) {
            self.fields.pop();
        }
        if self.fields.len() > want {
            let have = self.fields.len();
            report.refuse(
                line,
                None,
                format_args!("field {}: {have} fields, the header has {want}", want + 1),
            );
            return false;
        }
        self.fields.resize(want, None);
        true
    }

    /// Reads one field and what ends it, and moves on only when it is well formed.
    fn field(&mut self) -> Result<(Option<Cow<'a, str>>, After), Bad> {
        if let Some(body) = self.rest.strip_prefix(b"\"") {
            let (value, after) = quoted(body)?;
            let newlines = value.iter().filter(|byte| **byte == b'\n').count();
            let value = utf8(value)?;
            let after = self.finish(after)?;
            self.line += newlines as u64;
            return Ok((Some(value), after));
        }
        let stop = |byte: &u8| matches!(byte, b',' | b'\n' | b'"');
        let end = self.rest.iter().position(stop).unwrap_or(self.rest.len());
        let (raw, after) = self.rest.split_at(end);
        if after.first() == Some(&b'"') {
            let blank = raw.iter().all(u8::is_ascii_whitespace);
            return Err(Bad::Here(if blank {
                "whitespace before the opening quote"
            } else {
                "a quote inside an unquoted value"
            }));
        }
        let raw = if after.first() == Some(&b',') {
            raw
        } else {
            raw.trim_ascii_end()
        };
        let value = if raw.is_empty() {
            None
        } else {
            Some(utf8(Cow::Borrowed(raw))?)
        };
        Ok((value, self.finish(after)?))
    }

    /// Passes the comma or line end after a field.
    fn finish(&mut self, after: &'a [u8]) -> Result<After, Bad> {
        if let Some(after) = after.strip_prefix(b",") {
            self.rest = after;
            return Ok(After::Comma);
        }
        let next = blank_to_end(after).ok_or(Bad::Here("text after the closing quote"))?;
        self.rest = next;
        self.line += 1;
        Ok(After::RowEnd)
    }

    fn skip_line(&mut self) {
        self.rest = split_line(self.rest).1;
        self.line += 1;
    }
}

/// The text after an opening quote, as far as the closing one, inner quotes made single; and what follows.
fn quoted(body: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Bad> {
    let mut value: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = body;
    loop {
        let end = rest
            .iter()
            .position(|byte| *byte == b'"')
            .ok_or(Bad::Unterminated)?;
        let (part, after) = rest.split_at(end);
        let after = after.strip_prefix(b"\"").unwrap_or(after);
        let doubled = after.strip_prefix(b"\"");
        if doubled.is_none() && value.is_empty() {
            return Ok((Cow::Borrowed(part), after));
        }
        let owned = value.to_mut();
        owned.extend_from_slice(part);
        let Some(after) = doubled else {
            return Ok((value, after));
        };
        owned.push(b'"');
        rest = after;
    }
}

fn utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Bad> {
    let bad = Bad::Here("not UTF-8");
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|_| bad),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| bad),
    }
}

/// What follows the line, when nothing but blanks is left of it.
fn blank_to_end(text: &[u8]) -> Option<&[u8]> {
    if text.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
        return None;
    }
    let (line, after) = split_line(text);
    line.trim_ascii().is_empty().then_some(after)
}

/// The first line without its end, and what follows.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(text.len());
    let (line, after) = text.split_at(end);
    (
        line.strip_suffix(b"\r").unwrap_or(line),
        after.strip_prefix(b"\n").unwrap_or(after),
    )
}
