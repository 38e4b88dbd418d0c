//! Prints how long a litefile table of 100,000 rows takes to build, and how long a look-up takes for two table sizes.
//!
//! `cargo run --release -p statelite-policy --example build_100k`

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use statelite_policy::{Dialect, NodeIdentity, Policy, Refusals, Tables, build};

/// Rows as tabdump prints them: files in directories of 100, every eleventh row a directory.
///
/// Row `n` of the file is row `n * step` of the list: a step other than 1 (coprime to `rows`) scatters them.
fn litefile(rows: usize, step: usize) -> String {
    let mut text = String::from("#image,file,options,comments,disable\n");
    for row in (0..rows).map(|row| row * step % rows) {
        let (image, option) = if row % 3 == 0 {
            ("compute", "\"persistent\"")
        } else {
            ("ALL", "")
        };
        let slash = if row % 11 == 0 { "/" } else { "" };
        let (a, b, c) = (row / 10_000, row / 100 % 100, row % 100);
        let _ = writeln!(
            text,
            "\"{image}\",\"/opt/part{a}/directory{b}/file{c}{slash}\",{option},,"
        );
    }
    text
}

fn policy(text: &str) -> Result<Policy, Refusals> {
    let node = NodeIdentity {
        name: "cn1".into(),
        image: "compute".into(),
        ..NodeIdentity::default()
    };
    let tables = Tables {
        litefile: Some(("litefile.csv", text.as_bytes())),
        ..Tables::default()
    };
    build(&tables, &node, Dialect::Current)
}

fn main() -> Result<(), Refusals> {
    for (order, step) in [("in order", 1), ("scattered", 7_919)] {
        let text = litefile(100_000, step);
        let mut times = Vec::new();
        for _ in 0..15 {
            let start = Instant::now();
            let built = policy(black_box(&text))?;
            times.push(start.elapsed());
            black_box(built);
        }
        times.sort();
        if let (Some(best), Some(middle), Some(worst)) = (times.first(), times.get(7), times.last())
        {
            println!(
                "100,000 rows {order}: median {middle:.1?} of 15 builds ({best:.1?} to {worst:.1?})"
            );
        }
    }

    for rows in [1_000, 100_000] {
        let built = policy(&litefile(rows, 1))?;
        let start = Instant::now();
        let rounds: u32 = 1_000_000;
        for round in 0..rounds {
            let path: &[u8] = if round % 2 == 0 {
                b"/opt/part0/directory5/file7/x"
            } else {
                b"/usr/lib/libc.so.6"
            };
            black_box(built.tree.governing(black_box(path)));
        }
        println!("{rows} rows: {:?} per look-up", start.elapsed() / rounds);
    }
    Ok(())
}
