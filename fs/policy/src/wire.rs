//! What nodes and servers of xCAT say to each other on port 3001 (facts §10), as text; transport is the caller's.
//!
//! A request is one `<xcatrequest>` element, a response a row of `<xcatresponse>` elements, one element per line with
//! an indent of two spaces: the scripts of stock nodes take it apart line by line. The last response contains
//! `<serverdone>`. Whatever is not in 011-177 octal is sent as `?`.

use quick_xml::Reader;
use quick_xml::events::Event;

/// The longest request that is read, in bytes; the longest real one (a noderange of a large site) is far below.
pub const REQUEST_MAX: usize = 64 * 1024;
/// The longest response that is read, in bytes: 100,000 rows of usual length.
pub const RESPONSE_MAX: usize = 32 * 1024 * 1024;
/// What ends a request.
pub const REQUEST_END: &str = "</xcatrequest>";
/// What is denied says this, without telling why.
pub const DENIED: &str = "Permission denied for request";

/// A command and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The command, for instance `litefile`.
    pub command: String,
    /// Arguments in order.
    pub args: Vec<String>,
    /// Node ranges in order; nodes of 2010 send their own name.
    pub noderange: Vec<String>,
}

/// Why text is no request or no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// not well-formed: {0}
    #[error("not well-formed: {0}")]
    Syntax(String),
    /// no <{0}> element
    #[error("no <{0}> element")]
    Missing(&'static str),
    /// <{0}> inside <{1}> is not known here
    #[error("<{0}> inside <{1}> is not known here")]
    Nesting(String, String),
    /// more than {0} bytes
    #[error("more than {0} bytes")]
    TooLong(usize),
    /// the server refused: {0}
    #[error("the server refused: {0}")]
    Refused(String),
    /// the answer ended before <serverdone>
    #[error("the answer ended before <serverdone>")]
    Cut,
    /// the answer has no line for this node
    #[error("the answer has no line for this node")]
    Empty,
    /// "{0}" is not of the form NODE: OPTION PATH or NODE: SERVER:DIR
    #[error("\"{0}\" is not of the form NODE: OPTION PATH or NODE: SERVER:DIR")]
    Line(String),
}

impl Request {
    /// A request with a command alone.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            ..Self::default()
        }
    }

    /// The text to send, newline included.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut text = String::from("<xcatrequest>");
        let mut element = |name: &str, value: &str| {
            text.push_str(&format!("<{name}>{}</{name}>", escape(value)));
        };
        element("command", &self.command);
        for range in &self.noderange {
            element("noderange", range);
        }
        for arg in &self.args {
            element("arg", arg);
        }
        text.push_str("</xcatrequest>\n");
        text
    }

    /// Reads a request. Elements it does not know are passed over, as xcatd does.
    ///
    /// # Errors
    /// [`WireError`] when it is not one `<xcatrequest>` with a command.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        if text.len() > REQUEST_MAX {
            return Err(WireError::TooLong(REQUEST_MAX));
        }
        let mut request = Self::default();
        let mut seen = false;
        elements(text, "xcatrequest", |name, value| {
            seen = true;
            match name {
                "command" if request.command.is_empty() => request.command = value,
                "arg" => request.args.push(value),
                "noderange" => request.noderange.push(value),
                _ => {}
            }
        })?;
        if !seen {
            return Err(WireError::Missing("xcatrequest"));
        }
        if request.command.is_empty() {
            return Err(WireError::Missing("command"));
        }
        Ok(request)
    }
}

/// A response, element by element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The `<info>` lines in order.
    pub info: Vec<String>,
    /// The `<error>` texts in order.
    pub errors: Vec<String>,
    /// Whether `<serverdone>` was there.
    pub done: bool,
}

impl Response {
    /// Reads a whole answer.
    ///
    /// # Errors
    /// [`WireError`] when the text is not well-formed or too long.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        if text.len() > RESPONSE_MAX {
            return Err(WireError::TooLong(RESPONSE_MAX));
        }
        let mut response = Self::default();
        elements(text, "xcatresponse", |name, value| match name {
            "info" => response.info.push(value),
            "error" => response.errors.push(value),
            "serverdone" => response.done = true,
            _ => {}
        })?;
        Ok(response)
    }

    /// The lines about `node` without their `NODE: ` prefix. A refusal, a cut answer and one without a line are
    /// errors: none of them is a policy.
    ///
    /// # Errors
    /// [`WireError::Refused`], [`WireError::Cut`], [`WireError::Empty`] or [`WireError::Line`].
    pub fn lines(&self, node: &str) -> Result<Vec<&str>, WireError> {
        if !self.errors.is_empty() {
            return Err(WireError::Refused(self.errors.join("; ")));
        }
        if !self.done {
            return Err(WireError::Cut);
        }
        let mut lines = Vec::new();
        for line in self.info.iter().map(|line| line.trim()) {
            if line.is_empty() {
                continue;
            }
            let (name, rest) = line
                .split_once(": ")
                .ok_or_else(|| WireError::Line(line.to_owned()))?;
            if name == node {
                lines.push(rest.trim());
            }
        }
        if lines.is_empty() {
            return Err(WireError::Empty);
        }
        Ok(lines)
    }
}

/// The text of an answer: one `<xcatresponse>` per information line, then the one that ends it.
#[must_use]
pub fn answer<'a>(source: &str, info: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in info {
        text.push_str(&format!(
            "<xcatresponse>\n  <info>{}</info>\n  <xcatdsource>{}</xcatdsource>\n</xcatresponse>\n",
            escape(line),
            escape(source)
        ));
    }
    text.push_str("<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n");
    text
}

