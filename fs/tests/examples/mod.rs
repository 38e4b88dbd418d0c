//! The examples in a Markdown document, and how their output is compared.

/// What is run of a document.
#[derive(Debug, Default)]
pub struct Document {
    /// Shell commands that make what all examples start from.
    pub setup: String,
    /// The examples, in order.
    pub examples: Vec<Example>,
}

/// One block of commands and their output.
#[derive(Debug)]
pub struct Example {
    /// Where the block begins.
    pub line: usize,
    /// The heading above it.
    pub heading: String,
    /// The commands.
    pub steps: Vec<Step>,
}

/// A command and what it prints.
#[derive(Debug)]
pub struct Step {
    /// Where it stands.
    pub line: usize,
    /// The command, maybe of several lines.
    pub command: String,
    /// The lines it prints.
    pub expected: Vec<String>,
}

impl Document {
    /// Finds the blocks of `text`.
    pub fn parse(text: &str) -> Document {
        let mut document = Document::default();
        let mut heading = String::new();
        let mut info: Option<String> = None;
        for (line, text) in (1..).zip(text.lines()) {
            match (&info, text.strip_prefix("```")) {
                (None, Some(opening)) => {
                    if opening == "console" {
                        let (heading, steps) = (heading.clone(), Vec::new());
                        document.examples.push(Example {
                            line,
                            heading,
                            steps,
                        });
                    }
                    info = Some(opening.to_owned());
                }
                (Some(_), Some(_)) => info = None,
                (None, None) => {
                    if let Some(title) = text.strip_prefix('#') {
                        heading = title.trim_start_matches('#').trim().to_owned();
                    }
                }
                (Some(info), None) => document.take(info, line, text),
            }
        }
        document
    }

    fn take(&mut self, info: &str, line: usize, text: &str) {
        if info == "sh setup" {
            self.setup.push_str(text);
            self.setup.push('\n');
        }
        let Some(example) = self.examples.last_mut().filter(|_| info == "console") else {
            return;
        };
        if let Some(command) = text.strip_prefix("$ ") {
            let (command, expected) = (command.to_owned(), Vec::new());
            example.steps.push(Step {
                line,
                command,
                expected,
            });
            return;
        }
        let Some(step) = example.steps.last_mut() else {
            return;
        };
        match text.strip_prefix("> ") {
            Some(more) if step.expected.is_empty() => {
                step.command.push('\n');
                step.command.push_str(more);
            }
            _ => step.expected.push(text.to_owned()),
        }
    }
}

/// Whether `lines` are as `expected`, where a line `...` stands for any lines.
pub fn lines_match(expected: &[String], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            (0..=lines.len()).any(|n| lines.get(n..).is_some_and(|lines| lines_match(rest, lines)))
        }
        (Some((first, rest)), Some((line, lines))) => {
            line_matches(first, line) && lines_match(rest, lines)
        }
        _ => false,
    }
}

/// Whether `line` is as `expected`, where `...` stands for any text.
fn line_matches(expected: &str, line: &str) -> bool {
    match expected.split_once("...") {
        None => expected == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            (0..=line.len()).any(|n| line.get(n..).is_some_and(|line| line_matches(rest, line)))
        }),
    }
}

#[test]
fn blocks_become_examples() {
    let text = "# A\n```sh setup\nmkdir x\n```\n## B c\n```console\n$ cat <<E\n> hi\n> E\nhi\n$ true\n```\n```text\n$ no\n```\n";
    let document = Document::parse(text);
    assert_eq!(document.setup, "mkdir x\n");
    let [example] = document.examples.as_slice() else {
        panic!("{document:?}");
    };
    assert_eq!(
        (example.line, example.heading.as_str(), example.steps.len()),
        (6, "B c", 2)
    );
    assert_eq!(example.steps[0].command, "cat <<E\nhi\nE");
    assert_eq!(example.steps[0].expected, ["hi"]);
}

#[test]
fn dots_stand_for_anything() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(lines_match(
        &lines("a ... c\n...\nz"),
        &["a b c", "x", "y", "z"]
    ));
    assert!(lines_match(&lines("..."), &[]));
    assert!(!lines_match(&lines("a"), &["a", "b"]));
    assert!(!lines_match(&[], &["a"]));
}
