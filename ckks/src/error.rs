//! Why an operation was refused: every mismatch with both sides.

use crate::params::Params;
use crate::scale::Scale;

/// Two operands that do not belong together, or an operation that a ciphertext cannot take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// The operands were made under different parameters.
    #[error("parameters {left:02x?} and {right:02x?} differ")]
    Params {
        /// The hash of the left operand's parameters.
        left: [u8; 16],
        /// The right operand's.
        right: [u8; 16],
    },
    /// The operands are at different levels.
    #[error("levels {left} and {right} differ")]
    Level {
        /// The left operand's level.
        left: usize,
        /// The right operand's.
        right: usize,
    },
    /// The operands have different scales, so their sum would be neither.
    #[error("scales {left} and {right} differ")]
    Scale {
        /// The left operand's scale.
        left: Scale,
        /// The right operand's.
        right: Scale,
    },
    /// The operands are under different common parts.
    #[error("common parts of seeds {left:02x?} and {right:02x?} differ")]
    CommonPart {
        /// The left operand's seed.
        left: crate::Seed,
        /// The right operand's.
        right: crate::Seed,
    },
    /// The level is above the one there is.
    #[error("level {wanted} was asked for, and there is {found}")]
    NoLevel {
        /// The level of the operand, or the highest of the parameters.
        found: usize,
        /// The level asked for.
        wanted: usize,
    },
    /// A ciphertext has the wrong number of parts: relinearise before this, or do not.
    #[error("a ciphertext of {found} parts was given where {wanted} are wanted")]
    Parts {
        /// Parts of the operand.
        found: usize,
        /// Parts wanted.
        wanted: usize,
    },
    /// There is no key for a rotation.
    #[error("there is no Galois key for {0}")]
    NoGaloisKey(crate::keys::Automorphism),
    /// The parameters have no special prime, so keys cannot be switched.
    #[error("these parameters have no special prime to switch keys with")]
    NoSpecialPrime,
    /// Lengths that have to agree do not.
    #[error("{found} values were given where {wanted} are wanted")]
    Length {
        /// How many were given.
        found: usize,
        /// How many are wanted.
        wanted: usize,
    },
    /// The operands are rounded differently.
    #[error("{left} and {right} low bits were dropped")]
    Dropped {
        /// Low bits dropped of the left operand's values.
        left: u32,
        /// Of the right operand's.
        right: u32,
    },
    /// More low bits are to be dropped than the values have.
    #[error("{found} low bits cannot be dropped from values of {bits} bits")]
    TooManyDropped {
        /// Low bits to be dropped.
        found: u32,
        /// How long the values are.
        bits: u32,
    },
    /// Q is too long for the arithmetic of live values.
    #[error("Q has {found} bits at this level, and live values have at most {max}: use a lower level")]
    LiveModulus {
        /// The length of Q, in bits.
        found: u32,
        /// The largest length.
        max: u32,
    },
    /// A constant or factor could not be encoded at the scale that the operation needs.
    #[error("a factor could not be encoded")]
    Encode(#[from] crate::plaintext::EncodeError),
}

impl Mismatch {
    /// Refuses operands of different parameters.
    pub(crate) fn params(left: &Params, right: &Params) -> Result<(), Self> {
        if left == right {
            return Ok(());
        }
        let (left, right) = (left.hash(), right.hash());
        Err(Self::Params { left, right })
    }

    /// Refuses a level that the parameters do not have.
    pub(crate) fn level(params: &Params, wanted: usize) -> Result<(), Self> {
        let found = params.max_level();
        if wanted > found {
            return Err(Self::NoLevel { found, wanted });
        }
        Ok(())
    }
}
