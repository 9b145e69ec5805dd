//! One channel: what its register was, what it may be next, and how interval energies and powers become one.
//!
//! The rule. The connection carries `P` watts, and `B` is what that is in a slot, at least a kilowatt-hour: the coarsest
//! register stands still and then steps by as much.
//! * **The bound.** Over any stretch of `t` seconds no more than `P·t + B` is believed: a bucket of `B` that `P` fills. One
//!   step may be as high as what is in the bucket, or as `P` times the time since the last believed register. After a long
//!   silence a normal use is therefore believed at once, and two readings that are close together do not get a slot's energy
//!   each.
//! * **A step that is a little too high**, by no more than a quarter of `B`, waits: it is believed as soon as the rate since
//!   the last believed register is within the bound.
//! * **A level** is a register that is below the last one, or further above. Levels are remembered, each with the readings
//!   that go on from it. A reading that goes on from one of them is not believed, however long ago the last believed one is:
//!   time makes no offset plausible, and a reset that has grown past the old register has not come back.
//! * **A return** is a plausible register that goes on from no level: the step back is what tells a glitch. A fall can be so near
//!   to zero that both can be said of one reading. It is a return then if it is the first after the only reading of the level, and
//!   comes within a slot's time, or lies above the last believed register by no more than an eighth of the fall. What the old line
//!   cannot explain, a person has to. A low level that is left again for a higher one was a glitch of that.
//! * **A register that was believed and was too high** within the bound shows when the next one is below it and goes on from
//!   the one before. Nothing is then billed until the register has reached it; there is nothing to type.

use std::fmt;

use protocol::unit::{MAX_REGISTER_WH, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::anomaly::Fault;
use super::limits::Limits;
use super::rebase::RebaseError;
use crate::measurement::Quantity;

/// After so many readings at another level that agree with each other, the register will hardly come back.
const STANDS: u32 = 3;

/// Levels that are remembered: of more, those that most readings are of.
const LEVELS: usize = 16;

/// Seconds after its last reading in which an old device's closing register may still have grown as the connection allows.
const CLOSING: u64 = 86_400;

/// One channel's state.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Track {
    /// The last register that was believed.
    last: Option<Sample>,
    /// What makes the billed register of the device's: it changes with each rebase only.
    offset: Decimal,
    /// Registers that were not believed, since the last one that was.
    doubt: Option<Doubt>,
    /// The next register is a new device's and carries on from this billed one.
    adopt: Option<Decimal>,
    /// An operator stated what the next register continues: the slot that it ends may carry more than slots can.
    #[serde(rename = "leap")]
    stated: bool,
    /// What interval energies and powers come to.
    tally: Tally,
    /// The new device's register at the change, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opening: Option<Decimal>,
    /// Nothing was read since a rebase.
    #[serde(rename = "unheard", default, skip_serializing_if = "is_false")]
    unread: bool,
    /// The last believed register that was below [`Track::last`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<Sample>,
    /// What is missing in the bucket, in watt-hours.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    spent: Decimal,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Sample {
    at: Timestamp,
    raw: Decimal,
}

#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
struct Doubt {
    seen: Sample,
    /// All of them.
    count: u32,
    /// Those of the latest one's level.
    agreeing: u32,
    /// Where the register was instead; agents that knew no levels wrote none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    levels: Vec<Level>,
}

/// Registers that go on from each other, and not from the last believed one.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Level {
    first: Sample,
    latest: Sample,
    readings: u32,
    /// It goes on from the register before the last believed one, which was too high.
    heals: bool,
}

/// A register made of interval energies or powers.
#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Tally {
    total: Decimal,
    until: Option<Timestamp>,
    power: Option<Decimal>,
}

/// A register that was believed.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Belief {
    /// The billed register in watt-hours.
    pub(super) billed: Decimal,
    /// How many were not believed before it.
    pub(super) after: u32,
    /// Seconds before it that nobody measured.
    pub(super) unmeasured: u64,
    /// It continues what an operator stated.
    pub(super) stated: bool,
}

/// What an operator states of a new level.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(super) struct Change {
    /// The old device's last register.
    pub(super) closing: Option<Decimal>,
    /// The new device's first.
    pub(super) opening: Option<Decimal>,
    /// Whatever it comes to.
    pub(super) force: bool,
    /// When it is stated.
    pub(super) now: Timestamp,
}

/// A register that is no plausible step.
enum Misfit {
    Fall(Decimal),
    /// By how much it rose, and how much of that is beyond the bound.
    Rise(Decimal, Decimal),
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track").finish_non_exhaustive()
    }
}

