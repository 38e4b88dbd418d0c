//! The report as JSON: everything, raw samples included.

use anyhow::{Context, Result};

use super::Report;

/// The document, ending in a newline.
pub fn render(report: &Report) -> Result<String> {
    let mut text = serde_json::to_string_pretty(report).context("writing JSON")?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::report::tests::sample;

    #[test]
    fn raw_samples_and_reasons_are_kept() {
        let json: serde_json::Value =
            serde_json::from_str(&super::render(&sample()).unwrap()).unwrap();
        assert_eq!(
            json.pointer("/suites/0/lines/0/cells/0/samples/0/1")
                .unwrap(),
            0.2
        );
        assert_eq!(json.pointer("/suites/0/lines/0/phase").unwrap(), "warm");
        assert_eq!(
            json.pointer("/suites/0/lines/1/cells/2/error").unwrap(),
            "exit status: 1"
        );
        assert_eq!(json.pointer("/missing/0/target").unwrap(), "mergerfs");
    }
}
