//! Runs the conformance suites on bare stores and on a mount over them, and fails on what only the mount fails.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use statelite_tests::compare::{Comparison, Results, compare};
use statelite_tests::mount::Passthrough;
use statelite_tests::suite::{Amount, Setting, Suite};
use statelite_tests::target::{Options, PLACES, Place, StoreKind, Stores, Target, TargetKind};

/// Conformance of mounted directories, compared with the stores they stand on. Needs root.
#[derive(Debug, Parser)]
struct Args {
    /// A few minutes: 20,000 fsx operations, 2 seeds, the short list of stressors (the default).
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// What acceptance asks for: 1,000,000 fsx operations, 3 seeds, the whole class of stressors, all combinations.
    #[arg(long)]
    full: bool,
    /// Suites to run.
    #[arg(long, value_delimiter = ',', default_values = ["pjdfstest", "fsx", "stress"])]
    suite: Vec<Suite>,
    /// Where in the merged tree.
    #[arg(long = "where", value_delimiter = ',', default_values = ["volatile", "persistent", "local"])]
    places: Vec<Place>,
    /// Passthrough settings; with --threads, every pair. Quick without either: auto with 4 threads, off with 1.
    #[arg(long, value_delimiter = ',')]
    passthrough: Vec<Passthrough>,
    /// Numbers of daemon threads.
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,
    /// What to mount over the stores.
    #[arg(long, default_value = "statelitefs")]
    target: TargetKind,
    /// Operations of each fsx, instead of the chosen amount.
    #[arg(long)]
    fsx_ops: Option<u64>,
    /// Number of fsx seeds, instead of the chosen amount.
    #[arg(long)]
    fsx_seeds: Option<u64>,
    /// Only the bare stores: list what fails on them.
    #[arg(long)]
    stores_only: bool,
}

impl Args {
    fn amount(&self) -> Amount {
        let mut amount = if self.full {
            Amount::full()
        } else {
            Amount::quick()
        };
        amount.fsx_ops = self.fsx_ops.unwrap_or(amount.fsx_ops);
        amount.fsx_seeds = self.fsx_seeds.unwrap_or(amount.fsx_seeds);
        amount
    }

    fn mounts(&self) -> Vec<(Passthrough, usize)> {
        if self.target == TargetKind::Overlay {
            // It has neither setting.
            return vec![(Passthrough::Auto, 1)];
        }
        if !self.full && self.passthrough.is_empty() && self.threads.is_empty() {
            return vec![(Passthrough::Auto, 4), (Passthrough::Off, 1)];
        }
        let passthrough = or(&self.passthrough, &[Passthrough::Auto, Passthrough::Off]);
        let threads = or(&self.threads, &[1, 4]);
        passthrough
            .iter()
            .flat_map(|kind| threads.iter().map(|count| (*kind, *count)))
            .collect()
    }
}

fn or<T: Copy>(given: &[T], default: &[T]) -> Vec<T> {
    if given.is_empty() {
        default.to_vec()
    } else {
        given.to_vec()
    }
}

/// Counts over all combinations.
#[derive(Debug, Default)]
struct Total {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Total {
    fn add(&mut self, comparison: &Comparison) {
        self.passed += comparison.passed;
        self.failed += comparison.worse.len();
        self.skipped += comparison.skipped + comparison.same.len();
    }
}

/// A run: the stores, what was found on them, and the counts.
#[derive(Debug)]
struct Run {
    args: Args,
    stores: Stores,
    setting: Setting,
    baseline: BTreeMap<(StoreKind, &'static str), Results>,
    total: Total,
}

impl Run {
    fn new(args: Args) -> Result<Self> {
        let stores = Stores::new().context("scratch stores")?;
        let setting = Setting {
            amount: args.amount(),
            secondary: stores.secondary().to_path_buf(),
            room: stores.room().to_path_buf(),
        };
        Ok(Self {
            args,
            stores,
            setting,
            baseline: BTreeMap::new(),
            total: Total::default(),
        })
    }

