//! Registers as meters really give them, pure: measurements in, readings at slot boundaries or named anomalies out.
//!
//! What must stay true:
//! * the billed register never falls, and it never holds energy that no believable register told;
//! * a register that does not follow from the last one is left out until it comes back or until somebody says what
//!   happened ([`Registers::rebase`]); what was used meanwhile is then in the register, or said not to be;
//! * watt-hours are exact decimals. A reading is rounded down, so what it leaves out is in the next one;
//! * import and export are two channels. Neither is ever taken from the other.

use std::fmt;
use std::time::Duration;

use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotLength, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};

use self::track::{Taken, Track};
use crate::measurement::{Measurement, Quantity};
use crate::meter::Reading;

mod anomaly;
mod track;

pub use self::anomaly::{Anomaly, Channel, Fault};

/// Before this, 2024-01-01, no agent ran: a clock that says so was never set.
const EARLIEST: Timestamp = Timestamp(1_704_067_200);

/// What is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The roster's slots.
    pub slot: SlotLength,
    /// The most that the connection carries, in watts.
    pub most_watts: Decimal,
    /// How far from a slot's start a register may have been read to count as read then, in seconds.
    pub tolerance: u32,
    /// How far the meter's clock may be ahead of the host's, in seconds.
    pub ahead: u32,
    /// The longest pause between two powers that still says what was used between them, in seconds.
    pub hold: u32,
}

impl Limits {
    /// The defaults: as much as a slot can carry, a sixth of a slot, five minutes, five minutes.
    pub fn new(slot: SlotLength) -> Self {
        let most_watts = Decimal::from(MAX_SLOT_WH) * Decimal::from(3_600) / Decimal::from(slot.seconds());
        Self { slot, most_watts, tolerance: slot.seconds() / 6, ahead: 300, hold: 300 }
    }

    /// The most energy between two registers that are so many seconds apart; never less than a slot's, since a coarse
    /// register stands still and then steps.
    fn allowance(&self, seconds: u64) -> Decimal {
        let seconds = seconds.max(self.slot.seconds().into());
        let energy = self.most_watts.checked_mul(Decimal::from(seconds)).unwrap_or(Decimal::MAX);
        energy / Decimal::from(3_600)
    }
}

/// The host's clocks as a measurement came in; a replay has none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    /// The time of day, which people and time servers set.
    pub wall: Timestamp,
    /// Time since some start, which nobody sets.
    pub uptime: Duration,
}

/// A slot's registers. It does not print them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Boundary {
    /// The slot that begins.
    pub at: Slot,
    /// The billed import register.
    pub import: Register,
    /// The export register, if the meter tells it and it was believed.
    pub export: Option<Register>,
}

impl Boundary {
    /// What the meter takes of it.
    pub fn reading(&self) -> Reading {
        Reading { at: self.at, register: self.import, export: self.export }
    }
}

impl fmt::Debug for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boundary").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What a measurement gave.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vetted {
    /// Registers at slots' starts, in order.
    pub boundaries: Vec<Boundary>,
    /// What was wrong.
    pub anomalies: Vec<Anomaly>,
}

/// What somebody says of a register that does not follow; kilowatt-hours are watt-hours here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rebase {
    /// The register was reset, or the device swapped.
    NewLevel {
        /// The old device's last import register; without it, what it counted after its last reading is not billed.
        closing: Option<Decimal>,
        /// The new device's first import register; without it, the next one that is read.
        opening: Option<Decimal>,
    },
    /// The import register jumped, and what it says was used.
    JumpIsReal,
}

/// Why a rebase was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RebaseError {
    /// There is nothing to go on from.
    #[error(
        "no register was ever read here, so the next one is simply the first: there is nothing to rebase"
    )]
    Nothing,
    /// A closing register below what was read already.
    #[error("the closing register is {below} Wh below the last one that was read; is it the old device's?")]
    Closing {
        /// By how many watt-hours.
        below: Decimal,
    },
    /// A register that there can't be.
    #[error("the register is below zero or beyond the largest there can be; it is given in kWh")]
    Beyond,
}

/// A meter's registers, as far as they were believed.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Registers {
    device: Option<String>,
    import: Track,
    export: Track,
    before: Option<Point>,
    given: Option<Slot>,
    /// Energy went unmeasured since the last boundary: the slot that it belongs to must not look measured.
    blind: bool,
    #[serde(skip)]
    clock: Option<Clock>,
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registers").field("given", &self.given).finish_non_exhaustive()
    }
}

/// Billed registers at one time.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Point {
    at: Timestamp,
    import: Decimal,
    export: Option<Decimal>,
}

impl Registers {
    /// Takes a measurement, and gives the slots' starts that it settles.
    pub fn observe(&mut self, measurement: &Measurement, clock: Option<Clock>, limits: &Limits) -> Vetted {
        let mut vetted = Vetted::default();
        if let Some(clock) = clock {
            vetted.anomalies.extend(self.step_of(clock));
        }
        match self.vet(measurement, clock, limits, &mut vetted.anomalies) {
            Ok(point) => self.settle(point, limits, &mut vetted),
            Err(anomaly) => vetted.anomalies.push(anomaly),
        }
        vetted
    }

