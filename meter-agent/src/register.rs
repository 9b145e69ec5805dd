//! Registers as meters really report them, pure: measurements in, readings at slot boundaries or named anomalies out.
//!
//! What must stay true:
//! * the billed register never falls, and it never holds energy that no believable register reported;
//! * a register that does not follow from the last one is left out until it returns, or until an operator states what
//!   happened ([`Registers::rebase`]). What was used meanwhile is then in the register, or stated not to be. What follows, and
//!   what returns, is the rule in `register/track.rs`: it judges rates, and time alone makes nothing believable;
//! * replays pass the same checks as live meters, but for the clock;
//! * watt-hours are exact decimals. A reading is rounded down, so what it leaves out is in the next one;
//! * import and export are two channels. Neither is ever subtracted from the other.

use std::fmt;
use std::time::Duration;

use protocol::unit::{Register, Slot, SlotLength, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::{Deserialize, Serialize};

use self::track::{Belief, Change, Track};
use crate::measurement::{Measurement, Quantity};
use crate::reading::Reading;

mod anomaly;
mod limits;
mod rebase;
mod track;

pub use self::anomaly::{Anomaly, Channel, Fault};
pub use self::limits::Limits;
pub(crate) use self::rebase::kilowatt_hours;
pub use self::rebase::{Rebase, RebaseError};

/// Before this, 2024-01-01, no agent ran: a clock with an earlier time was never set.
const EARLIEST: Timestamp = Timestamp(1_704_067_200);

/// A measurement that is so many seconds ahead of the clock is not waited for.
const FAR_AHEAD: u64 = 86_400;

/// How long the clock has to say so.
const SURE: Duration = Duration::from_hours(1);

/// The host's clocks as a measurement came in; a replay has none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    /// The time of day, which people and time servers set.
    pub wall: Timestamp,
    /// Time since some start, which nobody sets.
    pub uptime: Duration,
}

/// What a measurement gives.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Assessment {
    /// Registers at slots' starts, in order.
    pub readings: Vec<Reading>,
    /// What was wrong.
    pub anomalies: Vec<Anomaly>,
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
    /// When the first register was read that does not continue the last boundary as registers do.
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
    /// Assesses a measurement, and gives the slots' starts that it settles.
    pub fn observe(
        &mut self,
        measurement: &Measurement,
        clock: Option<Clock>,
        limits: &Limits,
    ) -> Assessment {
        let mut assessment = Assessment::default();
        if let Some(clock) = clock {
            assessment.anomalies.extend(self.step_of(clock));
            assessment.anomalies.extend(self.look_back(measurement.at, clock));
        }
        match self.vet(measurement, clock, limits, &mut assessment.anomalies) {
            Ok(point) => self.settle(point, limits, &mut assessment),
            Err(anomaly) => assessment.anomalies.push(anomaly),
        }
        assessment
    }

    /// When the last measurement was that was believed.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.before.map(|point| point.at)
    }

    /// Continues from what a batch ended with, where nothing else is known.
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

    /// Accepts a register that does not follow from the last one; gives the watt-hours that this adds to what is billed,
    /// as far as they are known. More than the connection can carry has to be forced, and so has a second statement before
    /// a register was read.
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
            if at.since(wall) > limits.ahead {
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
        let exported = export.map(|export| self.export.assess(at, export, limits));
        let imported = self.import.assess(at, import, limits);
        let export = match exported.transpose() {
            Ok(belief) => belief.map(|belief| note(Channel::Export, belief, anomalies)),
            Err(fault) => {
                anomalies.push(Anomaly::Doubted { channel: Channel::Export, fault });
                None
            }
        };
        let belief = imported.map_err(|fault| Anomaly::Doubted { channel: Channel::Import, fault })?;
        self.blind |= belief.unmeasured > 0;
        if belief.stated {
            self.anew.get_or_insert(at);
        }
        let import = note(Channel::Import, belief, anomalies);
        if self.device.is_none() {
            self.device.clone_from(device);
        }
        Ok(Point { at, import, export })
    }

    /// Gives the boundaries between the last point and this one that either was read close enough to.
    fn settle(&mut self, point: Point, limits: &Limits, assessment: &mut Assessment) {
        let length = u64::from(limits.slot.seconds());
        let tolerance = limits.tolerance;
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
                self.give(slot, &chosen, assessment);
            }
        }
        if let Some(before) = self.before
            && before.at.0 / length < last
        {
            self.count_off(point.at.0 - last * length, last * length - before.at.0, limits, assessment);
        }
        self.before = Some(point);
    }

    /// Counts a slot that began between two registers of which neither is near enough to its start: one is an accident, more
    /// are how the meter is read.
    fn count_off(&mut self, after: u64, ahead: u64, limits: &Limits, assessment: &mut Assessment) {
        let (off, tolerance) = (after.min(ahead), limits.tolerance);
        if off <= tolerance {
            self.off = 0;
            return;
        }
        self.off = self.off.saturating_add(1);
        if self.off > 1 {
            assessment.anomalies.push(Anomaly::OffStarts { slots: self.off, off, tolerance });
        }
    }

    fn give(&mut self, slot: u64, point: &Point, assessment: &mut Assessment) {
        let (Ok(at), Some(register)) = (u32::try_from(slot).map(Slot), whole(point.import)) else { return };
        let skipped = self.given.map_or(0, |given| at.0.saturating_sub(given.0 + 1));
        if self.given.is_some_and(|given| at <= given) || (self.blind && self.given.is_some() && skipped == 0)
        {
            return;
        }
        if let Some(given) = self.given
            && skipped > 0
        {
            assessment.anomalies.push(Anomaly::Missing { first: Slot(given.0 + 1), slots: skipped });
        }
        (self.given, self.blind) = (Some(at), false);
        let anew = self.anew.take_if(|since| *since <= point.at).is_some();
        assessment.readings.push(Reading { at, register, export: point.export.and_then(whole), anew });
    }
}

/// A power has a sign, registers have a channel each.
fn channels(import: Quantity, export: Option<Quantity>) -> (Quantity, Option<Quantity>) {
    match (import, export) {
        (Quantity::Power(watts), None) => {
            let (into, out) = (watts.max(Decimal::ZERO), (-watts).max(Decimal::ZERO));
            (Quantity::Power(into), Some(Quantity::Power(out)))
        }
        // what is exported is reported apart
        (Quantity::Power(watts), export) => (Quantity::Power(watts.max(Decimal::ZERO)), export),
        both => both,
    }
}

fn note(channel: Channel, belief: Belief, anomalies: &mut Vec<Anomaly>) -> Decimal {
    let Belief { billed, after, unmeasured, .. } = belief;
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
