//! A plan: what the utility signs before a collective key is made. Its hash names the key.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::QueryId;
use crate::signature::Document;
use crate::unit::{Slot, SlotRange};

/// Which lattice parameters: the larger, the more can be computed, and the longer a ciphertext.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Profile {
    /// N = 4096: sums and means.
    Light,
    /// N = 8192: also variances, weighted sums and forecasts.
    Medium,
    /// N = 16384: the same with longer windows and finer results.
    Strong,
    /// N = 32768: also maxima and minima.
    Largest,
}

/// A number that names no profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("profile {0} is not one of 1 (light), 2 (medium), 3 (strong), 4 (largest)")]
pub struct ProfileError(u8);

impl TryFrom<u8> for Profile {
    type Error = ProfileError;

    fn try_from(number: u8) -> Result<Self, ProfileError> {
        Self::ALL.into_iter().find(|profile| u8::from(*profile) == number).ok_or(ProfileError(number))
    }
}

impl From<Profile> for u8 {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Light => 1,
            Profile::Medium => 2,
            Profile::Strong => 3,
            Profile::Largest => 4,
        }
    }
}

impl Profile {
    /// Every profile, smallest first.
    pub const ALL: [Self; 4] = [Self::Light, Self::Medium, Self::Strong, Self::Largest];

    /// Its name, in configurations and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Medium => "medium",
            Self::Strong => "strong",
            Self::Largest => "largest",
        }
    }
}

/// What a collective key is to be for.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Plan {
    /// 16 random bytes: two plans are never the same.
    pub nonce: QueryId,
    /// The lattice parameters.
    pub profile: Profile,
    /// The energy that counts as one, in watt-hours; a slot that carries more counts as this.
    pub full_scale: u32,
    /// Slots a window; windows begin at multiples of it.
    pub window: u16,
    /// The fewest members of a set.
    pub k: u16,
    /// `log2` of how many answers an aggregator gives under the key.
    pub log_openings: u8,
    /// How many bits of statistical security the smudging has over all these answers.
    pub smudging_bits: u8,
}

impl Document for Plan {
    const KIND: &'static str = "plan";
}

impl Plan {
    /// Which window a slot is in.
    pub fn window_of(&self, slot: Slot) -> u32 {
        slot.0 / u32::from(self.window.max(1))
    }

    /// The slots of a window; nothing for a window beyond the last slot.
    pub fn slots_of(&self, window: u32) -> Option<SlotRange> {
        let start = window.checked_mul(u32::from(self.window))?;
        SlotRange::new(Slot(start), Slot(start.checked_add(self.window.into())?)).ok()
    }

    /// Where in its window a batch is, if it is in one.
    pub fn place(&self, slots: SlotRange) -> Option<(u32, usize)> {
        let window = self.window_of(slots.start());
        let whole = self.slots_of(window)?;
        whole.covers(slots).then(|| (window, (slots.start().0 - whole.start().0) as usize))
    }
}
