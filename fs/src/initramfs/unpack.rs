//! Reading compressed kernel modules. They are stored unpacked: the archive is compressed as a
//! whole, and not every kernel can unpack a module.

use std::io::Read as _;

/// The largest module that is unpacked, in bytes; the largest real ones have some tens of MiB.
const MODULE_MAX: u64 = 512 << 20;

/// The name of a module file without the ending of its compression.
pub fn plain_name(name: &str) -> &str {
    [".xz", ".zst", ".gz"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name)
}

/// The content of the file `name`, unpacked as its ending says.
///
/// # Errors
/// Damaged content, or a module of unreasonable size.
pub fn unpack(name: &str, data: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let read = if name.ends_with(".xz") {
        lzma_rust2::XzReader::new(data.as_slice(), true)
            .take(MODULE_MAX)
            .read_to_end(&mut plain)?
    } else if name.ends_with(".zst") {
        ruzstd::decoding::StreamingDecoder::new(data.as_slice())
            .map_err(|e| anyhow::anyhow!("{e}"))?
            .take(MODULE_MAX)
            .read_to_end(&mut plain)?
    } else if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(data.as_slice())
            .take(MODULE_MAX)
            .read_to_end(&mut plain)?
    } else {
        return Ok(data);
    };
    if read as u64 >= MODULE_MAX {
        anyhow::bail!("more than {MODULE_MAX} bytes");
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn every_compression_gives_the_module_back() {
        let module = b"\x7fELF module ".repeat(1000);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(&module).unwrap();
        let mut xz =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(6)).unwrap();
        xz.write_all(&module).unwrap();
        let zst = ruzstd::encoding::compress_to_vec(
            module.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        for (name, packed) in [
            ("a.ko", module.clone()),
            ("a.ko.gz", gz.finish().unwrap()),
            ("a.ko.xz", xz.finish().unwrap()),
            ("a.ko.zst", zst),
        ] {
            assert_eq!(plain_name(name), "a.ko");
            assert!(unpack(name, packed).unwrap() == module, "{name}");
        }
    }

    #[test]
    fn damaged_modules_are_refused() {
        for name in ["a.ko.gz", "a.ko.xz", "a.ko.zst"] {
            assert!(unpack(name, b"not compressed".to_vec()).is_err(), "{name}");
        }
    }
}
