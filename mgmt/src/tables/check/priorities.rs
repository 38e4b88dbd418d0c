//! The order of litetree and policy.

use super::{Facts, Sink};
use crate::tables::schema::{LITETREE, POLICY};
use std::collections::HashMap;

/// A decimal number: optional sign, digits, optional fraction; as the policy of a node reads it.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number
        .filter(|_| all(whole) && all(fraction))
        .map(|number| number + 0.0) // -0 is 0
}

pub(super) fn number(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for table in [&LITETREE, &POLICY] {
        for (row, text) in facts.values(table, "priority") {
            if decimal(text).is_none() {
                let reason = format_args!("\"{text}\" is not a number");
                sink.report(table, row, "priority", reason);
            }
        }
    }
}

/// 1 and 1.0 are two keys and one place in the order. (The same text twice is a duplicate key.)
pub(super) fn equal(facts: &Facts<'_>, sink: &mut Sink<'_>) {
    for table in [&LITETREE, &POLICY] {
        let mut seen: HashMap<u64, &str> = HashMap::new();
        for (row, text) in facts.values(table, "priority") {
            let Some(number) = decimal(text) else {
                continue;
            };
            let first = *seen.entry(number.to_bits()).or_insert(text);
            if first != text {
                let reason = format_args!(
                    "the row {first} has the same priority: which of them comes first would be chance"
                );
                sink.report(table, row, "priority", reason);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn decimals() {
        assert_eq!(["1", "01", "1.0"].map(decimal), [Some(1.0); 3]);
        assert_eq!(
            decimal("-0").map(f64::to_bits),
            decimal("0").map(f64::to_bits)
        );
        for text in ["", "one", "1e3", "1.", ".5", "inf", " 1", "+1", "1,5"] {
            assert_eq!(decimal(text), None, "{text:?}");
        }
    }
}
