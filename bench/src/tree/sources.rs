//! The generated part of the tree: a deep path, files for git, a C project.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::layout;
use crate::workload::data::Numbers;

/// Files of the git checkout: directories times files in each.
const GIT_DIRS: u64 = 100;
const GIT_FILES: u64 = 40;

/// C files.
const C_FILES: u64 = 41;

/// Compiles the first N files into O and links them.
const MAKEFILE: &str = "\
N = 41
OBJECTS := $(shell seq -f '$(O)/part%g.o' 1 $(N))
$(O)/all.a: $(OBJECTS)
\t$(AR) rc $@ $^
$(O)/%.o: %.c common.h | $(O)
\t$(CC) -O1 -pipe -Wall -c -o $@ $<
$(O):
\tmkdir -p $@
";

const COMMON: &str = "\
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
struct part { int number; char name[32]; double weight; };
";

/// Makes everything below `bench/` but the git repository itself and the large file.
pub fn generate(root: &Path) -> Result<()> {
    for dir in [
        layout::WORK_DIR,
        layout::DEEP_DIR,
        layout::C_DIR,
        layout::GIT_DIR,
    ] {
        make_dir(&root.join(dir))?;
    }
    write(&root.join(layout::DEEP_FILE), &words(39_000, 1))?;
    write(&root.join(layout::C_DIR).join("Makefile"), MAKEFILE)?;
    write(&root.join(layout::C_DIR).join("common.h"), COMMON)?;
    for number in 1..=C_FILES {
        write(
            &root.join(layout::C_DIR).join(format!("part{number}.c")),
            &c_file(number)?,
        )?;
    }
    for dir in 0..GIT_DIRS {
        let dir_path = root.join(layout::GIT_DIR).join(format!("module{dir:02}"));
        make_dir(&dir_path)?;
        for file in 0..GIT_FILES {
            let seed = dir * GIT_FILES + file + 2;
            write(
                &dir_path.join(format!("source{file:02}.txt")),
                &words(200 + (seed * 37 % 4000) as usize, seed),
            )?;
        }
    }
    Ok(())
}

fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))
}

/// Writes a file dated yesterday: git reads files again that are as young as its index.
fn write(path: &Path, text: &str) -> Result<()> {
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    fs::write(path, text)
        .and_then(|()| {
            File::options()
                .write(true)
                .open(path)?
                .set_modified(yesterday)
        })
        .with_context(|| format!("writing {}", path.display()))
}

/// `size` bytes of words and lines.
fn words(size: usize, seed: u64) -> String {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut text = String::with_capacity(size + 16);
    while text.len() < size {
        let end = if numbers.draw().is_multiple_of(9) {
            '\n'
        } else {
            ' '
        };
        for letter in numbers
            .draw()
            .to_le_bytes()
            .into_iter()
            .take(3 + (seed % 5) as usize)
        {
            text.push(char::from(b'a' + letter % 26));
        }
        text.push(end);
    }
    text.truncate(size);
    text
}

fn c_file(number: u64) -> Result<String> {
    let mut text = String::from("#include \"common.h\"\n");
    for function in 0..24 {
        write!(
            text,
            "int part{number}_f{function}(struct part *p, int n) {{\n\
             \tint sum = {function};\n\
             \tfor (int i = 0; i < n; i++) {{\n\
             \t\tif (isalpha(p[i].name[i % 32])) sum += p[i].number * {number} + (int)strlen(p[i].name);\n\
             \t\telse sum ^= snprintf(p[i].name, sizeof p[i].name, \"%d-%d\", i, sum & 1023);\n\
             \t\tp[i].weight = p[i].weight * 0.5 + sum;\n\
             \t}}\n\
             \treturn sum;\n}}\n"
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_paths_are_as_deep_as_the_rows_say() {
        assert_eq!(layout::DEEP_FILE.split('/').count(), 8);
        assert!(layout::DEEP_FILE.starts_with(layout::DEEP_DIR));
    }

    #[test]
    fn text_has_the_size_asked_for_and_differs_by_seed() {
        assert_eq!(words(39_000, 1).len(), 39_000);
        assert_ne!(words(100, 2), words(100, 3));
    }

    #[test]
    fn the_whole_is_generated() {
        let root = tempfile::tempdir().unwrap();
        generate(root.path()).unwrap();
        assert!(root.path().join(layout::WORK_DIR).is_dir());
        assert_eq!(
            fs::read_dir(root.path().join(layout::C_DIR))
                .unwrap()
                .count(),
            43
        );
        assert_eq!(
            fs::read_dir(root.path().join(layout::GIT_DIR))
                .unwrap()
                .count(),
            100
        );
        assert_eq!(
            fs::metadata(root.path().join(layout::DEEP_FILE))
                .unwrap()
                .len(),
            39_000
        );
    }
}
