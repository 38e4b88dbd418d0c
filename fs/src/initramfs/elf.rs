//! Whether a program runs without libraries.

/// `PT_INTERP`: the program names a loader.
const PT_INTERP: u32 = 3;

/// Why something is no program.
const ODD: &str = "not a 64-bit ELF program";

/// Where a number of two bytes about the sections is in the file header: how many there are.
const SECTION_COUNT: std::ops::Range<usize> = 0x3c..0x3e;
/// The same, in eight bytes: where their headers are.
const SECTION_HEADERS: std::ops::Range<usize> = 0x28..0x30;

/// One program header: a part of the file and what it is for.
#[derive(Clone, Copy, Debug)]
struct Part {
    kind: u32,
    from: usize,
    length: usize,
}

fn number<const N: usize>(program: &[u8], at: usize) -> Option<[u8; N]> {
    program.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn word(program: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(number(program, at)?)).ok()
}

fn short(program: &[u8], at: usize) -> Option<usize> {
    Some(u16::from_le_bytes(number(program, at)?).into())
}

fn parts(program: &[u8]) -> Result<Vec<Part>, &'static str> {
    if program.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(ODD);
    }
    let read = || {
        let headers = word(program, 0x20)?;
        let (size, count) = (short(program, 0x36)?, short(program, 0x38)?);
        let part = |n: usize| {
            let at = headers.checked_add(n.checked_mul(size)?)?;
            let part = Part {
                kind: u32::from_le_bytes(number(program, at)?),
                from: word(program, at.checked_add(8)?)?,
                length: word(program, at.checked_add(32)?)?,
            };
            let end = part.from.checked_add(part.length)?;
            (end <= program.len()).then_some(part)
        };
        (0..count).map(part).collect::<Option<Vec<Part>>>()
    };
    read().ok_or(ODD)
}

/// The loader that a program needs; none if it is linked statically.
///
/// # Errors
/// A text, if this is no 64-bit little-endian ELF program.
pub fn interpreter(program: &[u8]) -> Result<Option<String>, &'static str> {
    let parts = parts(program)?;
    let Some(part) = parts.iter().find(|part| part.kind == PT_INTERP) else {
        return Ok(None);
    };
    let name = program.get(part.from..part.from + part.length).ok_or(ODD)?;
    let name = name.strip_suffix(b"\0").unwrap_or(name);
    Ok(Some(String::from_utf8_lossy(name).into_owned()))
}

/// The program without what is only for debuggers: it stays in memory as long as the node runs.
///
/// # Errors
/// As [`interpreter`].
pub fn without_sections(mut program: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    let parts = parts(&program)?;
    let end = parts.iter().map(|part| part.from + part.length).max();
    let headers = word(&program, 0x20)
        .zip(short(&program, 0x36))
        .zip(short(&program, 0x38));
    let headers_end = headers.map(|((at, size), count)| at + size * count);
    program.truncate(end.max(headers_end).ok_or(ODD)?.max(0x40));
    for range in [SECTION_HEADERS, SECTION_COUNT.start..SECTION_COUNT.end + 2] {
        program.get_mut(range).ok_or(ODD)?.fill(0);
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_names_its_loader_or_none() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let loader = interpreter(&own).unwrap();
        assert_eq!(loader.is_some(), !cfg!(target_feature = "crt-static"));
        assert!(loader.is_none_or(|loader| loader.starts_with('/')));
    }

    #[test]
    fn a_program_runs_without_its_sections() {
        use std::os::unix::fs::PermissionsExt as _;
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let size = own.len();
        let bare = without_sections(own).unwrap();
        assert!(bare.len() < size);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, bare).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let out = std::process::Command::new(&path)
            .arg("--list")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(
            text.contains("a_program_runs_without_its_sections"),
            "{out:?}"
        );
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for text in [
            &b""[..],
            b"#!/bin/sh\n",
            b"\x7fELF\x01\x01aaaaaaaaaaaaaa",
            b"\x7fELF\x02\x01",
        ] {
            assert!(interpreter(text).is_err(), "{text:?}");
        }
    }
}
