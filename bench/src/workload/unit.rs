//! What is counted: phases, units, amounts.

use std::fmt;

use serde::Serialize;

use crate::tree::Scale;

/// When within one visit to a freshly mounted target a run happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The first run after mounting: nothing of the target is cached, all of the lower directory is.
    First,
    /// The second and third run, the better of the two: noise only ever adds time.
    Warm,
    /// After dropping every cache of the machine.
    Cold,
}

impl Phase {
    /// How often the row is run in this phase.
    pub fn repetitions(self) -> usize {
        match self {
            Phase::First | Phase::Cold => 1,
            Phase::Warm => 2,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::First => "first",
            Phase::Warm => "warm",
            Phase::Cold => "cold",
        })
    }
}

/// What a row's number means. The amount is operations or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds for the whole run.
    Seconds,
    /// Microseconds for one operation.
    MicrosPerOp,
    /// Thousand operations a second.
    KiloOps,
    /// Million bytes a second.
    Megabytes,
    /// MiB of memory: the row prints the number itself.
    Mib,
}

impl Unit {
    /// As the table says it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::MicrosPerOp => "µs",
            Unit::KiloOps => "k/s",
            Unit::Megabytes => "MB/s",
            Unit::Mib => "MiB",
        }
    }

    /// Whether more is better.
    pub fn higher_is_better(self) -> bool {
        matches!(self, Unit::KiloOps | Unit::Megabytes)
    }

    /// The row's number, from what a run of `amount` found (seconds, for all but [`Unit::Mib`]).
    pub fn value(self, found: f64, amount: u64) -> f64 {
        let amount = amount as f64;
        match self {
            Unit::Seconds | Unit::Mib => found,
            Unit::MicrosPerOp => found * 1e6 / amount,
            Unit::KiloOps => amount / found / 1e3,
            Unit::Megabytes => amount / found / 1e6,
        }
    }

    /// The better one of several values.
    pub fn best(self, values: &[f64]) -> Option<f64> {
        let better = if self.higher_is_better() {
            f64::max
        } else {
            f64::min
        };
        values.iter().copied().reduce(better)
    }
}

/// How much one run of a row does; the numbers are in [`Scale`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// One program, start to end.
    Once,
    /// Operations on existing or absent paths.
    Lookups,
    /// Files made.
    Creates,
    /// 4 KiB pieces read; a tenth of them from the disk.
    Pieces,
    /// Bytes of the large file.
    Data,
    /// Bytes written.
    Written,
}

impl Amount {
    /// Operations or bytes.
    pub fn of(self, scale: &Scale, phase: Phase) -> u64 {
        match self {
            Amount::Once => 1,
            Amount::Lookups => scale.lookups,
            Amount::Creates => scale.creates,
            Amount::Pieces if phase == Phase::Cold => scale.pieces / 10,
            Amount::Pieces => scale.pieces,
            Amount::Data => scale.data_mib << 20,
            Amount::Written => scale.write_mib << 20,
        }
    }
}
