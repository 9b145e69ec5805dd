//! A meter's part: a batch of energies becomes one ciphertext under the collective key.

use ckks::{EncodeError, Mismatch, Plaintext, PublicKey, Wire, WireError};
use protocol::unit::WattHours;
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::setup::Setup;

/// Why a batch is not encrypted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncryptError {
    /// The batch does not fit its window.
    #[error("{len} slots from {offset} on do not fit a window of {window}")]
    Window {
        /// The batch's slots.
        len: usize,
        /// Where it begins.
        offset: usize,
        /// The window's slots.
        window: usize,
    },
    /// An energy below nothing, which no register gives.
    #[error("slot {0} of the batch carries less than nothing")]
    Negative(usize),
    /// The lattice refuses the values.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The key and the plaintext do not belong together.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// Encrypts under one collective key.
#[derive(Clone, Debug)]
pub struct Encryptor {
    setup: Setup,
    public: PublicKey,
}

impl Encryptor {
    /// Takes a public key's bytes.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn new(setup: Setup, public: &[u8]) -> Result<Self, WireError> {
        let public = PublicKey::from_bytes(setup.params(), public)?;
        Ok(Self { setup, public })
    }

    /// The plan's lattice.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Encrypts a batch that begins at `offset` of its window. A slot beyond the plan's full scale counts as full scale: were the
    /// batch left out, everybody who sees uploads would read off a missing one that a slot was above what the utility chose.
    ///
    /// # Errors
    ///
    /// [`EncryptError`].
    pub fn encrypt<R: CryptoRng>(
        &self,
        offset: usize,
        energies: &[WattHours],
        rng: &mut R,
    ) -> Result<Vec<u8>, EncryptError> {
        let (len, window) = (energies.len(), self.setup.window());
        if len == 0 || offset + len > window {
            return Err(EncryptError::Window { len, offset, window });
        }
        let full = i64::from(self.setup.plan().full_scale);
        if let Some(slot) = energies.iter().position(|energy| energy.0 < 0) {
            return Err(EncryptError::Negative(slot));
        }
        #[expect(clippy::cast_precision_loss, reason = "energies are below 2^16")]
        let ratio = |energy: &WattHours| energy.0.min(full) as f64 / full as f64;
        let zeros = std::iter::repeat_n(0.0, offset);
        let values: Zeroizing<Vec<f64>> = Zeroizing::new(zeros.chain(energies.iter().map(ratio)).collect());
        let plaintext = Plaintext::from_slots(self.setup.params(), &values, self.setup.scale())?;
        Ok(self.public.encrypt(&plaintext, self.setup.level(), rng)?.to_bytes())
    }
}
