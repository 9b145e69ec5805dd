//! A meter's key on the grid path.

use std::fmt;

use ckks::{Plaintext, SecretKey, Wire};
use protocol::roster::Roster;
use protocol::unit::SlotRange;
use protocol::wire;
use rand::CryptoRng;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::layout::Loads;
use super::{DROPPED, common, params, sets};

/// A meter's key. It does not print.
pub struct GridKey(SecretKey);

impl fmt::Debug for GridKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GridKey").finish_non_exhaustive()
    }
}

impl GridKey {
    /// The key of 32 uniform bytes, which the meter stores.
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(SecretKey::from_seed(params(), seed))
    }

    /// Encrypts the loads of an interval: about 9 bytes a value.
    ///
    /// **Once for a key and interval.** Two such ciphertexts differ by their loads, for anyone to see: the bytes are stored
    /// and sent again.
    ///
    /// # Panics
    ///
    /// Never: loads are bounded so that their vectors can be encoded.
    pub fn encrypt<R: CryptoRng>(
        &self,
        loads: &Loads,
        interval: SlotRange,
        roster: &Roster,
        rng: &mut R,
    ) -> Vec<u8> {
        let vector = loads.to_vector(roster.slot());
        let params = params();
        let plaintext = Plaintext::from_integers(params, &vector, &params.scale())
            .expect("a load vector's values are below 2^48, and Q/2Δ is 2^53");
        let ciphertext = self
            .0
            .encrypt_live(&plaintext, &common(roster, interval), vector.len(), DROPPED, rng)
            .expect("a load vector has at most N values");
        ciphertext.to_bytes()
    }

    /// An independent additive sharing of the key for every active set: what each aggregator is to have, in the
    /// roster's order.
    pub fn deal<R: CryptoRng>(&self, roster: &Roster, rng: &mut R) -> Vec<Zeroizing<Vec<u8>>> {
        let mut of_aggregators: Vec<Vec<Zeroizing<Vec<u8>>>> = vec![Vec::new(); roster.n()];
        for set in sets(roster) {
            for (member, share) in set.members().iter().zip(self.0.share(&set, rng)) {
                of_aggregators[usize::from(*member) - 1].push(Zeroizing::new(share.to_bytes()));
            }
        }
        let encode = |shares: Vec<Zeroizing<Vec<u8>>>| {
            let shares: Vec<ByteBuf> = shares.iter().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
            let encoded = Zeroizing::new(wire::encode(&shares));
            drop(shares.into_iter().map(|bytes| Zeroizing::new(bytes.into_vec())).collect::<Vec<_>>());
            encoded
        };
        of_aggregators.into_iter().map(encode).collect()
    }
}