/// The text of a refusal.
#[must_use]
pub fn refusal(reason: &str) -> String {
    format!(
        "<xcatresponse>\n  <error>{}</error>\n  <errorcode>1</errorcode>\n</xcatresponse>\n\
         <xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n",
        escape(reason)
    )
}

/// A litefile line as the wire and the `litefile` command have it, without the node: option padded to 13, path.
#[must_use]
pub fn litefile_line(option: &str, path: &str) -> String {
    format!("{option:<13} {path}")
}

/// Text between tags: `&`, `<` and `>` escaped, what is not in 011-177 octal replaced by `?` byte by byte.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'&' => out.push_str("&amp;"),
            b'<' => out.push_str("&lt;"),
            b'>' => out.push_str("&gt;"),
            0o11..=0o177 => out.push(byte as char),
            _ => out.push('?'),
        }
    }
    out
}

/// Calls `each` for every element directly inside an `outer` element, with its text.
fn elements(
    text: &str,
    outer: &'static str,
    mut each: impl FnMut(&str, String),
) -> Result<(), WireError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<String> = Vec::new();
    let mut value = String::new();
    let syntax = |error: &dyn std::fmt::Display| WireError::Syntax(error.to_string());
    loop {
        match reader.read_event().map_err(|error| syntax(&error))? {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if open.is_empty() && name != outer {
                    return Err(WireError::Missing(outer));
                }
                // Deeper than anything that is said here: not worth the memory.
                if open.len() >= 8 {
                    let inside = open.last().cloned().unwrap_or_default();
                    return Err(WireError::Nesting(name, inside));
                }
                open.push(name);
                value.clear();
            }
            Event::Empty(tag) if open.len() == 1 => each(tag.name().as_ref(), String::new()),
            Event::End(_) => {
                if let Some(name) = open.pop()
                    && open.len() == 1
                {
                    each(&name, std::mem::take(&mut value));
                }
            }
            Event::Text(part) => {
                value.push_str(part.as_ref());
            }
            Event::CData(part) => value.push_str(part.as_ref()),
            Event::GeneralRef(reference) => {
                let raw = reference.as_ref().to_owned();
                let resolved = quick_xml::escape::unescape(&format!("&{raw};"))
                    .map(|text| text.into_owned())
                    .map_err(|error| syntax(&error))?;
                value.push_str(&resolved);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match open.last() {
        None => Ok(()),
        Some(name) => Err(WireError::Syntax(format!("<{name}> is not closed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITEFILE: &str = "<xcatresponse>\n  <info>n01: tmpfs         /etc/adjtime</info>\n  \
        <xcatdsource>mn</xcatdsource>\n</xcatresponse>\n<xcatresponse>\n  <info>n01: link          /etc/mtab</info>\n  \
        <xcatdsource>mn</xcatdsource>\n</xcatresponse>\n<xcatresponse>\n  <serverdone></serverdone>\n</xcatresponse>\n";

    #[test]
    fn answers_have_xcats_bytes_and_come_back() {
        let lines = ["tmpfs", "link"].map(|option| {
            let path = if option == "link" {
                "/etc/mtab"
            } else {
                "/etc/adjtime"
            };
            format!("n01: {}", litefile_line(option, path))
        });
        assert_eq!(answer("mn", lines.iter().map(String::as_str)), LITEFILE);
        let response = Response::parse(LITEFILE).unwrap();
        assert_eq!(
            response.lines("n01").unwrap(),
            ["tmpfs         /etc/adjtime", "link          /etc/mtab"]
        );
        assert_eq!(response.lines("n02"), Err(WireError::Empty));
    }

    #[test]
    fn refusals_and_cut_answers_are_errors() {
        let denied = Response::parse(&refusal(DENIED)).unwrap();
        assert_eq!(denied.lines("n01"), Err(WireError::Refused(DENIED.into())));
        let half = LITEFILE.rsplit_once("<xcatresponse>").unwrap().0;
        assert_eq!(
            Response::parse(half).unwrap().lines("n01"),
            Err(WireError::Cut)
        );
        assert!(Response::parse(&LITEFILE[..40]).is_err());
        assert!(
            Response::parse("Permission denied")
                .unwrap()
                .lines("n01")
                .is_err()
        );
    }

    #[test]
    fn requests_come_back() {
        let request = Request {
            command: "litefile".into(),
            args: vec!["a&b".into(), "<c>".into()],
            noderange: vec!["n01".into()],
        };
        assert_eq!(Request::parse(&request.to_xml()).unwrap(), request);
        assert_eq!(
            Request::new("litefile").to_xml(),
            "<xcatrequest><command>litefile</command></xcatrequest>\n"
        );
        let spread = "<xcatrequest>\n  <command>litetree</command>\n</xcatrequest>\n";
        assert_eq!(Request::parse(spread).unwrap().command, "litetree");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "x",
            "<xcatrequest></xcatrequest>",
            "<a/>",
            "<xcatrequest><command>x",
            "<!DOCTYPE a><b></b>",
        ] {
            assert!(Request::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Request::parse(&"x".repeat(REQUEST_MAX + 1)),
            Err(WireError::TooLong(REQUEST_MAX))
        );
    }

    #[test]
    fn odd_bytes_become_question_marks() {
        assert!(answer("mn", ["n01: \u{e9}\u{1}"]).contains("<info>n01: ???</info>"));
    }
}
