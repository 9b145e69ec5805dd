//! Bytes: versioned, self-describing, exactly bit-packed.
//!
//! | field | bytes |
//! |---|---|
//! | magic `CK`, version 1 | 3 |
//! | kind ([`Kind`]) | 1 |
//! | [`Params::hash`] | 16 |
//! | what the kind says: level, scale, seed, counts | up to 76 |
//! | residues, row by row, each of its prime's length, little-endian bit order | exact |
//!
//! A scale takes a few bytes while it is a power of two, and one or two for each prime it holds: the bound
//! is that of a ciphertext squared all the way down the largest set.
//!
//! Numbers are little-endian; counts and exponents are LEB128 varints, signed ones zigzagged. The
//! form of the residues follows from the kind: live values are coefficients, all else is evaluation
//! form. Reading checks the kind, the parameters, every length before anything is allocated by it,
//! every residue against its prime, and that nothing follows.

mod bits;
mod encoded;
mod objects;
mod reader;
mod writer;

pub use encoded::Encoded;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

use crate::params::Params;

/// What an object is, as its fourth byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// [`crate::Ciphertext`]
    Ciphertext = 1,
    /// [`crate::SeededCiphertext`]
    SeededCiphertext = 2,
    /// [`crate::PublicKey`]
    PublicKey = 3,
    /// [`crate::RelinKey`]
    RelinKey = 4,
    /// [`crate::GaloisKey`]
    GaloisKey = 5,
    /// [`crate::LiveCiphertext`]
    LiveCiphertext = 6,
    /// [`crate::DealtShare`]
    DealtShare = 7,
    /// [`crate::PartialDecryption`]
    PartialDecryption = 8,
    /// [`crate::LivePartial`]
    LivePartial = 9,
    /// A share of a collective key.
    KeyShare = 10,
    /// [`crate::MeanPartial`]
    MeanPartial = 11,
}

/// Why bytes were refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// The bytes end too early, or go on too long.
    #[error("{found} bytes were found where {wanted} are wanted")]
    Length {
        /// Bytes left at the field, or in all.
        found: usize,
        /// Bytes that the field takes.
        wanted: usize,
    },
    /// Not an object of this crate, or of a later version.
    #[error("the object starts with {0:02x?}, not with 43 4b 01")]
    Magic([u8; 3]),
    /// Another kind of object.
    #[error("an object of kind {found} was found where {wanted:?} is wanted")]
    Kind {
        /// The kind's byte.
        found: u8,
        /// The kind asked for.
        wanted: Kind,
    },
    /// Made under other parameters.
    #[error("the object's parameters {found:02x?} are not these, {wanted:02x?}")]
    Params {
        /// The hash in the object.
        found: [u8; 16],
        /// The hash of the parameters given.
        wanted: [u8; 16],
    },
    /// A number that these parameters do not allow.
    #[error("{what} is {found}, and at most {max} here")]
    Range {
        /// The field.
        what: &'static str,
        /// What it says.
        found: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// A residue is not below its prime.
    #[error("residue {found} is not below its prime {prime}")]
    Residue {
        /// The residue.
        found: u32,
        /// The prime.
        prime: u32,
    },
    /// The second part of a ciphertext is zero: it would show its message to everyone.
    #[error("the ciphertext's second part is zero")]
    Transparent,
    /// A field is not in its one canonical form.
    #[error("{0} is not in canonical form")]
    NotCanonical(&'static str),
}

mod sealed {
    use super::{Reader, WireError, Writer};
    use crate::params::Params;

    /// The body of an object, between header and end.
    pub trait Body: Sized {
        /// What the header says it is.
        const KIND: super::Kind;
        #[doc(hidden)]
        fn params(&self) -> &Params;
        #[doc(hidden)]
        fn write(&self, writer: &mut Writer<'_>);
        #[doc(hidden)]
        fn read(params: &Params, reader: &mut Reader<'_>) -> Result<Self, WireError>;
    }
}

pub(crate) use sealed::Body;

/// Objects that travel. Implemented by this crate's objects only.
pub trait Wire: Body {
    /// The bytes, in their one canonical form.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.push(Self::KIND as u8);
        out.extend(self.params().hash());
        self.write(&mut Writer::new(self.params(), &mut out));
        out
    }

    /// Reads an object of these parameters. Costs no more than the bytes' length allows.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    fn from_bytes(params: &Params, bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(params, bytes);
        let magic = reader.array()?;
        if magic != MAGIC {
            return Err(WireError::Magic(magic));
        }
        let found = reader.byte()?;
        let wanted = Self::KIND;
        if found != wanted as u8 {
            return Err(WireError::Kind { found, wanted });
        }
        let (found, wanted) = (reader.array()?, params.hash());
        if found != wanted {
            return Err(WireError::Params { found, wanted });
        }
        let out = Self::read(params, &mut reader)?;
        reader.finish()?;
        Ok(out)
    }
}

impl<T: Body> Wire for T {}

const MAGIC: [u8; 3] = *b"CK\x01";

#[cfg(test)]
mod tests;
