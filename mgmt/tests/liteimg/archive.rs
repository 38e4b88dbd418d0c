//! A reader of packed images.

use std::fs::File;
use std::path::Path;

/// The names in an archive, in their order.
pub fn names(path: &Path) -> Vec<String> {
    let mut input: Box<dyn std::io::Read> =
        Box::new(flate2::read::GzDecoder::new(File::open(path).unwrap()));
    let mut names = Vec::new();
    loop {
        let entry = cpio::newc::Reader::new(input).unwrap();
        if entry.entry().is_trailer() {
            return names;
        }
        names.push(entry.entry().name().to_owned());
        input = entry.finish().unwrap();
    }
}
