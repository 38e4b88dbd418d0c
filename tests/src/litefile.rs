//! Tables as a management node holds them: reading the litefile rows, and laying out a table directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What the tests need of a litefile row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The image, or `ALL`.
    pub image: String,
    /// The path; a trailing slash means a directory.
    pub file: String,
    /// The option; blank is volatile.
    pub options: String,
}

/// The rows of a litefile table in tabdump form. Trailing fields may be missing.
pub fn rows(table: &str) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(table.as_bytes());
    let header: Vec<&str> = reader.headers()?.iter().take(3).collect();
    ensure!(
        header == ["#image", "file", "options"],
        "not a litefile table: {header:?}"
    );
    let row = |record: csv::StringRecord| {
        let field = |index| record.get(index).unwrap_or_default().to_owned();
        Row {
            image: field(0),
            file: field(1),
            options: field(2),
        }
    };
    reader
        .records()
        .map(|record| record.map(row))
        .collect::<Result<_, _>>()
        .context("litefile table")
}

/// Writes `litefile.csv`, `litetree.csv` (local directories, in this order) and an empty `statelite.csv`.
pub fn write_tables(dir: &Path, litefile: &str, trees: &[PathBuf]) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("litefile.csv"), litefile)?;
    let mut litetree = "#priority,image,directory,mntopts,comments,disable\n".to_owned();
    for (priority, tree) in (1..).zip(trees) {
        litetree.push_str(&format!("\"{priority}\",,\"{}\",,,\n", tree.display()));
    }
    std::fs::write(dir.join("litetree.csv"), litetree)?;
    std::fs::write(
        dir.join("statelite.csv"),
        "#node,image,statemnt,mntopts,comments,disable\n",
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_blank_options_and_missing_fields() {
        let rows =
            rows("#image,file,options,comments,disable\n\"ALL\",\"/tmp/\",,,\nALL,/etc/a,ro\n")
                .unwrap();
        let row = |file: &str, options: &str| Row {
            image: "ALL".to_owned(),
            file: file.to_owned(),
            options: options.to_owned(),
        };
        assert_eq!(rows, [row("/tmp/", ""), row("/etc/a", "ro")]);
    }

    #[test]
    fn lays_out_a_table_directory() {
        let dir = tempfile::tempdir().unwrap();
        write_tables(dir.path(), "x", &["/a".into(), "/b".into()]).unwrap();
        let litetree = std::fs::read_to_string(dir.path().join("litetree.csv")).unwrap();
        assert!(
            litetree.ends_with("\"1\",,\"/a\",,,\n\"2\",,\"/b\",,,\n"),
            "{litetree}"
        );
    }
}
