//! How fast a client may send.

use std::time::{Duration, Instant};

/// How much may come at once before anybody has to wait, in what may come in that time.
const BURST: Duration = Duration::from_secs(1);

/// So much a second, and a second's worth at once. Whoever is over it is to wait, and loses nothing.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: f64,
    /// When all that has come would have come at the allowed speed.
    due: Instant,
}

impl RateLimit {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second: per_second.max(1).into(), due: now }
    }

    /// Counts what has come; how long nothing more is to be taken.
    pub(crate) fn charge(&mut self, amount: usize, now: Instant) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "2^52 bytes do not come at once")]
        let worth = Duration::from_secs_f64(amount as f64 / self.per_second);
        self.due = self.due.max(now) + worth;
        self.due.saturating_duration_since(now + BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_as_much_as_is_allowed() {
        let start = Instant::now();
        let mut pace = RateLimit::new(100, start);
        assert_eq!(pace.charge(100, start), Duration::ZERO);
        assert_eq!(pace.charge(50, start), Duration::from_millis(500));
        // half a second later it may go on, at the allowed speed
        let later = start + Duration::from_millis(500);
        assert_eq!(pace.charge(0, later), Duration::ZERO);
        assert_eq!(pace.charge(10, later), Duration::from_millis(100));
        // silence saves up no more than a second's worth
        let much_later = start + Duration::from_secs(1000);
        assert_eq!(pace.charge(100, much_later), Duration::ZERO);
        assert_eq!(pace.charge(100, much_later), Duration::from_secs(1));
    }
}
