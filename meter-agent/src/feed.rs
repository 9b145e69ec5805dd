//! What feeds the role as time passes: a source's measurements, live or replayed, become readings on one path.

use std::time::Duration;

use protocol::unit::{Register, Slot};
use store::{Store, StoreError, Table};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::inspector::Inspector;
use self::warnings::log;
use crate::measurement::{Measurement, Quantity};
use crate::meter::MeterError;
use crate::reading::Reading;
use crate::register::{Limits, Registers};
use crate::source::{Replay, ReplayError, Source, SourceError, SourceResult};

mod cadence;
mod inspector;
mod interval;
mod warnings;

/// What is believed of the meter's registers: one row.
const REGISTERS: Table = Table("registers");

/// What is believed of registers between slots' starts is kept so often.
const KEEP: Duration = Duration::from_mins(1);

/// What comes next.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Supply {
    /// Slots' starts with their registers.
    pub readings: Vec<Reading>,
    /// Nothing will come any more.
    pub ended: bool,
    /// What is believed now is to be kept at once. It is not after each second's register, since that many fsyncs would wear
    /// out a small disk, and a register reports again what was forgotten.
    pub keep: bool,
}

/// Where readings come from.
#[derive(Debug)]
pub struct Feed {
    origin: Origin,
    inspector: Inspector,
    /// Whether what is believed is of a meter's registers. Sums of energies have none.
    measured: bool,
    ended: bool,
    kept: Instant,
}

#[derive(Debug)]
enum Origin {
    Replay(Replay),
    Live(mpsc::Receiver<SourceResult>),
}

impl Feed {
    /// Opens a source, and continues from what the store knows of its registers.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the store is damaged.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open(source: Source, limits: Limits, store: &dyn Store) -> Result<Self, MeterError> {
        let registers = load(store)?;
        Ok(match source {
            // The connection has no say in sums of energies, and they leave the meter's registers alone.
            Source::Replay(replay) if !replay.is_measured() => {
                let limits = Limits { most_watts: Limits::new(limits.slot).most_watts, ..limits };
                Self::new(Origin::Replay(replay), Inspector::new(Registers::default(), limits, false), false)
            }
            Source::Replay(replay) => {
                Self::new(Origin::Replay(replay), Inspector::new(registers, limits, false), true)
            }
            Source::Live(live) => {
                let inspector = Inspector::new(registers, limits, live.is_immediate());
                Self::new(Origin::Live(live.start()), inspector, true)
            }
        })
    }

    fn new(origin: Origin, inspector: Inspector, measured: bool) -> Self {
        let ended = matches!(&origin, Origin::Replay(replay) if replay.is_over());
        Self { origin, inspector, measured, ended, kept: Instant::now() }
    }

    /// Logs everything that is wrong from now on. Without this, what comes again and again is counted, and logged as a number.
    #[must_use]
    pub fn logging_all(mut self) -> Self {
        self.inspector.warnings.log_all();
        self
    }

    /// Logs what was only counted, before a stop.
    pub fn finish(&mut self) {
        self.inspector.finish(self.ended);
    }

    /// Skips what was replayed before the last stop, and continues from the last reading; gives how many were skipped.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if sums of energies do not continue it.
    pub fn resume(&mut self, last: Option<(Slot, Register)>) -> Result<u64, ReplayError> {
        let Some((at, register)) = last else { return Ok(0) };
        let mut skipped = 0;
        if let Origin::Replay(replay) = &mut self.origin {
            skipped = replay.resume(at, register)?;
            self.ended = replay.is_over();
        }
        self.inspector.resume((at, register));
        Ok(skipped)
    }

    /// Whether nothing will come any more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether it waits for nothing but receipts: then it should not be asked for more before they come.
    pub fn waits_for_receipts(&self) -> bool {
        matches!(&self.origin, Origin::Replay(replay) if replay.waits_for_receipts())
    }

    /// What comes next; pending for ever after the end. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`SourceError`] of a source that has failed for good.
    pub async fn next(&mut self) -> Result<Supply, SourceError> {
        if self.ended {
            return std::future::pending().await;
        }
        let (mut readings, mut once) = (Vec::new(), false);
        match &mut self.origin {
            Origin::Replay(replay) => {
                for reading in replay.next().await {
                    let measurement = self.inspector.replayed(&reading);
                    readings.extend(self.inspector.inspect(measurement, None));
                }
                self.ended = replay.is_over();
            }
            Origin::Live(receiver) => match receiver.recv().await {
                Some(Ok(measurement)) => {
                    // an energy is reported once only
                    once = matches!(&measurement, Measurement { import: Quantity::Energy { .. }, .. });
                    let clock = self.inspector.clock();
                    readings = self.inspector.inspect(measurement, Some(clock));
                }
                Some(Err(error @ SourceError::File(..))) => {
                    self.ended = true;
                    return Err(error);
                }
                Some(Err(error)) => self.inspector.reject(&error),
                None => self.ended = true,
            },
        }
        if self.ended {
            self.finish();
        }
        log(self.inspector.warnings.due(Instant::now()));
        let keep = once || self.ended || !readings.is_empty() || self.kept.elapsed() >= KEEP;
        if keep {
            self.kept = Instant::now();
        }
        Ok(Supply { readings, ended: self.ended, keep })
    }

    /// Keeps what is believed of the registers, to be durable with the next commit.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn save(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        if self.measured { save(&self.inspector.registers, store) } else { Ok(()) }
    }
}

/// What the store knows of a meter's registers.
///
/// # Errors
///
/// [`MeterError`] if the store is damaged.
pub fn load(store: &dyn Store) -> Result<Registers, MeterError> {
    Ok(MeterError::read(REGISTERS, b"", "the meter's registers", store)?.unwrap_or_default())
}

/// Keeps what is known of a meter's registers, to be durable with the next commit.
///
/// # Errors
///
/// [`StoreError`].
pub fn save(registers: &Registers, store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(REGISTERS, b"", &protocol::wire::encode(registers))
}

#[cfg(test)]
mod tests;