impl Track {
    /// Goes on from a billed register of which nothing else is known.
    pub(super) fn from_billed(at: Timestamp, billed: Decimal) -> Self {
        Self { last: Some(Sample { at, raw: billed }), ..Self::default() }
    }

    /// Assesses what the meter reported.
    ///
    /// # Errors
    ///
    /// [`Fault`]; then nothing but the doubt has changed.
    pub(super) fn assess(
        &mut self,
        at: Timestamp,
        quantity: Quantity,
        limits: &Limits,
    ) -> Result<Belief, Fault> {
        self.unread = false;
        let (raw, tally, unmeasured) = match quantity {
            Quantity::Register(raw) => (raw, self.tally, 0),
            Quantity::Energy { energy, seconds } => self.tally.energy(at, energy, seconds, limits)?,
            Quantity::Power(watts) => self.tally.power(at, watts, limits)?,
        };
        let billed = self.follow(Sample { at, raw }, quantity, limits)?;
        self.tally = tally;
        let after = self.doubt.take().map_or(0, |doubt| doubt.count);
        Ok(Belief { billed, after, unmeasured, stated: std::mem::take(&mut self.stated) })
    }

    fn follow(&mut self, seen: Sample, quantity: Quantity, limits: &Limits) -> Result<Decimal, Fault> {
        let raw = seen.raw;
        if raw.is_sign_negative() && !raw.is_zero() {
            self.note(seen, None);
            return Err(Fault::Negative);
        }
        let (offset, spent) = match self.base() {
            None => {
                let offset = match self.adopt {
                    Some(billed) => billed.checked_sub(raw).ok_or(Fault::Beyond)?,
                    None => self.offset,
                };
                (offset, Decimal::ZERO)
            }
            Some((base, offset)) => {
                let spent = if self.adopt.is_some() { Decimal::ZERO } else { self.spent };
                match step(base, spent, seen, quantity, limits) {
                    Ok(_) if self.is_of_a_level(seen, base, limits) => {
                        return Err(self.doubted(seen, base, None, limits));
                    }
                    Ok(spent) => (offset, spent),
                    Err(misfit) => return Err(self.misfit(seen, base, &misfit, quantity, limits)),
                }
            }
        };
        let billed = raw.checked_add(offset).filter(|billed| *billed <= Decimal::from(MAX_REGISTER_WH));
        let Some(billed) = billed else {
            self.note(seen, None);
            return Err(Fault::Beyond);
        };
        if self.adopt.is_some() {
            self.earlier = None;
        } else if self.last.is_some_and(|last| last.raw < raw) {
            self.earlier = self.last;
        }
        (self.last, self.offset, self.spent) = (Some(seen), offset, spent);
        (self.adopt, self.opening) = (None, None);
        Ok(billed)
    }

    /// What the next register goes on from, with the offset of its device: nothing at the first one of a device.
    fn base(&self) -> Option<(Sample, Decimal)> {
        let last = self.last?;
        match (self.adopt, self.opening) {
            (None, _) => Some((last, self.offset)),
            (Some(billed), Some(opening)) => Some((Sample { raw: opening, ..last }, billed - opening)),
            (Some(_), None) => None,
        }
    }

    /// A register that can't go on from the last one.
    fn misfit(
        &mut self,
        seen: Sample,
        base: Sample,
        misfit: &Misfit,
        quantity: Quantity,
        limits: &Limits,
    ) -> Fault {
        match (misfit, quantity) {
            // each interval is of its own: there is no level to come back from
            (Misfit::Rise(..), Quantity::Energy { energy, seconds }) => Fault::Energy { energy, seconds },
            (Misfit::Rise(by, beyond), _)
                if *beyond <= limits.slot_energy() / Decimal::from(4)
                    && self.level_of(seen, limits).is_none() =>
            {
                self.note(seen, None);
                Fault::Steep(*by)
            }
            (Misfit::Rise(by, _), _) => self.doubted(seen, base, Some(Fault::Jump(*by)), limits),
            (Misfit::Fall(_), _) if seen.raw.is_zero() => self.doubted(seen, base, Some(Fault::Zero), limits),
            (Misfit::Fall(by), _) => self.doubted(seen, base, Some(Fault::Decrease(*by)), limits),
        }
    }

    /// Notes a register that does not follow, with its level; one that stays is another matter than one that comes and goes.
    fn doubted(&mut self, seen: Sample, base: Sample, fault: Option<Fault>, limits: &Limits) -> Fault {
        let known = self.level_of(seen, limits);
        let level = match known {
            Some((_, level)) => Level { latest: seen, readings: level.readings.saturating_add(1), ..level },
            None => {
                Level { first: seen, latest: seen, readings: 1, heals: self.is_older(seen, base, limits) }
            }
        };
        self.note(seen, Some((known.map(|(index, _)| index), level)));
        let by = base.raw - seen.raw;
        if level.heals && by >= Decimal::ZERO {
            return Fault::High(by);
        }
        match fault {
            Some(fault) if level.readings < STANDS => fault,
            _ => Fault::Stands { readings: level.readings, above: -by },
        }
    }

