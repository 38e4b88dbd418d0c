//! Refused rows and odd rows, each with its place in the table.

use std::fmt;

use serde::Serialize;

/// Why a table was not accepted, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Refusal {
    /// The file label given by the caller.
    pub file: String,
    /// Physical line, from 1, on which the row starts; 0 when no row is to blame.
    pub line: u64,
    /// The column's name as in the header, when one column is to blame.
    pub column: Option<String>,
    /// What is wrong and what would be allowed.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(
            f,
            &self.file,
            self.line,
            self.column.as_deref(),
            &self.reason,
        )
    }
}

impl std::error::Error for Refusal {}

/// Everything wrong with the tables, in one go. Displays one refusal per line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Refusals(pub Vec<Refusal>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            refusal.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

/// A row that is accepted but probably not what its author meant. Same shape as [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Warning {
    /// The file label given by the caller.
    pub file: String,
    /// Physical line, from 1, on which the row starts; 0 when no row is to blame.
    pub line: u64,
    /// The column's name as in the header, when one column is to blame.
    pub column: Option<String>,
    /// What is odd and how it is read.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(
            f,
            &self.file,
            self.line,
            self.column.as_deref(),
            &self.reason,
        )
    }
}

fn place(
    f: &mut fmt::Formatter<'_>,
    file: &str,
    line: u64,
    column: Option<&str>,
    reason: &str,
) -> fmt::Result {
    f.write_str(file)?;
    if line > 0 {
        write!(f, ":{line}")?;
    }
    if let Some(column) = column {
        write!(f, ": column {column}")?;
    }
    write!(f, ": {reason}")
}

/// Collects what is found while reading one table.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) file: String,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) warnings: Vec<Warning>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn refuse(&mut self, line: u64, column: Option<&str>, reason: impl fmt::Display) {
        self.refusals.push(Refusal {
            file: self.file.clone(),
            line,
            column: column.map(str::to_owned),
            reason: reason.to_string(),
        });
    }

    pub(crate) fn warn(&mut self, line: u64, column: Option<&str>, reason: impl fmt::Display) {
        self.warnings.push(Warning {
            file: self.file.clone(),
            line,
            column: column.map(str::to_owned),
            reason: reason.to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_file_line_and_column() {
        let mut report = Report::new("litefile.csv");
        report.refuse(12, Some("options"), "unknown option \"foo\"");
        report.refuse(13, None, "6 fields");
        report.refuse(0, None, "no header");
        assert_eq!(
            Refusals(report.refusals).to_string(),
            "litefile.csv:12: column options: unknown option \"foo\"\nlitefile.csv:13: 6 fields\nlitefile.csv: no header"
        );
    }
}
