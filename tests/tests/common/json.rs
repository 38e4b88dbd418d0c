//! Just enough of JSON for numbers in `status --json`.

use anyhow::{Context, Result};

pub struct Json {
    text: String,
}

impl Json {
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// What follows the first place where this stands.
    #[allow(dead_code, reason = "each test file uses a part")]
    pub fn after(&self, what: &str) -> Result<Self> {
        let (_, rest) = self
            .text
            .split_once(what)
            .with_context(|| format!("no {what} in {}", self.text))?;
        Ok(Self::new(rest.to_owned()))
    }

    /// The first number under this key.
    pub fn number(&self, key: &str) -> Result<u64> {
        let quoted = format!("\"{key}\"");
        let rest = self.text.split_once(&quoted).map(|(_, rest)| rest);
        let rest = rest.with_context(|| format!("no {quoted} in {}", self.text))?;
        let digits: String = rest
            .trim_start_matches([':', ' '])
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits
            .parse()
            .with_context(|| format!("{quoted} in {}", self.text))
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}
