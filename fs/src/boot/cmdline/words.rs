//! Text of a command line to words, as the kernel splits it: at white space outside double
//! quotes; the quotes go away. What follows `--` is for the node's init.

/// The words of `text`.
pub fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut started = false;
    for c in text.chars().chain(std::iter::once(' ')) {
        if c == '"' {
            quoted = !quoted;
            started = true;
        } else if c.is_ascii_whitespace() && (!quoted || c == '\n') {
            if started {
                if word == "--" {
                    return words;
                }
                words.push(std::mem::take(&mut word));
            }
            started = false;
        } else {
            word.push(c);
            started = true;
        }
    }
    if started {
        // A quote that is never closed.
        words.push(word.trim_end().to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_the_kernel_does() {
        for (text, words) in [
            ("", &[][..]),
            ("  a   b=c\td\n", &["a", "b=c", "d"]),
            ("a=\"b c\" d", &["a=b c", "d"]),
            ("\"a=b c\"", &["a=b c"]),
            ("a -- b=c", &["a"]),
            ("a=--b", &["a=--b"]),
            ("a=\"b c", &["a=b c"]),
        ] {
            assert_eq!(split(text), words, "{text:?}");
        }
    }
}