    fn all(&mut self) -> Result<()> {
        self.bare_stores()?;
        if self.args.stores_only {
            return Ok(());
        }
        for (passthrough, threads) in self.args.mounts() {
            let word = if passthrough == Passthrough::Auto {
                "auto"
            } else {
                "off"
            };
            let name = format!("{word}-{threads}");
            let lifetime = if self.args.full {
                Duration::from_secs(4 * 3600)
            } else {
                Duration::from_secs(1800)
            };
            let options = Options {
                passthrough,
                threads,
                lifetime,
            };
            match Target::start(self.args.target, &self.stores, &name, options) {
                Ok(target) => self.mounted(&target, &name)?,
                Err(error) => {
                    println!("{name}: FAILED to mount: {error:#}");
                    self.total.failed += 1;
                }
            }
        }
        Ok(())
    }

    /// The bare stores. A suite that judges by itself is run on them only when it has failed in the mount.
    fn bare_stores(&mut self) -> Result<()> {
        for kind in [StoreKind::Tmpfs, StoreKind::Ext4] {
            if !self.args.places.iter().any(|place| place.kind() == kind) {
                continue;
            }
            for suite in self.args.suite.clone() {
                if self.args.stores_only || suite != Suite::Fsx {
                    self.bare(kind, suite)?;
                }
            }
        }
        Ok(())
    }

    /// One suite on a bare store. What fails here is only told: it excuses the mount, and is no success either.
    fn bare(&mut self, kind: StoreKind, suite: Suite) -> Result<()> {
        let results = suite.run(&self.setting, &self.stores.bare(kind)?)?;
        let (passed, failed, skipped) = results.counts();
        let seconds = results.elapsed.as_secs_f64();
        println!(
            "bare {kind:?} {}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.1} s",
            suite.name()
        );
        for (name, why) in results.failed() {
            println!("    fails on the store: {name}: {}", indent(why));
        }
        if self.args.stores_only {
            self.total.passed += passed;
            self.total.failed += failed;
            self.total.skipped += skipped;
        }
        self.baseline.insert((kind, suite.name()), results);
        Ok(())
    }

    fn mounted(&mut self, target: &Target, name: &str) -> Result<()> {
        let places = self.args.places.clone();
        for place in PLACES.into_iter().filter(|place| places.contains(place)) {
            for suite in self.args.suite.clone() {
                let label = format!("{name} {} {}", place.option(), suite.name());
                let results = suite.run(&self.setting, &target.dir(place)?)?;
                let known = self.baseline.contains_key(&(place.kind(), suite.name()));
                if !known && results.counts().1 > 0 {
                    self.bare(place.kind(), suite)?;
                }
                let comparison = match self.baseline.get(&(place.kind(), suite.name())) {
                    Some(store) => compare(store, &results),
                    None => compare(&Results::default(), &results),
                };
                report(&label, &results, &comparison);
                self.total.add(&comparison);
                if results.stuck {
                    println!(
                        "{label}: hangs; the mount is aborted and its remaining suites count as one failure"
                    );
                    target.abort();
                    self.total.failed += 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn report(label: &str, results: &Results, comparison: &Comparison) {
    let seconds = results.elapsed.as_secs_f64();
    println!(
        "{label}: {} passed, {} failed only here, {} fail on the store too, {} skipped, {seconds:.1} s",
        comparison.passed,
        comparison.worse.len(),
        comparison.same.len(),
        comparison.skipped,
    );
    for (why, names) in by_reason(&comparison.worse) {
        println!("    FAILED {}: {}", names.join(", "), indent(why));
    }
    for (why, names) in by_reason(&comparison.lacking) {
        println!("    lacks {}: {}", names.join(", "), indent(why));
    }
    if !comparison.same.is_empty() {
        println!("    as on the store: {}", comparison.same.join(", "));
    }
}

/// One reason often has many cases.
fn by_reason(cases: &[(String, String)]) -> BTreeMap<&str, Vec<&str>> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, why) in cases {
        reasons.entry(why).or_default().push(name);
    }
    reasons
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n        ")
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if !statelite_tests::root_or_skip("conformance") {
        println!("0 passed, 0 failed, 1 skipped");
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let mut run = Run::new(args)?;
    run.all()?;
    println!("took {:.0} s", start.elapsed().as_secs_f64());
    println!(
        "{} passed, {} failed, {} skipped",
        run.total.passed, run.total.failed, run.total.skipped
    );
    Ok(if run.total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
