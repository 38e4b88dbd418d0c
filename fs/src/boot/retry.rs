//! Trying again, with pauses that spread the nodes of a cluster, and saying so.

use std::time::{Duration, Instant};

/// The first pause; each is twice the one before.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(20);
/// The same trouble is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// However little time is left, a try has this long: it is to fail for a reason of its own.
const LEAST: Duration = Duration::from_secs(1);

/// One thing that is tried until it succeeds.
#[derive(Debug)]
pub struct Retry {
    what: String,
    limit: Option<Duration>,
    since: Instant,
    pause: Duration,
    told: Option<(String, Instant)>,
}

/// The time is over.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {error} (given up after {seconds} s)")]
pub struct GivenUp {
    what: String,
    error: String,
    seconds: u64,
}

impl Retry {
    /// Tries `what`, for `limit` at most.
    pub fn new(what: &str, limit: Option<Duration>) -> Retry {
        Retry {
            what: what.to_owned(),
            limit,
            since: Instant::now(),
            pause: FIRST,
            told: None,
        }
    }

    /// The time that a try which begins now may take; none without a limit.
    pub fn left(&self) -> Option<Duration> {
        let limit = self.limit?;
        Some(limit.saturating_sub(self.since.elapsed()).max(LEAST))
    }

    /// Tells of a failure, and waits.
    ///
    /// # Errors
    /// [`GivenUp`], with the last failure, when the next try would come too late.
    pub fn failed(&mut self, error: &anyhow::Error) -> Result<(), GivenUp> {
        let error = format!("{error:#}");
        let waited = self.since.elapsed();
        let pause = self.pause.mul_f64(0.5 + fastrand::f64());
        if self.limit.is_some_and(|limit| waited + pause > limit) {
            return Err(GivenUp {
                what: self.what.clone(),
                error,
                seconds: waited.as_secs(),
            });
        }
        let news = match &self.told {
            Some((last, at)) => *last != error || at.elapsed() >= TELL_AGAIN,
            None => true,
        };
        if news {
            tracing::warn!(
                "waiting for {} since {} s: {error}; trying again",
                self.what,
                waited.as_secs()
            );
            self.told = Some((error, Instant::now()));
        }
        std::thread::sleep(pause);
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(())
    }

    /// Tells that it has worked, if there was trouble before.
    pub fn succeeded(&self) {
        if self.told.is_some() {
            tracing::warn!(
                "{} is there after {} s",
                self.what,
                self.since.elapsed().as_secs()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_has_what_is_left_but_a_second_at_least() {
        assert_eq!(Retry::new("x", None).left(), None);
        let minute = Duration::from_secs(60);
        let left = Retry::new("x", Some(minute)).left().unwrap();
        assert!(left <= minute && left > LEAST);
        assert_eq!(Retry::new("x", Some(Duration::ZERO)).left(), Some(LEAST));
    }
}
