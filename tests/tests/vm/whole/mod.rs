//! Tests that need every processor, since they run several machines at once. The name puts them after the others: one
//! that waits for all processors keeps those free that it has got.

mod failures;
mod power;
