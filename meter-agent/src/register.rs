//! Registers as meters really give them, pure: measurements in, readings at slot boundaries or named anomalies out.
//!
//! What must stay true:
//! * the billed register never falls, and it never holds energy that no believable register told;
//! * a register that does not follow from the last one is left out until it comes back or until somebody says what
//!   happened ([`Registers::rebase`]); what was used meanwhile is then in the register, or said not to be. What follows, and
//!   what comes back, is the rule in `register/track.rs`; it is judged by rates, and time alone makes nothing believable;
//! * replays are looked at as live meters are, but for the clock;
//! * watt-hours are exact decimals. A reading is rounded down, so what it leaves out is in the next one;
//! * import and export are two channels. Neither is ever taken from the other.

use std::fmt;
use std::time::Duration;

use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotLength, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};

use self::track::{Change, Taken, Track};
use crate::measurement::{Measurement, Quantity};
use crate::meter::Reading;

mod anomaly;
mod track;

pub use self::anomaly::{Anomaly, Channel, Fault};

/// Before this, 2024-01-01, no agent ran: a clock that says so was never set.
const EARLIEST: Timestamp = Timestamp(1_704_067_200);

/// A measurement that is so many seconds ahead of the clock is not waited for.
const FAR_AHEAD: u64 = 86_400;

/// How long the clock has to say so.
const SURE: Duration = Duration::from_hours(1);

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

    /// What the connection carries in so many seconds, in watt-hours.
    fn carried(&self, seconds: u64) -> Decimal {
        let energy = self.most_watts.checked_mul(Decimal::from(seconds)).unwrap_or(Decimal::MAX);
        energy / Decimal::from(3_600)
    }

    /// What it carries in a slot, and no less than a kilowatt-hour: a coarse register stands still and then steps.
    fn slot_energy(&self) -> Decimal {
        self.carried(self.slot.seconds().into()).max(Decimal::from(1_000))
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
    /// It does not go on from the last one as registers do: somebody said what is between, or the clock was wrong before.
    pub anew: bool,
}

impl Boundary {
    /// What the meter takes of it.
    pub fn reading(&self) -> Reading {
        Reading { at: self.at, register: self.import, export: self.export }
    }
}

impl From<Reading> for Boundary {
    fn from(reading: Reading) -> Self {
        let Reading { at, register, export } = reading;
        Self { at, import: register, export, anew: false }
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
    /// The export register was reset; the import register was not.
    NewExportLevel,
    /// The export register jumped, and what it says was fed in.
    ExportJumpIsReal,
}

/// Why a rebase was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RebaseError {
    /// There is nothing to go on from.
    #[error(
        "no register was ever read here, so the next one is simply the first: there is nothing to rebase"
    )]
    Nothing,
    /// A second one before anything was read.
    #[error(
        "a rebase was taken down already and nothing was read since: start the agent, and look at what it says; to say \
         something else in its place, add --force"
    )]
    Again,
    /// There is no jump.
    #[error(
        "no register is held back that is above the last one that was believed, so there is no jump to be real; for a reset \
         or a swap, leave --jump-is-real out"
    )]
    NoJump,
    /// A register that comes back by itself.
    #[error(
        "the last register was {} Wh too high and the meter's will reach it by itself: there is nothing to rebase. To bill \
         these {} Wh for good all the same, add --force",
        by.normalize(), by.normalize()
    )]
    Heals {
        /// Watt-hours.
        by: Decimal,
    },
    /// A closing register below what was read already.
    #[error("the closing register is {below} Wh below the last one that was read; is it the old device's?")]
    Closing {
        /// By how many watt-hours.
        below: Decimal,
    },
    /// A closing register further above what was read than the connection carries.
    #[error(
        "the closing register is {} kWh above the last one that was read, and the connection carries {} kWh in that time at \
         most: it is given in kWh; if that much was used, add --force",
        kilowatt_hours(*adds), kilowatt_hours(*most)
    )]
    Implausible {
        /// By how many watt-hours.
        adds: Decimal,
        /// How many there may be.
        most: Decimal,
    },
    /// A register that there can't be.
    #[error("the register is below zero or beyond the largest there can be; it is given in kWh")]
    Beyond,
}

/// Watt-hours in kilowatt-hours, to the watt-hour.
pub(crate) fn kilowatt_hours(watt_hours: Decimal) -> Decimal {
    (watt_hours / Decimal::from(1_000)).round_dp(3).normalize()
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
    /// When the first register was read that does not go on from the last boundary as registers do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anew: Option<Timestamp>,
    /// Slots that began since the last boundary and had no register near enough.
    #[serde(skip)]
    off: u32,
    #[serde(skip)]
    clock: Option<Clock>,
    #[serde(skip)]
    late: Option<Late>,
}