    /// When the last measurement was that was believed.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.before.map(|point| point.at)
    }

    /// Takes up a register that does not follow from the last one.
    ///
    /// # Errors
    ///
    /// [`RebaseError`], with nothing changed.
    pub fn rebase(&mut self, rebase: Rebase) -> Result<(), RebaseError> {
        match rebase {
            Rebase::NewLevel { closing, opening } => {
                self.import.rebase(closing, opening)?;
                if self.export.has_begun() {
                    self.export.rebase(None, None)?;
                }
                self.device = None;
                Ok(())
            }
            Rebase::JumpIsReal => self.import.believe_jump(),
        }
    }

    /// How far the wall clock was moved between the last measurement and this one.
    fn step_of(&mut self, now: Clock) -> Option<Anomaly> {
        let before = self.clock.replace(now)?;
        let elapsed = i64::try_from(now.uptime.saturating_sub(before.uptime).as_secs()).ok()?;
        let shown = i64::try_from(now.wall.0).ok()? - i64::try_from(before.wall.0).ok()?;
        let by = shown - elapsed;
        // both are whole seconds, and time servers move a clock a little all the time
        (by.abs() > 3).then_some(Anomaly::ClockStep(by))
    }

    fn vet(
        &mut self,
        measurement: &Measurement,
        clock: Option<Clock>,
        limits: &Limits,
        anomalies: &mut Vec<Anomaly>,
    ) -> Result<Point, Anomaly> {
        let Measurement { at, import, export, device } = measurement;
        let at = *at;
        if let Some(Clock { wall, .. }) = clock {
            if wall < EARLIEST {
                return Err(Anomaly::ClockUnset);
            }
            if at.since(wall) > limits.ahead.into() {
                return Err(Anomaly::Ahead(at.since(wall)));
            }
        }
        if let (Some(known), Some(found)) = (&self.device, device)
            && known != found
        {
            return Err(Anomaly::Swapped);
        }
        match self.before {
            Some(Point { at: last, .. }) if at < last => return Err(Anomaly::Late { at, last }),
            Some(Point { at: last, .. }) if at == last => return Err(Anomaly::Repeated),
            _ => {}
        }
        let (import, export) = channels(*import, *export);
        let exported = export.map(|export| self.export.take(at, export, limits));
        let imported = self.import.take(at, import, limits);
        let export = match exported.transpose() {
            Ok(taken) => taken.map(|taken| note(Channel::Export, taken, anomalies)),
            Err(fault) => {
                anomalies.push(Anomaly::Doubted { channel: Channel::Export, fault });
                None
            }
        };
        let taken = imported.map_err(|fault| Anomaly::Doubted { channel: Channel::Import, fault })?;
        self.blind |= taken.unmeasured > 0;
        let import = note(Channel::Import, taken, anomalies);
        if self.device.is_none() {
            self.device.clone_from(device);
        }
        Ok(Point { at, import, export })
    }

    /// Gives the boundaries between the last point and this one that either was read close enough to.
    fn settle(&mut self, point: Point, limits: &Limits, vetted: &mut Vetted) {
        let length = u64::from(limits.slot.seconds());
        let tolerance = u64::from(limits.tolerance);
        let last = point.at.0 / length;
        let candidates = match self.before {
            None => vec![(last, None)],
            Some(before) => {
                let first = before.at.0 / length + 1;
                let mut candidates = Vec::with_capacity(2);
                if first < last {
                    candidates.push((first, Some(before)));
                }
                if first <= last {
                    candidates.push((last, Some(before).filter(|_| first == last)));
                }
                candidates
            }
        };
        for (slot, earlier) in candidates {
            let start = slot * length;
            let from_earlier = earlier.map(|before| (start - before.at.0, before));
            // the start of any slot but the last one is closer to the earlier point
            let from_later = (slot == last).then(|| (point.at.0 - start, point));
            // of two as near, the first is taken: the later point, which leaves no energy for the slot to come
            let nearest =
                [from_later, from_earlier].into_iter().flatten().min_by_key(|(distance, _)| *distance);
            if let Some((distance, chosen)) = nearest
                && distance <= tolerance
            {
                self.give(slot, &chosen, vetted);
            }
        }
        self.before = Some(point);
    }

    fn give(&mut self, slot: u64, point: &Point, vetted: &mut Vetted) {
        let (Ok(at), Some(import)) = (u32::try_from(slot).map(Slot), whole(point.import)) else { return };
        let skipped = self.given.map_or(0, |given| at.0.saturating_sub(given.0 + 1));
        if self.given.is_some_and(|given| at <= given) || (self.blind && self.given.is_some() && skipped == 0)
        {
            return;
        }
        if let Some(given) = self.given
            && skipped > 0
        {
            vetted.anomalies.push(Anomaly::Missing { first: Slot(given.0 + 1), slots: skipped });
        }
        (self.given, self.blind) = (Some(at), false);
        vetted.boundaries.push(Boundary { at, import, export: point.export.and_then(whole) });
    }
}

/// A power has a sign, registers have a channel each.
fn channels(import: Quantity, export: Option<Quantity>) -> (Quantity, Option<Quantity>) {
    match (import, export) {
        (Quantity::Power(watts), None) => {
            let (into, out) = (watts.max(Decimal::ZERO), (-watts).max(Decimal::ZERO));
            (Quantity::Power(into), Some(Quantity::Power(out)))
        }
        both => both,
    }
}

fn note(channel: Channel, taken: Taken, anomalies: &mut Vec<Anomaly>) -> Decimal {
    let Taken { billed, after, unmeasured } = taken;
    if after > 0 {
        anomalies.push(Anomaly::Recovered { channel, after });
    }
    if unmeasured > 0 {
        anomalies.push(Anomaly::Unmeasured { channel, seconds: unmeasured });
    }
    billed
}

/// The whole watt-hours of a register; the rest is in the next reading.
fn whole(watt_hours: Decimal) -> Option<Register> {
    Register::try_from(watt_hours.floor().to_u64()?).ok()
}

#[cfg(test)]
mod tests;
