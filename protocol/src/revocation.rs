//! Revocations: the registrar's word that a meter measures no more from some time on.
//!
//! What ended before that time stays good: it is taken late, and billed. A revocation is final; of two for one meter the
//! earlier time holds, so that nobody gains by an order of arrival. Whoever is to go on measuring at the service point is
//! enrolled anew, with a key of its own.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::certificate::deployment_context;
use crate::id::{Deployment, MeterId};
use crate::signature::{Document, OpenError, Signed, VerifyingKey};
use crate::unit::{Slot, SlotLength, SlotRange, Timestamp};

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 120;

/// Why a meter is revoked, for people: 1 to [`MAX_REASON`] bytes without control characters, since logs show it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

/// Text that is no reason.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a reason of {len} bytes is not within 1 to {MAX_REASON} bytes without control characters")]
pub struct ReasonError {
    /// Its length in bytes.
    len: usize,
}

impl TryFrom<String> for Reason {
    type Error = ReasonError;

    fn try_from(text: String) -> Result<Self, ReasonError> {
        let fits = (1..=MAX_REASON).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err(ReasonError { len: text.len() }) }
    }
}

impl std::str::FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the registrar signs.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Revocation {
    /// The meter.
    pub meter: MeterId,
    /// Slots that end later are not taken any more.
    pub from: Timestamp,
    /// Why, for people.
    pub reason: Reason,
}

impl Document for Revocation {
    const KIND: &'static str = "revocation";
}

impl Revocation {
    /// Takes a revocation and checks that the registrar signed it for this deployment.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(
        bytes: &[u8],
        registrar: &VerifyingKey,
        deployment: &Deployment,
    ) -> Result<Signed<Self>, OpenError> {
        Signed::open(bytes, registrar, &deployment_context(deployment))
    }

    /// Whether it speaks against slots: some of them end after it.
    pub fn stops(&self, slots: SlotRange, length: SlotLength) -> bool {
        length.start_of(slots.end()) > self.from
    }

    /// The first slot that it speaks against.
    pub fn first_slot(&self, length: SlotLength) -> Option<Slot> {
        // The slot that `from` is within ends after it.
        length.slot_at(self.from)
    }

    /// Whether it holds where `known`, if there is one, is what is known of the meter so far.
    pub fn precedes(&self, known: Option<&Self>) -> bool {
        known.is_none_or(|known| self.from < known.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(from: u64) -> Revocation {
        Revocation {
            meter: MeterId::from([1; 16]),
            from: Timestamp(from),
            reason: "moved out".parse().unwrap(),
        }
    }

    /// Slots that end at the time are taken, slots that end later are not; the first of those is known.
    #[test]
    fn slots_before_it_are_taken() {
        let hour = SlotLength::try_from(3_600).unwrap();
        for from in [36_000, 36_001, 39_599] {
            let revocation = revocation(from);
            for end in 1..20 {
                let slots = SlotRange::new(Slot(0), Slot(end)).unwrap();
                assert_eq!(revocation.stops(slots, hour), end > 10, "{from} {end}");
            }
            assert_eq!(revocation.first_slot(hour), Some(Slot(10)));
        }
    }

    /// The earlier of two holds, whichever comes first.
    #[test]
    fn the_earlier_holds() {
        let (early, late) = (revocation(1), revocation(2));
        assert!(early.precedes(None) && early.precedes(Some(&late)));
        assert!(!late.precedes(Some(&early)) && !late.precedes(Some(&late)));
    }

    /// A reason is a line of text.
    #[test]
    fn reasons_are_a_line() {
        for good in ["x", "Zähler getauscht", &"a".repeat(MAX_REASON)] {
            assert_eq!(good.parse::<Reason>().unwrap().to_string(), good);
        }
        for bad in ["", "two\nlines", "\u{1b}[2J", &"a".repeat(MAX_REASON + 1)] {
            assert_eq!(bad.parse::<Reason>(), Err(ReasonError { len: bad.len() }));
        }
    }
}