/// Since when measurements are far behind the last one.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Late {
    /// The first one's time.
    at: Timestamp,
    /// When it came.
    uptime: Duration,
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
            vetted.anomalies.extend(self.look_back(measurement.at, clock));
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

    /// Goes on from what a batch ended with, where nothing else is known.
    #[must_use]
    pub fn or_from(self, last: Option<(Slot, Register)>, slot: SlotLength) -> Self {
        match last {
            Some((at, register)) if !self.import.has_begun() => {
                let (time, import) = (slot.start_of(at), Decimal::from(register.watt_hours()));
                let before = Some(Point { at: time, import, export: None });
                Self { import: Track::from_billed(time, import), before, given: Some(at), ..self }
            }
            _ => self,
        }
    }

    /// Takes up a register that does not follow from the last one; gives the watt-hours that this adds to what is billed,
    /// as far as they are known. What is beyond what the connection can carry has to be forced, and so has a second word
    /// before a register was read.
    ///
    /// # Errors
    ///
    /// [`RebaseError`], with nothing changed.
    pub fn rebase(
        &mut self,
        rebase: Rebase,
        force: bool,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<Decimal, RebaseError> {
        let anew = Change { force, now, ..Change::default() };
        match rebase {
            Rebase::NewLevel { closing, opening } => {
                let adds = self.import.rebase(Change { closing, opening, ..anew }, limits)?;
                if self.export.has_begun() {
                    self.export.rebase(Change { force: true, ..anew }, limits)?;
                }
                self.device = None;
                Ok(adds)
            }
            Rebase::JumpIsReal => self.import.believe_jump(),
            Rebase::NewExportLevel => self.export.rebase(anew, limits),
            Rebase::ExportJumpIsReal => self.export.believe_jump(),
        }
    }

    /// Forgets a measurement that is of the future, once there is no doubt that it is: a clock that was ahead for a while
    /// would else silence the meter until that time comes. A clock that is behind for a while, until it has been set after a
    /// start, is told from it by the hour that this takes; what is less than a day ahead comes by itself.
    fn look_back(&mut self, at: Timestamp, now: Clock) -> Option<Anomaly> {
        let ahead = self.before.map_or(0, |before| before.at.since(now.wall));
        if ahead <= FAR_AHEAD || now.wall < EARLIEST {
            self.late = None;
            return None;
        }
        let late = *self.late.get_or_insert(Late { at, uptime: now.uptime });
        if now.uptime.saturating_sub(late.uptime) < SURE {
            return None;
        }
        self.import.set_back(late.at);
        self.export.set_back(late.at);
        (self.before, self.given, self.late, self.anew) = (None, None, None, Some(late.at));
        Some(Anomaly::ClockWasAhead(ahead))
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
        if taken.said {
            self.anew.get_or_insert(at);
        }
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
        if let Some(before) = self.before
            && before.at.0 / length < last
        {
            self.count_off(point.at.0 - last * length, last * length - before.at.0, limits, vetted);
        }
        self.before = Some(point);
    }

    /// Counts a slot that began between two registers of which neither is near enough to its start: one is an accident, more
    /// are how the meter is read.
    fn count_off(&mut self, after: u64, ahead: u64, limits: &Limits, vetted: &mut Vetted) {
        let (off, tolerance) = (after.min(ahead), limits.tolerance);
        if off <= tolerance.into() {
            self.off = 0;
            return;
        }
        self.off = self.off.saturating_add(1);
        if self.off > 1 {
            vetted.anomalies.push(Anomaly::OffStarts { slots: self.off, off, tolerance });
        }
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
        let anew = self.anew.take_if(|since| *since <= point.at).is_some();
        vetted.boundaries.push(Boundary { at, import, export: point.export.and_then(whole), anew });
    }
}

/// A power has a sign, registers have a channel each.
fn channels(import: Quantity, export: Option<Quantity>) -> (Quantity, Option<Quantity>) {
    match (import, export) {
        (Quantity::Power(watts), None) => {
            let (into, out) = (watts.max(Decimal::ZERO), (-watts).max(Decimal::ZERO));
            (Quantity::Power(into), Some(Quantity::Power(out)))
        }
        // what goes out is told apart
        (Quantity::Power(watts), export) => (Quantity::Power(watts.max(Decimal::ZERO)), export),
        both => both,
    }
}

fn note(channel: Channel, taken: Taken, anomalies: &mut Vec<Anomaly>) -> Decimal {
    let Taken { billed, after, unmeasured, .. } = taken;
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
