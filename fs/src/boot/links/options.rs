//! What a stock node mounts with (facts §3, §4, §6), where the command line asks for nothing else.

use crate::boot::cmdline::CommandLine;
use crate::boot::nfs::{Options, READ_ONLY, Usual};
use statelite_policy::Dialect;

const fn usual(option: &'static str, why: &'static str) -> Usual {
    Usual { option, why }
}

const STOCK: &str = "the stock boot script mounts with it";
const READS: Usual = usual("ro", STOCK);
const NO_LOCK: Usual = usual("nolock", STOCK);
const TCP: Usual = usual("tcp", STOCK);
const V3: Usual = usual("nfsvers=3", STOCK);
const SIZE: Usual = usual("rsize=32768", STOCK);
const TIME: Usual = usual("timeo=14", STOCK);

/// Image of 2010. That of today is mounted by dracut, with what `root=` says.
const IMAGE_2010: [Usual; 6] = [READS, NO_LOCK, SIZE, TCP, V3, TIME];
const TREES: [Usual; 4] = [READS, NO_LOCK, TCP, V3];
const TREES_2010: [Usual; 3] = [
    READS,
    NO_LOCK,
    usual(
        "nfsvers=3",
        "the script names none, and mount(8) of 2010 took 3",
    ),
];
const STORE: [Usual; 4] = [NO_LOCK, SIZE, TCP, TIME];
const STORE_2010: [Usual; 5] = [NO_LOCK, SIZE, TCP, V3, TIME];

/// Of the image.
#[must_use]
pub fn image(line: &CommandLine) -> Options {
    let usual: &[Usual] = match line.dialect {
        Dialect::Current => &READ_ONLY,
        Dialect::Seed2010 => &IMAGE_2010,
    };
    Options::merge(usual, &[&line.image_options, &line.nfs_options])
}

/// Of the trees.
#[must_use]
pub fn trees(line: &CommandLine) -> Options {
    let usual: &[Usual] = match line.dialect {
        Dialect::Current => &TREES,
        Dialect::Seed2010 => &TREES_2010,
    };
    Options::merge(usual, &[&line.nfs_options])
}

/// Of the persistent store. `MNTOPTS=` replaces all of them.
#[must_use]
pub fn store(line: &CommandLine) -> Options {
    let usual: &[Usual] = match line.dialect {
        _ if !line.mntopts.is_empty() => &[],
        Dialect::Current => &STORE,
        Dialect::Seed2010 => &STORE_2010,
    };
    Options::merge(usual, &[&line.mntopts])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::cmdline::parse;

    /// Versions that are tried, and what else the kernel is told.
    fn told(options: &Options) -> String {
        let pairs = options.for_kernel("4", "10.0.0.1".parse().unwrap());
        let pairs = pairs.into_iter().skip(2);
        let words: Vec<String> = pairs
            .map(|(key, value)| value.map_or(key.clone(), |value| format!("{key}={value}")))
            .collect();
        let ro = if options.read_only { "ro," } else { "" };
        format!("{} {ro}{}", options.versions().join("/"), words.join(","))
    }

    #[test]
    fn a_node_mounts_as_a_stock_one() {
        for (words, wanted) in [
            (
                "",
                [
                    "4.1/3/4.0 ro,nolock,proto=tcp,hard",
                    "3 ro,nolock,tcp",
                    "4.1/3/4.0 nolock,rsize=32768,tcp,timeo=14",
                ],
            ),
            (
                "statelite.dialect=2010",
                [
                    "3 ro,nolock,rsize=32768,tcp,timeo=14",
                    "3 ro,nolock",
                    "3 nolock,rsize=32768,tcp,timeo=14",
                ],
            ),
            (
                "root=nfs:s:/i:ro,vers=4.1 MNTOPTS=soft,vers=4.0 statelite.nfsopts=timeo=9",
                [
                    "4.1 ro,nolock,proto=tcp,hard,timeo=9",
                    "3 ro,nolock,tcp,timeo=9",
                    "4.0 soft",
                ],
            ),
        ] {
            let line = parse(&format!("statelite.mode=links {words}")).unwrap();
            let all = [image(&line), trees(&line), store(&line)];
            assert_eq!(all.each_ref().map(told), wanted, "{words}");
        }
    }
}