    fn note(&mut self, seen: Sample, level: Option<(Option<usize>, Level)>) {
        let mut levels = self.levels();
        let agreeing = level.map_or(0, |(_, level)| level.readings);
        match level {
            Some((Some(index), level)) => {
                let left = levels[index].latest;
                levels[index] = level;
                levels.retain(|other| other.first.at <= left.at || other.latest.raw >= left.raw);
            }
            Some((None, level)) => {
                if levels.len() == LEVELS
                    && let Some(least) = levels.iter().map(|known| (known.readings, known.latest.at)).min()
                {
                    levels.retain(|known| (known.readings, known.latest.at) != least);
                }
                levels.push(level);
            }
            None => {}
        }
        let count = self.doubt.as_ref().map_or(0, |doubt| doubt.count).saturating_add(1);
        self.doubt = Some(Doubt { seen, count, agreeing, levels });
    }

    fn levels(&self) -> Vec<Level> {
        let Some(doubt) = &self.doubt else { return Vec::new() };
        if doubt.levels.is_empty() && doubt.agreeing > 0 {
            let Doubt { seen, agreeing, .. } = *doubt;
            return vec![Level { first: seen, latest: seen, readings: agreeing, heals: false }];
        }
        doubt.levels.clone()
    }

    /// The level that a register goes on from, or that it is a part of.
    fn level_of(&self, seen: Sample, limits: &Limits) -> Option<(usize, Level)> {
        let goes_on = |level: &Level| {
            let (low, high) =
                if seen.at >= level.latest.at { (level.latest, seen) } else { (seen, level.latest) };
            let most = limits.slot_energy().max(limits.carried(high.at.since(low.at)));
            high.raw >= low.raw && high.raw - low.raw <= most
        };
        let levels = self.levels().into_iter().enumerate().filter(|(_, level)| goes_on(level));
        levels.min_by_key(|(_, level)| (seen.raw - level.latest.raw).abs())
    }

    /// Whether a register that could go on from the last believed one goes on from another level instead.
    fn is_of_a_level(&self, seen: Sample, base: Sample, limits: &Limits) -> bool {
        let Some((_, level)) = self.level_of(seen, limits) else { return false };
        let (fall, rise) = (base.raw - level.first.raw, seen.raw - base.raw);
        let at_once = seen.at.since(level.latest.at) <= limits.slot.seconds().into();
        let near = at_once || rise <= fall / Decimal::from(8);
        let came_back = fall > Decimal::ZERO && level.readings == 1 && near;
        !level.heals && !came_back
    }

    /// Whether a register that is below the last believed one goes on from the one before that.
    fn is_older(&self, seen: Sample, base: Sample, limits: &Limits) -> bool {
        let quantity = Quantity::Register(seen.raw);
        self.adopt.is_none()
            && !seen.raw.is_zero()
            && seen.raw < base.raw
            && self
                .earlier
                .is_some_and(|earlier| step(earlier, Decimal::ZERO, seen, quantity, limits).is_ok())
    }

    /// States how a new level of the device's register continues the old one, in watt-hours; gives what that adds to the
    /// billed register at once. An earlier statement that no reading confirmed counts no more.
    pub(super) fn rebase(&mut self, change: Change, limits: &Limits) -> Result<Decimal, RebaseError> {
        let Change { closing, opening, force, now } = change;
        let last = self.last.ok_or(RebaseError::Nothing)?;
        if self.unread && !force {
            return Err(RebaseError::Again);
        }
        let levels = self.levels();
        let latest = levels.iter().max_by_key(|level| level.latest.at);
        if let Some(level) = latest
            && level.heals
            && closing.is_none()
            && !force
        {
            return Err(RebaseError::Heals { by: last.raw - level.latest.raw });
        }
        let closing = closing.unwrap_or(last.raw);
        if closing < last.raw {
            return Err(RebaseError::Closing { below: last.raw - closing });
        }
        let adds = closing - last.raw;
        let until = levels.iter().map(|level| level.first.at).min().unwrap_or(now);
        let most = limits.slot_energy().max(limits.carried(until.since(last.at).min(CLOSING)));
        if adds > most && !force {
            return Err(RebaseError::Implausible { adds, most });
        }
        let largest = Decimal::from(MAX_REGISTER_WH);
        let billed = closing.checked_add(self.offset).filter(|billed| *billed <= largest);
        let billed = billed.ok_or(RebaseError::Beyond)?;
        if opening.is_some_and(|opening| opening.is_sign_negative() || opening > largest) {
            return Err(RebaseError::Beyond);
        }
        (self.adopt, self.opening, self.doubt) = (Some(billed), opening, None);
        (self.unread, self.stated) = (true, true);
        Ok(adds)
    }

