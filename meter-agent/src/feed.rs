//! What feeds the role as time passes: a replay, or a meter whose registers are looked at first.

use std::time::Duration;

use protocol::unit::{Register, Slot, SlotLength};
use store::{Store, StoreError, Table};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::live::Live;
use self::looked::Looked;
use self::replay::{Pace, Replay};
use crate::meter::{MeterError, Reading};
use crate::register::{Boundary, Limits, Registers};
use crate::source::Heard;

mod cadence;
mod complaints;
mod interval;
mod live;
mod looked;
mod replay;

pub use self::replay::{Base, ReplayError};

/// What is believed of the meter's registers: one row.
const REGISTERS: Table = Table("registers");

/// What came in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fed {
    /// Slots' starts with their registers.
    pub boundaries: Vec<Boundary>,
    /// Nothing will come any more.
    pub ended: bool,
    /// What is believed now is to be kept at once: an fsync for each of a register's seconds would wear out a small disk,
    /// and a register tells again what was forgotten.
    pub keep: bool,
}

/// Where readings come from.
#[derive(Debug)]
pub struct Feed(Kind);

#[derive(Debug)]
enum Kind {
    Replay(Replay),
    Live(Box<Live>),
}

impl Feed {
    /// Replays readings at so many slots a second; 0 is as fast as receipts allow.
    pub fn replay(readings: Vec<Reading>, slots_per_second: f64) -> Self {
        let pace = if slots_per_second > 0.0 {
            Pace::Every(Duration::from_secs_f64(slots_per_second.recip()))
        } else {
            Pace::Receipts
        };
        Self::new(readings, pace)
    }

    /// Replays readings, each at its own time; those of the past at once.
    pub fn at_own_time(readings: Vec<Reading>, slot: SlotLength) -> Self {
        Self::new(readings, Pace::Own(slot))
    }

    fn new(readings: Vec<Reading>, pace: Pace) -> Self {
        Self(Kind::Replay(Replay {
            readings: readings.into(),
            pace,
            base: Base::Measured,
            due: Instant::now(),
            looked: None,
        }))
    }

    /// Looks at the registers of a replay as at a live meter's, going on from what the store knows of them. Sums of energies
    /// are no meter's registers: they are as they are.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the store is damaged.
    pub fn looking(mut self, limits: Limits, store: &dyn Store) -> Result<Self, MeterError> {
        if let Kind::Replay(replay) = &mut self.0
            && replay.base == Base::Measured
        {
            replay.looked = Some(Box::new(Looked::new(load(store)?, limits)));
        }
        Ok(self)
    }

    /// A replay whose registers come from elsewhere than the meter.
    #[must_use]
    pub fn based(mut self, base: Base) -> Self {
        if let Kind::Replay(replay) = &mut self.0 {
            replay.base = base;
        }
        self
    }

    /// Looks at what a live source hears, going on from what the store knows of its registers.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the store is damaged.
    pub fn live(hears: mpsc::Receiver<Heard>, limits: Limits, store: &dyn Store) -> Result<Self, MeterError> {
        let registers = load(store)?;
        Ok(Self(Kind::Live(Box::new(Live::new(hears, registers, limits)))))
    }

    /// What is heard was measured just now, so that a time long ago is said to be wrong.
    #[must_use]
    pub fn at_once(mut self) -> Self {
        if let Kind::Live(live) = &mut self.0 {
            live.hears_at_once();
        }
        self
    }

    /// Says everything that is wrong from now on: without this what comes again and again is counted, and told as a number.
    #[must_use]
    pub fn telling_all(mut self) -> Self {
        match &mut self.0 {
            Kind::Live(live) => live.tell_all(),
            Kind::Replay(Replay { looked: Some(looked), .. }) => looked.tell_all(),
            Kind::Replay(_) => (),
        }
        self
    }

    /// Says how often there was what was counted only, before a stop.
    pub fn tell_rest(&mut self) {
        match &mut self.0 {
            Kind::Live(live) => live.tell_rest(),
            Kind::Replay(Replay { looked: Some(looked), .. }) => looked.tell_rest(),
            Kind::Replay(_) => (),
        }
    }

    /// Passes over what was taken before the last stop, and goes on from the last register that was taken; gives how much was
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if sums of energies do not go on from it.
    pub fn resume(&mut self, last: Option<(Slot, Register)>) -> Result<u64, ReplayError> {
        let mut passed = 0;
        match (&mut self.0, last) {
            (Kind::Replay(replay), Some((last, taken))) => {
                replay.join(last, taken.watt_hours())?;
                if let Some(looked) = &mut replay.looked {
                    looked.resume((last, taken));
                }
                while replay.readings.pop_front_if(|reading| reading.at <= last).is_some() {
                    passed += 1;
                }
            }
            // after a replay of energies, say, of which no register is known
            (Kind::Live(live), Some(last)) => live.resume(last),
            (_, None) => {}
        }
        Ok(passed)
    }

    /// Whether nothing will come any more.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.0 {
            Kind::Replay(replay) => replay.readings.is_empty(),
            Kind::Live(live) => live.ended,
        }
    }

    /// Whether it waits for nothing but receipts: then it should not be asked for more before they come.
    pub fn waits_for_receipts(&self) -> bool {
        matches!(&self.0, Kind::Replay(replay) if replay.pace == Pace::Receipts)
    }

    /// What comes next; pending for ever after the end. Cancel-safe.
    pub async fn next(&mut self) -> Fed {
        match &mut self.0 {
            Kind::Replay(replay) => replay.next().await,
            Kind::Live(live) => live.next().await,
        }
    }

    /// Keeps what is believed of the registers, to be durable with the next commit.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn save(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Replay(replay) => {
                replay.looked.as_ref().map_or(Ok(()), |looked| save(looked.registers(), store))
            }
            Kind::Live(live) => save(&live.registers, store),
        }
    }
}

/// What the store knows of a meter's registers.
///
/// # Errors
///
/// [`MeterError`] if the store is damaged.
pub fn load(store: &dyn Store) -> Result<Registers, MeterError> {
    let Some(bytes) = store.get(REGISTERS, b"")? else { return Ok(Registers::default()) };
    protocol::wire::decode_own(&bytes).map_err(|_| MeterError::Damaged("the meter's registers can't be read"))
}

/// Keeps what is known of a meter's registers, to be durable with the next commit.
///
/// # Errors
///
/// [`StoreError`].
pub fn save(registers: &Registers, store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(REGISTERS, b"", &protocol::wire::encode(registers))
}
