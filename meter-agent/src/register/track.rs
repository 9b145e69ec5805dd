//! One channel: what its register was, what it may be next, and how interval energies and powers become one.

use std::fmt;

use protocol::unit::{MAX_REGISTER_WH, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Fault, Limits, RebaseError};
use crate::measurement::Quantity;

/// After so many readings at another level that agree with each other, the register will hardly come back.
const STANDS: u32 = 3;

/// One channel's state.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Track {
    /// The last register that was believed.
    last: Option<Seen>,
    /// What makes the billed register of the device's: it changes with each rebase only.
    offset: Decimal,
    /// Registers that were not believed, since the last one that was.
    doubt: Option<Doubt>,
    /// The next register is a new device's first and carries on from this billed one.
    adopt: Option<Decimal>,
    /// The next register may be any that is not below the last.
    leap: bool,
    /// What interval energies and powers come to.
    tally: Tally,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Seen {
    at: Timestamp,
    raw: Decimal,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Doubt {
    seen: Seen,
    /// All of them.
    count: u32,
    /// The latest ones, as far as they agree.
    agreeing: u32,
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
pub(super) struct Taken {
    /// The billed register in watt-hours.
    pub(super) billed: Decimal,
    /// How many were not believed before it.
    pub(super) after: u32,
    /// Seconds before it that nobody measured.
    pub(super) unmeasured: u64,
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track").finish_non_exhaustive()
    }
}

impl Track {
    /// Takes what the meter told.
    ///
    /// # Errors
    ///
    /// [`Fault`]; then nothing but the doubt has changed.
    pub(super) fn take(
        &mut self,
        at: Timestamp,
        quantity: Quantity,
        limits: &Limits,
    ) -> Result<Taken, Fault> {
        let (raw, tally, unmeasured) = match quantity {
            Quantity::Register(raw) => (raw, self.tally, 0),
            Quantity::Energy { energy, seconds } => self.tally.energy(at, energy, seconds, limits)?,
            Quantity::Power(watts) => self.tally.power(at, watts, limits),
        };
        let billed = self.follow(Seen { at, raw }, limits)?;
        self.tally = tally;
        let after = self.doubt.take().map_or(0, |doubt| doubt.count);
        Ok(Taken { billed, after, unmeasured })
    }

    fn follow(&mut self, seen: Seen, limits: &Limits) -> Result<Decimal, Fault> {
        let Seen { at, raw } = seen;
        if raw.is_sign_negative() && !raw.is_zero() {
            return Err(self.doubted(seen, Fault::Negative, limits));
        }
        let offset = match (self.adopt, self.last) {
            (Some(billed), _) => billed.checked_sub(raw).ok_or(Fault::Beyond)?,
            (None, None) => self.offset,
            (None, Some(last)) => {
                let fault = if raw < last.raw {
                    Some(if raw.is_zero() { Fault::Zero } else { Fault::Decrease(last.raw - raw) })
                } else if !self.leap && raw - last.raw > limits.allowance(at.since(last.at)) {
                    Some(Fault::Jump(raw - last.raw))
                } else {
                    None
                };
                if let Some(fault) = fault {
                    return Err(self.doubted(seen, fault, limits));
                }
                self.offset
            }
        };
        let billed = raw.checked_add(offset).filter(|billed| *billed <= Decimal::from(MAX_REGISTER_WH));
        let Some(billed) = billed else { return Err(self.doubted(seen, Fault::Beyond, limits)) };
        (self.last, self.offset, self.adopt, self.leap) = (Some(seen), offset, None, false);
        Ok(billed)
    }

    /// Notes a register that does not follow; one that stays is another matter than one that comes and goes.
    fn doubted(&mut self, seen: Seen, fault: Fault, limits: &Limits) -> Fault {
        let agrees = |before: Seen| {
            seen.raw >= before.raw && seen.raw - before.raw <= limits.allowance(seen.at.since(before.at))
        };
        let (count, agreeing) = match &self.doubt {
            Some(doubt) if agrees(doubt.seen) => (doubt.count, doubt.agreeing),
            Some(doubt) => (doubt.count, 0),
            None => (0, 0),
        };
        let doubt = Doubt { seen, count: count.saturating_add(1), agreeing: agreeing.saturating_add(1) };
        self.doubt = Some(doubt);
        if doubt.agreeing < STANDS { fault } else { Fault::Stands(doubt.agreeing) }
    }

    /// Says how a new level of the device's register goes on from the old one, in watt-hours.
    pub(super) fn rebase(
        &mut self,
        closing: Option<Decimal>,
        opening: Option<Decimal>,
    ) -> Result<(), RebaseError> {
        let last = self.last.ok_or(RebaseError::Nothing)?;
        let closing = closing.unwrap_or(last.raw);
        if closing < last.raw {
            return Err(RebaseError::Closing { below: last.raw - closing });
        }
        let most = Decimal::from(MAX_REGISTER_WH);
        let billed = closing.checked_add(self.offset).filter(|billed| *billed <= most);
        let billed = billed.ok_or(RebaseError::Beyond)?;
        match opening {
            Some(opening) if opening.is_sign_negative() || opening > most => return Err(RebaseError::Beyond),
            Some(opening) => {
                self.offset = billed - opening;
                self.last = Some(Seen { at: last.at, raw: opening });
                self.adopt = None;
            }
            None => self.adopt = Some(billed),
        }
        (self.doubt, self.leap) = (None, false);
        Ok(())
    }

    /// Says that a jump is energy that was used.
    pub(super) fn believe_jump(&mut self) -> Result<(), RebaseError> {
        self.last.ok_or(RebaseError::Nothing)?;
        (self.doubt, self.leap) = (None, true);
        Ok(())
    }

    /// Whether a register was ever believed.
    pub(super) fn has_begun(&self) -> bool {
        self.last.is_some()
    }
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
        if energy > limits.allowance(seconds.into()) {
            return Err(Fault::Jump(energy));
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

    /// The trapezoid between two powers, if they are close enough in time to say anything of what was between.
    fn power(self, at: Timestamp, watts: Decimal, limits: &Limits) -> (Decimal, Self, u64) {
        let (Some(until), Some(before)) = (self.until, self.power) else {
            return (self.total, Self { until: Some(at), power: Some(watts), ..self }, 0);
        };
        let elapsed = at.since(until);
        let next = Self { until: Some(at), power: Some(watts), ..self };
        if elapsed > limits.hold.into() {
            return (self.total, next, elapsed);
        }
        let twice = before.checked_add(watts).and_then(|sum| sum.checked_mul(Decimal::from(elapsed)));
        let total =
            twice.and_then(|twice| self.total.checked_add((twice / Decimal::from(7_200)).round_dp(9)));
        match total {
            Some(total) => (total, Self { total, ..next }, 0),
            None => (self.total, next, elapsed),
        }
    }
}
