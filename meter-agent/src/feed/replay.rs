//! A replay: readings that there are already, at any pace, and how sums of energies go on from what was taken before.

use protocol::unit::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotLength};
use tokio::time::Instant;

use super::Fed;
use super::looked::Looked;
use crate::meter::Reading;
use crate::register::Boundary;

/// Readings taken at once by a replay without a speed.
const GROUP: usize = 64;

#[derive(Debug)]
pub(super) struct Replay {
    pub(super) readings: VecDeque<Reading>,
    pub(super) pace: Pace,
    pub(super) base: Base,
    pub(super) due: Instant,
    pub(super) looked: Option<Box<Looked>>,
}

/// Where the registers of a replay come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Base {
    /// They are the meter's.
    Measured,
    /// They are sums of energies, above a register that somebody said.
    Said,
    /// They are sums of energies, and go on from the last register that was taken.
    Open,
}

/// Why a replay of energies does not go on from what was taken before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// Nobody knows what was used between.
    #[error(
        "the data begin at slot {first}, and the last register that was taken is of slot {last}: what was used in the {} slots \
         between is not in them. Add it to the data; or say [source.csv] register = WH, what the register was when the data \
         begin", first.0 - last.0
    )]
    Apart {
        /// The slot of the last register that was taken.
        last: Slot,
        /// The data's first slot.
        first: Slot,
    },
    /// Another register than the one that was taken.
    #[error(
        "by [source.csv] register, the register of slot {at} is {by} Wh {side} the one that was taken for it. Leave `register` out, \
         and the data go on from what was taken"
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
        "by [source.csv] register, the data begin {by} Wh {side} the last register that was taken, {slots} slots before, which is \
         not from 0 to the {most} Wh that they can carry: it is what the register was in Wh when the data begin"
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
    #[error("with the energies of the data, the register would pass the largest there can be")]
    Beyond,
}

/// How fast readings are replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// As fast as receipts allow.
    Receipts,
    /// One a so often.
    Every(Duration),
    /// Each at its own time.
    Own(SlotLength),
}

impl Replay {
    /// Makes sums of energies go on from the register that was taken for a slot.
    pub(super) fn join(&mut self, at: Slot, taken: u64) -> Result<(), ReplayError> {
        let side = |here: u64| if here > taken { "above" } else { "below" };
        let same = self.readings.iter().find(|reading| reading.at == at);
        let same = same.map(|reading| reading.register.watt_hours());
        let later = self.readings.front().filter(|first| first.at > at);
        match (self.base, same, later) {
            (Base::Said, Some(here), _) if here != taken => {
                Err(ReplayError::Other { at, by: here.abs_diff(taken), side: side(here) })
            }
            (Base::Said, None, Some(first)) => {
                let (here, slots) = (first.register.watt_hours(), first.at.0 - at.0);
                let most = u64::from(slots) * MAX_SLOT_WH.unsigned_abs();
                if here < taken || here - taken > most {
                    return Err(ReplayError::Between {
                        by: here.abs_diff(taken),
                        side: side(here),
                        slots,
                        most,
                    });
                }
                Ok(())
            }
            (Base::Open, None, Some(first)) => Err(ReplayError::Apart { last: at, first: first.at }),
            (Base::Open, Some(here), _) => {
                for reading in self.readings.iter_mut().filter(|reading| reading.at >= at) {
                    let register = taken.checked_add(reading.register.watt_hours() - here);
                    let register = register.and_then(|register| Register::try_from(register).ok());
                    reading.register = register.ok_or(ReplayError::Beyond)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn next(&mut self) -> Fed {
        let Some(reading) = self.readings.front() else { return std::future::pending().await };
        let group = match self.pace {
            Pace::Receipts => GROUP,
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
        let group = group.min(self.readings.len());
        let mut boundaries = Vec::with_capacity(group);
        for reading in self.readings.drain(..group) {
            match &mut self.looked {
                Some(looked) => boundaries.extend(looked.take(reading)),
                None => boundaries.push(Boundary::from(reading)),
            }
        }
        Fed { boundaries, ended: self.readings.is_empty(), keep: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Feed;

    /// Energies from slot `first`, one a slot, as a file has them.
    fn energies(first: u32, register: u64, energies: &[u64], base: Base) -> Feed {
        let mut sum = register;
        let mut readings = vec![(first, sum)];
        for (energy, at) in energies.iter().zip(first + 1..) {
            sum += energy;
            readings.push((at, sum));
        }
        let reading = |(at, register)| Reading { at: Slot(at), register: wh(register), export: None };
        Feed::replay(readings.into_iter().map(reading).collect(), 0.0).based(base)
    }

    fn wh(register: u64) -> Register {
        Register::try_from(register).unwrap()
    }

    async fn replayed(mut feed: Feed, last: (u32, u64)) -> Result<Vec<(u32, u64)>, ReplayError> {
        feed.resume(Some((Slot(last.0), wh(last.1))))?;
        let mut shown = Vec::new();
        while !feed.has_ended() {
            shown.extend(feed.next().await.boundaries.iter().map(|b| (b.at.0, b.import.watt_hours())));
        }
        Ok(shown)
    }

    /// Files of energies follow one another on one register, whether they begin where the last one ended or before.
    #[tokio::test]
    async fn energies_go_on_from_the_last_register() {
        let wanted = vec![(11, 30_005), (12, 30_011)];
        let next = energies(10, 0, &[5, 6], Base::Open);
        assert_eq!(replayed(next, (10, 30_000)).await.unwrap(), wanted);
        let longer = energies(7, 0, &[1, 2, 3, 5, 6], Base::Open);
        assert_eq!(replayed(longer, (10, 30_000)).await.unwrap(), wanted);
        let whole = energies(7, 50_000, &[1, 2, 3, 5, 6], Base::Open);
        assert_eq!(replayed(whole, (10, 30_000)).await.unwrap(), wanted);
        let old = energies(7, 0, &[1, 2], Base::Open);
        assert_eq!(replayed(old, (10, 30_000)).await.unwrap(), []);
        let said = energies(8, 29_990, &[4, 6, 5, 6], Base::Said);
        assert_eq!(replayed(said, (10, 30_000)).await.unwrap(), wanted);
    }

    /// Energies that do not follow are refused before any is taken: by nothing that was used between, or by another register.
    #[tokio::test]
    async fn energies_that_do_not_follow_are_refused() {
        for (feed, wanted) in [
            (
                energies(12, 0, &[5], Base::Open),
                "the last register that was taken is of slot 10: what was used in the 2",
            ),
            (energies(10, 0, &[5, 6], Base::Said), "the register of slot 10 is 30000 Wh below"),
            (energies(9, 30_000, &[5, 6], Base::Said), "the register of slot 10 is 5 Wh above"),
            (energies(11, 29_999, &[5, 6], Base::Said), "the data begin 1 Wh below the last register"),
            (energies(11, 70_000, &[5, 6], Base::Said), "not from 0 to the 32767 Wh"),
        ] {
            let error = replayed(feed, (10, 30_000)).await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
