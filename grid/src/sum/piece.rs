//! What an aggregator gives towards an opening.

use std::fmt;

use ckks::{DealtShare, SecretShare, Wire, WireError};
use protocol::release::result::Pieces;
use protocol::roster::Roster;
use protocol::shamir::Point;
use protocol::unit::SlotRange;
use protocol::wire::{self, DecodeError};
use rand::CryptoRng;
use serde_bytes::ByteBuf;
use zeroize::Zeroize;

use super::layout::Layout;
use super::vector::Total;
use super::{DROPPED, common, params, place, sets, smudging};

/// An aggregator's shares of a key, or of a sum of keys: one for each active set that it is in. They do not print.
#[derive(Clone)]
pub struct KeyShares(Vec<SecretShare>);

impl fmt::Debug for KeyShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyShares").field("sets", &self.0.len()).finish_non_exhaustive()
    }
}

/// Why bytes are no key deal for this aggregator.
#[derive(Debug, thiserror::Error)]
pub enum KeySharesError {
    /// Not a list of shares.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A share that is none of these parameters.
    #[error(transparent)]
    Share(#[from] WireError),
    /// Another number of shares than there are active sets with the aggregator.
    #[error("a deal of {found} shares for an aggregator that is in {wanted} active sets")]
    Sets {
        /// Shares found.
        found: usize,
        /// Sets.
        wanted: usize,
    },
}

impl KeyShares {
    /// The shares of the key zero: where a sum starts.
    pub fn zero(roster: &Roster, point: Point) -> Self {
        Self(vec![SecretShare::zero(params()); sets_of(roster, point)])
    }

    /// Takes what a meter dealt to the aggregator at `point` ([`super::GridKey::deal`]).
    ///
    /// # Errors
    ///
    /// [`KeySharesError`].
    pub fn parse(bytes: &[u8], roster: &Roster, point: Point) -> Result<Self, KeySharesError> {
        let mut shares: Vec<ByteBuf> = wire::decode(bytes)?;
        let (found, wanted) = (shares.len(), sets_of(roster, point));
        if found != wanted {
            return Err(KeySharesError::Sets { found, wanted });
        }
        let expanded: Result<Vec<SecretShare>, WireError> =
            shares.iter().map(|share| Ok(DealtShare::from_bytes(params(), share)?.expand())).collect();
        for share in &mut shares {
            share.zeroize();
        }
        Ok(Self(expanded?))
    }

    /// Adds the shares of another key.
    ///
    /// # Panics
    ///
    /// Never: all shares have the same parameters.
    pub fn add(&mut self, other: &Self) {
        for (sum, share) in self.0.iter_mut().zip(&other.0) {
            sum.add_assign(share).expect("all shares have the grid path's parameters");
        }
    }

    /// The aggregator's pieces of the opening of `total`, these being its shares of the sum of the members' keys. `None` for
    /// an empty total.
    ///
    /// **Once for an interval**: the pieces are stored and sent again.
    ///
    /// # Panics
    ///
    /// Never: a load vector has fewer values than the ring.
    pub fn pieces<R: CryptoRng>(
        &self,
        total: &Total,
        interval: SlotRange,
        roster: &Roster,
        rng: &mut R,
    ) -> Option<Pieces> {
        let (common, smudging) = (common(roster, interval), smudging());
        let live = Layout::new(interval.len()).len();
        let partial = |share: &SecretShare| {
            let partial = share.partial_live(&common, live, DROPPED, &smudging, rng);
            ByteBuf::from(partial.expect("a load vector has at most N values").to_bytes())
        };
        let sum = ByteBuf::from(total.to_bytes()?);
        Some(Pieces { sum, partials: self.0.iter().map(partial).collect() })
    }
}

/// How many active sets an aggregator is in.
fn sets_of(roster: &Roster, point: Point) -> usize {
    let place = place(roster, point);
    sets(roster).iter().filter(|set| place.is_some_and(|place| set.position(place).is_some())).count()
}
