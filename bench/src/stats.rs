//! Middle, ends, and ratios of a handful of samples.

use serde::Serialize;

/// What a list of samples comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// The middle; the mean of the two middle ones for an even count.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// Summarises; `None` for no samples at all.
pub fn summary(samples: &[f64]) -> Option<Summary> {
    let mut sorted: Vec<f64> = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    let median = if sorted.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(upper, *sorted.get(half.checked_sub(1)?)?)
    };
    Some(Summary { median, min, max })
}

/// Ratios of `ours` to `base`, round by round; a round that lacks either has none.
pub fn ratios(ours: &[Option<f64>], base: &[Option<f64>]) -> Vec<f64> {
    ours.iter()
        .zip(base)
        .filter_map(|(ours, base)| Some((*ours)? / (*base)?))
        .filter(|ratio| ratio.is_finite())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let cases: [(&[f64], Option<f64>); 5] = [
            (&[], None),
            (&[7.0], Some(7.0)),
            (&[3.0, 1.0], Some(2.0)),
            (&[9.0, 1.0, 5.0], Some(5.0)),
            (&[4.0, 1.0, 100.0, 2.0], Some(3.0)),
        ];
        for (samples, median) in cases {
            assert_eq!(summary(samples).map(|s| s.median), median, "{samples:?}");
        }
    }

    #[test]
    fn ends_are_kept() {
        assert_eq!(
            summary(&[2.0, 8.0, 4.0]),
            Some(Summary {
                median: 4.0,
                min: 2.0,
                max: 8.0
            })
        );
    }

    #[test]
    fn ratios_pair_the_same_round() {
        let ours = [Some(2.0), None, Some(9.0), Some(1.0)];
        let base = [Some(1.0), Some(1.0), Some(3.0), Some(0.0)];
        assert_eq!(ratios(&ours, &base), [2.0, 3.0]);
    }
}
