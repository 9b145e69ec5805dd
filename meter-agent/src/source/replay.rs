//! A replay: readings that are known already, at any pace, and how sums of energies continue the last register.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotLength, Timestamp};
use tokio::time::Instant;

use crate::reading::Reading;

/// Readings given at once by a replay without a speed.
const GROUP: usize = 64;

/// Readings that are replayed.
#[derive(Debug)]
pub struct Replay {
    readings: VecDeque<Reading>,
    pace: Pace,
    base: Base,
    due: Instant,
}

/// Where the registers of a replay come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Base {
    /// They are the meter's.
    Measured,
    /// They are sums of energies, above a register that the configuration states.
    Stated,
    /// They are sums of energies, and continue the last register.
    Open,
}

/// Why a replay of energies does not continue the last register.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// Nobody knows what was used between.
    #[error(
        "the data begin at slot {first}, {slots} slots after the last reading. The energy between is unknown. Add it to the \
         data, or set [source.csv] register = WH to the register at the beginning of the data"
    )]
    Apart {
        /// The data's first slot.
        first: Slot,
        /// How many slots are between.
        slots: u32,
    },
    /// Another register than the last one.
    #[error(
        "with [source.csv] register, the register of slot {at} is {by} Wh {side} the last reading of that slot. Leave out \
         `register`: the data then continue the last reading"
    )]
    Other {
        /// The slot.
        at: Slot,
        /// By how many watt-hours.
        by: u64,
        /// `above` or `below`.
        side: &'static str,
    },
    /// More energy between than slots can carry, or less than none.
    #[error(
        "with [source.csv] register, the data begin {by} Wh {side} the last reading, {slots} slots before. Expected 0 to {most} \
         Wh above it. Set `register` to the register in Wh at the beginning of the data"
    )]
    Between {
        /// By how many watt-hours.
        by: u64,
        /// `above` or `below`.
        side: &'static str,
        /// How many slots are between.
        slots: u32,
        /// What they can carry in watt-hours.
        most: u64,
    },
    /// A register beyond the largest.
    #[error("with the energies of the data, the register would exceed the largest that is possible")]
    Beyond,
}

/// How fast readings are replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    /// As fast as receipts allow.
    Receipts,
    /// One at each end of a pause.
    Every(Duration),
    /// Each at its own time.
    Own(SlotLength),
}

impl Replay {
    /// Replays readings at so many slots a second; 0 is as fast as receipts allow.
    pub fn new(readings: Vec<Reading>, slots_per_second: f64) -> Self {
        let pace = if slots_per_second > 0.0 {
            Pace::Every(Duration::from_secs_f64(slots_per_second.recip()))
        } else {
            Pace::Receipts
        };
        Self { readings: readings.into(), pace, base: Base::Measured, due: Instant::now() }
    }

    /// Replays readings, each at its own time; those of the past at once.
    pub fn at_own_time(readings: Vec<Reading>, slot: SlotLength) -> Self {
        Self { pace: Pace::Own(slot), ..Self::new(readings, 0.0) }
    }

    /// The replay, with registers that are not the meter's.
    #[must_use]
    pub fn based(self, base: Base) -> Self {
        Self { base, ..self }
    }

    /// Whether the registers are the meter's, and not sums of energies.
    pub fn is_measured(&self) -> bool {
        self.base == Base::Measured
    }

    /// Whether nothing but receipts holds it back.
    pub fn waits_for_receipts(&self) -> bool {
        self.pace == Pace::Receipts
    }

    /// Whether there is no reading any more.
    pub fn is_over(&self) -> bool {
        self.readings.is_empty()
    }

    /// Skips what is not after the last reading, whose register sums of energies continue; gives how many were skipped.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if sums of energies do not continue it.
    pub fn resume(&mut self, last: Slot, register: Register) -> Result<u64, ReplayError> {
        self.join(last, register.watt_hours())?;
        let mut skipped = 0;
        while self.readings.pop_front_if(|reading| reading.at <= last).is_some() {
            skipped += 1;
        }
        Ok(skipped)
    }

    fn join(&mut self, at: Slot, last: u64) -> Result<(), ReplayError> {
        let side = |here: u64| if here > last { "above" } else { "below" };
        let same = self.readings.iter().find(|reading| reading.at == at);
        let same = same.map(|reading| reading.register.watt_hours());
        let later = self.readings.front().filter(|first| first.at > at);
        match (self.base, same, later) {
            (Base::Stated, Some(here), _) if here != last => {
                Err(ReplayError::Other { at, by: here.abs_diff(last), side: side(here) })
            }
            (Base::Stated, None, Some(first)) => {
                let (here, slots) = (first.register.watt_hours(), first.at.0 - at.0);
                let most = u64::from(slots) * MAX_SLOT_WH.unsigned_abs();
                if (last..=last.saturating_add(most)).contains(&here) {
                    return Ok(());
                }
                Err(ReplayError::Between { by: here.abs_diff(last), side: side(here), slots, most })
            }
            (Base::Open, None, Some(first)) => {
                Err(ReplayError::Apart { first: first.at, slots: first.at.0 - at.0 })
            }
            (Base::Open, Some(here), _) => {
                for reading in self.readings.iter_mut().filter(|reading| reading.at >= at) {
                    let register = last.checked_add(reading.register.watt_hours() - here);
                    let register = register.and_then(|register| Register::try_from(register).ok());
                    reading.register = register.ok_or(ReplayError::Beyond)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The next readings; pending for ever after the last one. Cancel-safe.
    pub async fn next(&mut self) -> Vec<Reading> {
        let Some(reading) = self.readings.front() else { return std::future::pending().await };
        let group = match self.pace {
            Pace::Receipts => GROUP.min(self.readings.len()),
            Pace::Every(pause) => {
                tokio::time::sleep_until(self.due).await;
                self.due += pause;
                1
            }
            Pace::Own(slot) => {
                let start = slot.start_of(reading.at);
                // a long wait in short ones: the time of day may be set meanwhile
                loop {
                    let left = start.since(runtime::now::<Timestamp>());
                    if left == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(left.min(60))).await;
                }
                1
            }
        };
        self.readings.drain(..group).collect()
    }
}
