//! Encrypted load vectors, and their sum, which nobody needs a key for.

use ckks::{LiveCiphertext, Mismatch, Wire, WireError};
use protocol::roster::Roster;
use protocol::unit::SlotRange;

use super::layout::Layout;
use super::{DROPPED, params, seed};

/// An encrypted load vector of the interval that it was checked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vector(LiveCiphertext);

/// Why bytes are no load vector of this interval.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// The bytes are no ciphertext of these parameters.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Another common part than the interval's, another level or scale.
    #[error("a ciphertext under another common part, level or scale than the interval's")]
    Foreign,
    /// Another number of values, or of bits.
    #[error("a ciphertext of {found} values, {wanted} wanted")]
    Values {
        /// Values found.
        found: usize,
        /// Values wanted.
        wanted: usize,
    },
}

impl Vector {
    /// Takes the ciphertext of an interval.
    ///
    /// # Errors
    ///
    /// [`VectorError`].
    pub fn parse(bytes: &[u8], interval: SlotRange, roster: &Roster) -> Result<Self, VectorError> {
        let ciphertext = LiveCiphertext::from_bytes(params(), bytes)?;
        let wanted = Layout::new(interval.len()).len();
        if ciphertext.live() != wanted || ciphertext.dropped() != DROPPED {
            return Err(VectorError::Values { found: ciphertext.live(), wanted });
        }
        let ours = ciphertext.seed() == seed(roster, interval)
            && ciphertext.level() == params().max_level()
            && *ciphertext.scale() == params().scale();
        if ours { Ok(Self(ciphertext)) } else { Err(VectorError::Foreign) }
    }

    /// The header of a ciphertext, for people: whoever sees the bytes may know it.
    ///
    /// # Errors
    ///
    /// [`WireError`] if the bytes are no ciphertext of the grid path's parameters.
    pub fn describe(bytes: &[u8]) -> Result<String, WireError> {
        let ciphertext = LiveCiphertext::from_bytes(params(), bytes)?;
        let seed = ciphertext.seed().0;
        Ok(format!(
            "live ciphertext, N = {}, log2 Q = {:.0}, level {}, {} values, {} low bits left out, common part {:02x}{:02x}{:02x}{:02x}",
            params().n(),
            params().log_q(ciphertext.level()),
            ciphertext.level(),
            ciphertext.live(),
            ciphertext.dropped(),
            seed[0],
            seed[1],
            seed[2],
            seed[3],
        ))
    }

    pub(super) fn ciphertext(&self) -> &LiveCiphertext {
        &self.0
    }
}

/// A sum of load vectors, as far as it has been added up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Total(Option<LiveCiphertext>);

impl Total {
    /// Adds a load vector.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] if it is of another interval; the sum is unchanged.
    pub fn add(&mut self, vector: &Vector) -> Result<(), Mismatch> {
        if let Some(sum) = &mut self.0 {
            return sum.add_assign(&vector.0);
        }
        self.0 = Some(vector.0.clone());
        Ok(())
    }

    /// Its bytes; none if nothing was added.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        self.0.as_ref().map(Wire::to_bytes)
    }
}
