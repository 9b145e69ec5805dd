//! How a meter batches and repeats.

use std::time::Duration;

use protocol::record::MAX_BATCH;
use protocol::unit::Moment;
use rand::CryptoRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::MeterError;

/// How a meter batches and repeats.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Slots a batch, 1 to 192; batches begin at multiples of it.
    #[serde(deserialize_with = "batch_slots")]
    pub batch_slots: u32,
    /// The pause before a message without a receipt is sent again for the first time. It doubles each time.
    #[serde(with = "humantime_serde")]
    pub resend_first: Duration,
    /// The longest pause between repeats.
    #[serde(with = "humantime_serde")]
    pub resend_last: Duration,
    /// How long a record stays in the outbox at most.
    #[serde(deserialize_with = "humantime_serde::deserialize", serialize_with = "whole_days")]
    pub retention: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_slots: 4,
            resend_first: Duration::from_secs(5),
            resend_last: Duration::from_hours(1),
            retention: Duration::from_hours(92 * 24),
        }
    }
}

fn batch_slots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let slots = u32::deserialize(deserializer)?;
    let fits = (1..=MAX_BATCH).contains(&(slots as usize));
    if fits { Ok(slots) } else { Err(D::Error::custom(MeterError::BatchSlots(slots))) }
}

/// Writes whole days as days, where months and years have no fixed length.
fn whole_days<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let days = duration.as_secs() / 86_400;
    if *duration == Duration::from_secs(days * 86_400) {
        serializer.serialize_str(&format!("{days}d"))
    } else {
        humantime_serde::serialize(duration, serializer)
    }
}

/// When a message is to be sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    pub(super) due: Moment,
    tries: u32,
}

impl Repeat {
    /// A message that is due at `now`.
    pub(super) fn at(now: Moment) -> Self {
        Self { due: now, tries: 0 }
    }

    /// Keeps the pause as long as it was meant to be when the clock goes back by so many milliseconds.
    pub(super) fn set_back(&mut self, by: u64) {
        self.due = Moment(self.due.0.saturating_sub(by));
    }

    /// Notes that the message was sent: the next pause is twice as long, with a jitter of a quarter.
    pub(super) fn sent<R: CryptoRng>(&mut self, now: Moment, pace: &Pace, rng: &mut R) {
        let pause = millis(pace.resend_first).saturating_mul(1 << self.tries.min(40));
        let pause = pause.min(millis(pace.resend_last)).max(1);
        self.due = now.plus(pause - pause / 4 + rng.next_u64() % (pause / 2 + 1));
        self.tries += 1;
    }
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    /// The pause doubles from the first to the last, give or take a quarter, and never overflows.
    #[test]
    fn pauses_double_and_are_bounded() {
        let (start, mut rng) = (Moment(1_000_000_000), ChaCha20Rng::seed_from_u64(1));
        let mut repeat = Repeat::at(start);
        for tries in 0..100_u32 {
            repeat.sent(start, &Pace::default(), &mut rng);
            let (pause, wait) = (repeat.due.since(start), (5_000_u64 << tries.min(20)).min(3_600_000));
            assert!((wait - wait / 4..=wait + wait / 4).contains(&pause), "{pause} ms after {tries} tries");
        }
    }
}
