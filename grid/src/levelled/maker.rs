//! An aggregator's part in making a collective key (Mouchet and others, eprint 2020/304), and the dealing of its secret.
//!
//! Everything follows from 32 secret bytes and from what the others revealed, so a crash between two rounds costs nothing: the
//! ephemeral secret of the relinearisation key is drawn again, the same. Noise is drawn for the seed, or for the first shares,
//! that it is used with: whoever was shown two different ones never uses the same noise twice.

use ckks::{
    ActiveSet, DealtShare, KeyShare, Mismatch, PublicKey, RelinCeremony, RelinKey, SecretKey, Seed,
    ThresholdError, Wire, WireError,
};
use protocol::id::Hash;
use protocol::shamir::Point;
use protocol::signature::hash;
use protocol::wire;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::setup::Setup;

/// Why a key can't be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MakeError {
    /// An aggregator's bytes are no share of this key.
    #[error("what aggregator {0} revealed is no share of this key")]
    Share(Point),
    /// Shares that do not belong together.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The parameters have no key switching.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// A box of shares holds something else.
    #[error("the dealt shares are not one for each active set")]
    Deal,
    /// Bytes that are none of these objects.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// What an aggregator revealed, by its point.
pub type Revealed<'a> = [(Point, &'a [u8])];

/// What one aggregator is dealt of another's secret, in the clear.
pub type Dealt = (Point, Zeroizing<Vec<u8>>);

/// An aggregator's maker. It does not print its secret.
pub struct Maker {
    setup: Setup,
    key: Hash,
    master: Zeroizing<[u8; 32]>,
    secret: SecretKey,
}

impl std::fmt::Debug for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maker").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Maker {
    /// The maker of a key from 32 secret bytes, which belong to this key alone.
    pub fn new(setup: Setup, key: Hash, master: Zeroizing<[u8; 32]>) -> Self {
        let secret = Zeroizing::new(*hash("levelled secret", &[key.as_bytes(), &master[..]]).as_bytes());
        let secret = SecretKey::from_seed(setup.params(), &secret);
        Self { setup, key, master, secret }
    }

    fn stream(&self, label: &str, context: &Hash) -> ChaCha20Rng {
        let seed = hash(label, &[self.key.as_bytes(), &self.master[..], context.as_bytes()]);
        ChaCha20Rng::from_seed(*seed.as_bytes())
    }

    /// The first round: 32 random bytes.
    pub fn seed(&self) -> Vec<u8> {
        hash("levelled seed", &[self.key.as_bytes(), &self.master[..]]).as_bytes().to_vec()
    }

    /// The second round: shares of the public key and of the first half of the relinearisation key.
    ///
    /// # Errors
    ///
    /// [`MakeError`] if the plan's parameters have no key switching where they should.
    pub fn first(&self, seeds: &Revealed<'_>) -> Result<Vec<u8>, MakeError> {
        let joint = joint(&self.key, seeds);
        let seed = uniform("levelled public", &joint);
        let public = KeyShare::public(&self.secret, seed, &mut self.stream("levelled public noise", &joint));
        let relin = if self.setup.multiplies() {
            let ceremony = self.ceremony(&joint)?;
            Some(ByteBuf::from(ceremony.first(&mut self.stream("levelled first noise", &joint)).to_bytes()))
        } else {
            None
        };
        Ok(wire::encode(&(ByteBuf::from(public.to_bytes()), relin)))
    }

    /// The third round: shares of the second half of the relinearisation key.
    ///
    /// # Errors
    ///
    /// [`MakeError`], naming the aggregator whose first shares are none.
    pub fn second(&self, seeds: &Revealed<'_>, firsts: &Revealed<'_>) -> Result<Vec<u8>, MakeError> {
        let shares = self.relin_firsts(firsts)?;
        let context = joint(&self.key, firsts);
        let ceremony = self.ceremony(&joint(&self.key, seeds))?;
        Ok(ceremony.second(&shares, &mut self.stream("levelled second noise", &context))?.to_bytes())
    }

    /// The public key.
    ///
    /// # Errors
    ///
    /// [`MakeError`], naming the aggregator whose shares are none.
    pub fn public_key(&self, firsts: &Revealed<'_>) -> Result<Vec<u8>, MakeError> {
        let shares = firsts.iter().map(|(point, bytes)| Ok((*point, self.parse_first(*point, bytes)?.0)));
        let shares = shares.collect::<Result<Vec<_>, MakeError>>()?;
        let shares = together(shares, |pair| PublicKey::collective(pair).is_ok())?;
        Ok(PublicKey::collective(&shares)?.to_bytes())
    }

    /// The relinearisation key.
    ///
    /// # Errors
    ///
    /// [`MakeError`], naming the aggregator whose shares are none.
    pub fn relin_key(&self, firsts: &Revealed<'_>, seconds: &Revealed<'_>) -> Result<Vec<u8>, MakeError> {
        let firsts = self.relin_firsts(firsts)?;
        let seconds = seconds.iter().map(|(point, bytes)| self.parse(*point, bytes));
        let seconds = seconds.collect::<Result<Vec<KeyShare>, _>>()?;
        Ok(RelinKey::collective(&firsts, &seconds)?.to_bytes())
    }

    /// What each member of the active sets is dealt of this aggregator's secret.
    ///
    /// The sharing of every set is independent of all others, which is what makes asking another set safe.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] for points that do not ascend.
    pub fn deals(&self, points: &[Point], t: usize) -> Result<Vec<Dealt>, ThresholdError> {
        let sets = active_sets(points, t)?;
        let mut boxes: Vec<(Point, Vec<(ByteBuf, ByteBuf)>)> =
            points.iter().map(|point| (*point, Vec::new())).collect();
        for set in &sets {
            let name = hash("active set", &[set.members()]);
            let shares = self.secret.share(set, &mut self.stream("levelled deal", &name));
            for (member, share) in set.members().iter().zip(shares) {
                if let Some((_, own)) = boxes.iter_mut().find(|(point, _)| u8::from(*point) == *member) {
                    own.push((ByteBuf::from(set.members()), ByteBuf::from(share.to_bytes())));
                }
            }
        }
        Ok(boxes.into_iter().map(|(point, own)| (point, Zeroizing::new(wire::encode(&own)))).collect())
    }

    fn ceremony(&self, joint: &Hash) -> Result<RelinCeremony<'_>, Mismatch> {
        let seed = uniform("levelled relin", joint);
        RelinCeremony::new(&self.secret, seed, &mut self.stream("levelled ephemeral", joint))
    }

    fn parse(&self, point: Point, bytes: &[u8]) -> Result<KeyShare, MakeError> {
        KeyShare::from_bytes(self.setup.params(), bytes).map_err(|_| MakeError::Share(point))
    }

    fn parse_first(&self, point: Point, bytes: &[u8]) -> Result<(KeyShare, Option<KeyShare>), MakeError> {
        let (public, relin): (ByteBuf, Option<ByteBuf>) =
            wire::decode_own(bytes).map_err(|_| MakeError::Share(point))?;
        let relin = relin.map(|relin| self.parse(point, &relin)).transpose()?;
        if relin.is_some() != self.setup.multiplies() {
            return Err(MakeError::Share(point));
        }
        Ok((self.parse(point, &public)?, relin))
    }

    fn relin_firsts(&self, firsts: &Revealed<'_>) -> Result<Vec<KeyShare>, MakeError> {
        let shares = firsts.iter().map(|(point, bytes)| {
            Ok((*point, self.parse_first(*point, bytes)?.1.ok_or(MakeError::Share(*point))?))
        });
        Ok(shares.collect::<Result<Vec<_>, MakeError>>()?.into_iter().map(|(_, share)| share).collect())
    }
}