    /// States that a jump is energy that was used; gives how much of it there is so far.
    pub(super) fn believe_jump(&mut self) -> Result<Decimal, RebaseError> {
        self.last.ok_or(RebaseError::Nothing)?;
        let (base, offset) = self.base().ok_or(RebaseError::NoJump)?;
        let above = self.levels().into_iter().filter(|level| level.first.raw > base.raw);
        let level = above.max_by_key(|level| level.latest.at).ok_or(RebaseError::NoJump)?;
        let billed = level.latest.raw.checked_add(offset);
        billed.filter(|billed| *billed <= Decimal::from(MAX_REGISTER_WH)).ok_or(RebaseError::Beyond)?;
        (self.last, self.offset, self.spent) = (Some(level.first), offset, Decimal::ZERO);
        (self.adopt, self.opening, self.doubt, self.earlier) = (None, None, None, None);
        (self.unread, self.stated) = (true, true);
        Ok(level.latest.raw - base.raw)
    }

    /// Whether a register was ever believed.
    pub(super) fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// Dates what is known at `at` at the latest: the clock was ahead when it was measured.
    pub(super) fn set_back(&mut self, at: Timestamp) {
        for seen in [&mut self.last, &mut self.earlier].into_iter().flatten() {
            seen.at = seen.at.min(at);
        }
        if let Some(until) = &mut self.tally.until {
            *until = (*until).min(at);
        }
        self.spent = Decimal::ZERO;
    }
}

/// What is missing in the bucket after a step from one register to another, if it is a plausible one.
fn step(
    from: Sample,
    spent: Decimal,
    to: Sample,
    quantity: Quantity,
    limits: &Limits,
) -> Result<Decimal, Misfit> {
    if to.raw < from.raw {
        return Err(Misfit::Fall(from.raw - to.raw));
    }
    let full = limits.slot_energy();
    let passed = to.at.since(from.at);
    let left = (full - spent).saturating_add(limits.carried(passed)).min(full);
    let span = match quantity {
        Quantity::Energy { seconds, .. } => seconds.into(),
        Quantity::Register(_) | Quantity::Power(_) => passed,
    };
    let rise = to.raw - from.raw;
    let most = left.max(limits.carried(span));
    if rise > most {
        return Err(Misfit::Rise(rise, rise - most));
    }
    Ok(full - (left - rise).max(Decimal::ZERO))
}

impl Tally {
    fn energy(
        self,
        at: Timestamp,
        energy: Decimal,
        seconds: u32,
        limits: &Limits,
    ) -> Result<(Decimal, Self, u64), Fault> {
        if energy.is_sign_negative() && !energy.is_zero() {
            return Err(Fault::Negative);
        }
        if energy > limits.slot_energy().max(limits.carried(seconds.into())) {
            return Err(Fault::Energy { energy, seconds });
        }
        let start = Timestamp(at.0.saturating_sub(seconds.into()));
        let unmeasured = match self.until {
            Some(until) if start < until => return Err(Fault::Overlap(until.since(start))),
            Some(until) => start.since(until),
            None => 0,
        };
        let total = self.total.checked_add(energy).ok_or(Fault::Beyond)?;
        Ok((total, Self { total, until: Some(at), power: None }, unmeasured))
    }

    /// The trapezoid between two powers, if they are close enough in time to say anything of what was between. No power is
    /// above the connection's, so that no sum of trapezoids is.
    fn power(self, at: Timestamp, watts: Decimal, limits: &Limits) -> Result<(Decimal, Self, u64), Fault> {
        if watts > limits.most_watts {
            return Err(Fault::Power(watts));
        }
        let (Some(until), Some(before)) = (self.until, self.power) else {
            return Ok((self.total, Self { until: Some(at), power: Some(watts), ..self }, 0));
        };
        let elapsed = at.since(until);
        let next = Self { until: Some(at), power: Some(watts), ..self };
        if elapsed > limits.pause {
            return Ok((self.total, next, elapsed));
        }
        let twice = before.checked_add(watts).and_then(|sum| sum.checked_mul(Decimal::from(elapsed)));
        let total =
            twice.and_then(|twice| self.total.checked_add((twice / Decimal::from(7_200)).round_dp(9)));
        Ok(match total {
            Some(total) => (total, Self { total, ..next }, 0),
            None => (self.total, next, elapsed),
        })
    }
}
