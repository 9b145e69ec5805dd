//! An aggregator's part in opening results: its shares of the collective secret, one for each active set that it is in.

use std::collections::BTreeMap;

use ckks::{ActiveSet, Ciphertext, Mismatch, SecretShare, ThresholdError, Wire, WireError};
use protocol::levelled::function::Function;
use protocol::shamir::Point;
use protocol::wire;
use rand::CryptoRng;
use serde_bytes::ByteBuf;

use super::accuracy::{Accuracy, Extent, NoRoom};
use super::maker::{MakeError, active_sets, read_deal};
use super::setup::Setup;

/// Why a result is not opened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Not a set that it has shares for.
    #[error("{0:?} is no active set that this aggregator is in")]
    Set(Vec<Point>),
    /// The result is none.
    #[error("the bytes are not the {wanted} ciphertexts of a result")]
    Result {
        /// How many there should be.
        wanted: usize,
    },
    /// Not a ciphertext.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Ciphertexts and shares do not belong together.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The noise leaves nothing to see.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

/// A holder of shares. It does not print them.
pub struct Trustee {
    setup: Setup,
    point: Point,
    sets: Vec<ActiveSet>,
    shares: BTreeMap<Vec<u8>, SecretShare>,
}

impl std::fmt::Debug for Trustee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trustee").field("point", &self.point).finish_non_exhaustive()
    }
}

impl Trustee {
    /// A holder without shares.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] for points that do not ascend.
    pub fn new(setup: Setup, point: Point, points: &[Point], t: usize) -> Result<Self, ThresholdError> {
        Ok(Self { setup, point, sets: active_sets(points, t)?, shares: BTreeMap::new() })
    }

    /// Whether what somebody dealt can be read.
    ///
    /// # Errors
    ///
    /// [`MakeError::Deal`].
    pub fn check(&self, dealt: &[u8]) -> Result<(), MakeError> {
        read_deal(&self.setup, &self.sets, self.point, dealt).map(drop)
    }

    /// Adds what one aggregator dealt; once all n have, the shares are those of the collective secret.
    ///
    /// # Errors
    ///
    /// [`MakeError::Deal`].
    pub fn add(&mut self, dealt: &[u8]) -> Result<(), MakeError> {
        for (set, share) in read_deal(&self.setup, &self.sets, self.point, dealt)? {
            let share = share.expand();
            match self.shares.get_mut(set.members()) {
                Some(sum) => sum.add_assign(&share)?,
                None => drop(self.shares.insert(set.members().to_vec(), share)),
            }
        }
        Ok(())
    }

    /// This aggregator's part in opening a result together with the other members of an active set.
    ///
    /// Keep the answer and give the same again; never compute a second one for one result and set.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open<R: CryptoRng>(
        &self,
        function: &Function,
        extents: &[Extent],
        result: &[u8],
        members: &[Point],
        rng: &mut R,
    ) -> Result<Vec<u8>, OpenError> {
        let set: Vec<u8> = members.iter().map(|point| u8::from(*point)).collect();
        let share = self.shares.get(&set).ok_or_else(|| OpenError::Set(members.to_vec()))?;
        let accuracy = Accuracy::of(&self.setup, function, extents)?;
        let ciphertexts = read_result(&self.setup, function, result)?;
        let mut partials = Vec::new();
        for (ciphertext, output) in ciphertexts.iter().zip(accuracy.outputs()) {
            partials.push(ByteBuf::from(if output.over_slots {
                share.partial_mean(ciphertext, &output.smudging, rng)?.to_bytes()
            } else {
                share.partial(ciphertext, &output.smudging, rng)?.to_bytes()
            }));
        }
        Ok(wire::encode(&partials))
    }
}

/// Takes a result apart.
pub(super) fn read_result(
    setup: &Setup,
    function: &Function,
    result: &[u8],
) -> Result<Vec<Ciphertext>, OpenError> {
    let wanted = Setup::outputs(function);
    let ciphertexts: Vec<ByteBuf> = wire::decode_own(result).map_err(|_| OpenError::Result { wanted })?;
    if ciphertexts.len() != wanted {
        return Err(OpenError::Result { wanted });
    }
    ciphertexts.iter().map(|bytes| Ok(Ciphertext::from_bytes(setup.params(), bytes)?)).collect()
}