/// Names who does not belong to the first.
fn together(
    shares: Vec<(Point, KeyShare)>,
    fit: impl Fn(&[KeyShare]) -> bool,
) -> Result<Vec<KeyShare>, MakeError> {
    for (point, share) in &shares[1..] {
        if !fit(&[shares[0].1.clone(), share.clone()]) {
            return Err(MakeError::Share(*point));
        }
    }
    Ok(shares.into_iter().map(|(_, share)| share).collect())
}

/// The hash of all that was revealed, in the order of the points: uniform if one of the seeds is, given that all were
/// committed to before.
fn joint(key: &Hash, revealed: &Revealed<'_>) -> Hash {
    let mut parts: Vec<Hash> = vec![*key];
    parts.extend(
        revealed.iter().map(|(point, bytes)| hash("levelled revealed", &[&[u8::from(*point)], bytes])),
    );
    let parts: Vec<&[u8]> = parts.iter().map(|part| &part.as_bytes()[..]).collect();
    hash("levelled joint", &parts)
}

fn uniform(label: &str, joint: &Hash) -> Seed {
    Seed(*hash(label, &[joint.as_bytes()]).as_bytes())
}

/// Every set of t of these points.
pub(super) fn active_sets(points: &[Point], t: usize) -> Result<Vec<ActiveSet>, ThresholdError> {
    let numbers = |set: &Vec<Point>| set.iter().map(|point| u8::from(*point)).collect::<Vec<_>>();
    Point::sets(points, t).iter().map(|set| ActiveSet::new(&numbers(set))).collect()
}

/// Takes the shares that somebody dealt to `to`: one for each active set that it is in, in their order.
pub(super) fn read_deal(
    setup: &Setup,
    sets: &[ActiveSet],
    to: Point,
    bytes: &[u8],
) -> Result<Vec<(ActiveSet, DealtShare)>, MakeError> {
    let dealt: Vec<(ByteBuf, ByteBuf)> = wire::decode_own(bytes).map_err(|_| MakeError::Deal)?;
    let mine: Vec<&ActiveSet> = sets.iter().filter(|set| set.position(u8::from(to)).is_some()).collect();
    let named = dealt.iter().map(|(members, _)| &members[..]);
    if !named.eq(mine.iter().map(|set| set.members())) {
        return Err(MakeError::Deal);
    }
    let read = |(set, (_, share)): (&ActiveSet, &(ByteBuf, ByteBuf))| {
        Ok((set.clone(), DealtShare::from_bytes(setup.params(), share).map_err(|_| MakeError::Deal)?))
    };
    mine.into_iter().zip(&dealt).map(read).collect()
}
