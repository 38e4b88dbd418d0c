//! Whether a program runs without libraries.

/// `PT_INTERP`: the program names a loader.
const PT_INTERP: u32 = 3;

/// The loader that a program needs; none if it is linked statically.
///
/// # Errors
/// A text, if this is no 64-bit little-endian ELF program.
pub fn interpreter(program: &[u8]) -> Result<Option<String>, &'static str> {
    const ODD: &str = "not a 64-bit ELF program";
    if program.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(ODD);
    }
    let u16_at = |at: usize| {
        let bytes = program.get(at..at.checked_add(2)?)?;
        Some(usize::from(u16::from_le_bytes(bytes.try_into().ok()?)))
    };
    let u64_at = |at: usize| {
        let bytes = program.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let headers = u64_at(0x20).ok_or(ODD)?;
    let size = u16_at(0x36).ok_or(ODD)?;
    let count = u16_at(0x38).ok_or(ODD)?;
    for n in 0..count {
        let at = n
            .checked_mul(size)
            .and_then(|offset| headers.checked_add(offset))
            .ok_or(ODD)?;
        let kind = program.get(at..at.saturating_add(4)).ok_or(ODD)?;
        if kind != PT_INTERP.to_le_bytes() {
            continue;
        }
        let from = u64_at(at + 8).ok_or(ODD)?;
        let length = u64_at(at + 32).ok_or(ODD)?;
        let name = from
            .checked_add(length)
            .and_then(|end| program.get(from..end))
            .ok_or(ODD)?;
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        return Ok(Some(String::from_utf8_lossy(name).into_owned()));
    }
    Ok(None)
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
