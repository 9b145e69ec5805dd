//! Keys that `n` parties make together, for a secret that none of them knows: the sum of theirs.
//!
//! Every message goes through commit, then reveal: a party first publishes the [`Commitment`] to its
//! share, and the share only when it has everyone's commitment. Otherwise the last to speak would
//! choose the sum (a rogue key). The uniform parts come from a seed to which all contribute in the
//! same way ([`joint_seed`]).
//!
//! The protocols are those of Mouchet, Troncoso-Pastoriza, Bossuat and Hubaux (eprint 2020/304):
//! one round for the public and Galois keys, two for relinearisation. They hold against parties that
//! are curious but follow them. **Use a collective key only with encryptors that are trusted to
//! encrypt honestly**: a crafted ciphertext inside an honest sum reads the collective secret through the
//! partial decryptions, whatever the smudging.

use crate::codec::{Body, Kind, Reader, Wire, WireError, Writer};
use crate::error::Mismatch;
use crate::keys::{Automorphism, GaloisKey, KeyPart, PublicKey, RelinKey, SecretKey, SwitchingKey};
use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::sample;
use crate::seed::{SecretSeed, Seed};
use crate::threshold::{SecretShare, ThresholdError};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroize;

/// A commitment to a message of one party in one ceremony: a SHA-256.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Commitment(pub [u8; 32]);

impl Commitment {
    /// Commits a party to bytes of high entropy: a contribution to a seed, or a share's bytes.
    pub fn new(ceremony: &[u8; 32], party: u8, bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"ckks commitment 1");
        hash.update(ceremony);
        hash.update([party]);
        hash.update(bytes);
        Self(hash.finalize().into())
    }

    /// Refuses bytes that the party did not commit to.
    ///
    /// # Errors
    ///
    /// [`ThresholdError::Commitment`].
    pub fn check(&self, ceremony: &[u8; 32], party: u8, bytes: &[u8]) -> Result<(), ThresholdError> {
        if *self == Self::new(ceremony, party, bytes) {
            return Ok(());
        }
        Err(ThresholdError::Commitment(party))
    }
}

/// The seed of the uniform parts: a hash of everyone's 32 revealed bytes, in the parties' order.
/// Uniform if one party's are, given that all were committed to before any was revealed.
///
/// # Errors
///
/// [`ThresholdError::Commitment`] naming the party whose reveal is not what it committed to;
/// [`ThresholdError::Partials`] if the lengths differ.
pub fn joint_seed(
    ceremony: &[u8; 32],
    commitments: &[Commitment],
    reveals: &[[u8; 32]],
) -> Result<Seed, ThresholdError> {
    if commitments.len() != reveals.len() || reveals.is_empty() {
        let (found, wanted) = (reveals.len(), commitments.len());
        return Err(ThresholdError::Partials { found, wanted });
    }
    let mut hash = Sha256::new();
    hash.update(b"ckks joint seed 1");
    hash.update(ceremony);
    for (party, (commitment, reveal)) in (1..).zip(commitments.iter().zip(reveals)) {
        commitment.check(ceremony, party, reveal)?;
        hash.update(reveal);
    }
    Ok(Seed(hash.finalize().into()))
}

/// What a share of a collective key is a share of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    Public,
    RelinOne,
    RelinTwo,
    Galois,
}

/// One party's share of a collective key: commit to its bytes ([`Wire::to_bytes`]), then reveal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyShare {
    params: Params,
    of: Of,
    seed: Seed,
    polys: Vec<Poly<Eval>>,
}

impl KeyShare {
    /// `-a·s_i + e_i`.
    pub fn public(secret: &SecretKey, seed: Seed, rng: &mut impl CryptoRng) -> Self {
        let params = secret.params();
        let a = sample::uniform(params, Basis::full(params), &seed, 0);
        Self::new(params, Of::Public, seed, vec![PublicKey::part(secret, &a, rng)])
    }

    /// `-a_j·s_i(X^(1/g)) + e_ij + P·g_j·s_i` for each digit `j`. Every automorphism needs a seed of its
    /// own.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoSpecialPrime`].
    pub fn galois(
        secret: &SecretKey,
        automorphism: Automorphism,
        seed: Seed,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Mismatch> {
        let params = special(secret)?;
        let a = SwitchingKey::uniform(params, &seed);
        let mut target = GaloisKey::target(secret, automorphism);
        let polys = SwitchingKey::shares(params, &a, &secret.s, &target, rng);
        target.zeroize();
        Ok(Self::new(params, Of::Galois, seed, polys))
    }

    fn new(params: &Params, of: Of, seed: Seed, polys: Vec<Poly<Eval>>) -> Self {
        let params = params.clone();
        Self { params, of, seed, polys }
    }

    /// The sum of shares of one kind under one seed.
    fn sum(shares: &[Self], of: Of) -> Result<Self, ThresholdError> {
        let (first, rest) = shares.split_first().ok_or(ThresholdError::Partials { found: 0, wanted: 1 })?;
        let mut out = first.clone();
        for share in shares {
            if share.of != of {
                return Err(ThresholdError::Kind);
            }
        }
        for share in rest {
            Mismatch::params(&out.params, &share.params)?;
            same_seed(out.seed, share.seed)?;
            for (a, b) in out.polys.iter_mut().zip(&share.polys) {
                a.add_assign(&out.params, b);
            }
        }
        Ok(out)
    }
}

fn same_seed(left: Seed, right: Seed) -> Result<(), Mismatch> {
    if left == right { Ok(()) } else { Err(Mismatch::CommonPart { left, right }) }
}

fn special(secret: &SecretKey) -> Result<&Params, Mismatch> {
    let params = secret.params();
    match params.special_primes() {
        0 => Err(Mismatch::NoSpecialPrime),
        _ => Ok(params),
    }
}

impl PublicKey {
    /// The collective public key of everyone's [`KeyShare::public`].
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] for shares that do not belong together.
    pub fn collective(shares: &[KeyShare]) -> Result<Self, ThresholdError> {
        let mut sum = KeyShare::sum(shares, Of::Public)?;
        Ok(Self::from_seed(&sum.params, sum.seed, sum.polys.remove(0)))
    }
}

impl GaloisKey {
    /// The collective key of everyone's [`KeyShare::galois`] for this automorphism.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] for shares that do not belong together.
    pub fn collective(automorphism: Automorphism, shares: &[KeyShare]) -> Result<Self, ThresholdError> {
        let sum = KeyShare::sum(shares, Of::Galois)?;
        let a = SwitchingKey::uniform(&sum.params, &sum.seed);
        let key = SwitchingKey::from_plain(&sum.params, KeyPart::Seed(sum.seed), sum.polys, a);
        Ok(Self::from_key(automorphism, key))
    }
}

/// One party's part in the two rounds of a collective relinearisation key. Holds a secret of one use;
/// wiped on drop, never printed.
pub struct RelinCeremony<'a> {
    secret: &'a SecretKey,
    seed: Seed,
    /// `u_i`, ternary.
    ephemeral: Poly<Eval>,
}

impl<'a> RelinCeremony<'a> {
    /// Begins: draws the ephemeral secret.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoSpecialPrime`].
    pub fn new(secret: &'a SecretKey, seed: Seed, rng: &mut impl CryptoRng) -> Result<Self, Mismatch> {
        let params = special(secret)?;
        let small = sample::ternary(params.n(), &SecretSeed::generate(rng), 0);
        let ephemeral = Poly::from_small(params, Basis::full(params), &small).into_eval(params);
        Ok(Self { secret, seed, ephemeral })
    }

    /// The first round: for each digit `h_0 = -u_i·a_j + P·g_j·s_i + e` and `h_1 = s_i·a_j + e'`.
    pub fn first(&self, rng: &mut impl CryptoRng) -> KeyShare {
        let params = self.secret.params();
        let a = SwitchingKey::uniform(params, &self.seed);
        let mut polys = SwitchingKey::shares(params, &a, &self.secret.s, &self.ephemeral, rng);
        let noise = SecretSeed::generate(rng);
        for (j, a) in a.iter().enumerate() {
            polys.push(masked(params, a, &self.secret.s, &noise, j));
        }
        KeyShare::new(params, Of::RelinOne, self.seed, polys)
    }

    /// The second round, from everyone's first: `s_i·h_0 + e` and `(u_i - s_i)·h_1 + e'`.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] for shares that do not belong together.
    pub fn second(&self, firsts: &[KeyShare], rng: &mut impl CryptoRng) -> Result<KeyShare, ThresholdError> {
        let params = self.secret.params();
        let sum = KeyShare::sum(firsts, Of::RelinOne)?;
        Mismatch::params(params, &sum.params)?;
        same_seed(self.seed, sum.seed)?;
        let (h0, h1) = sum.polys.split_at(params.digits());
        let mut difference = self.ephemeral.clone();
        difference.sub_assign(params, &self.secret.s);
        let noise = SecretSeed::generate(rng);
        let mut polys = Vec::new();
        for (part, h) in h0.iter().enumerate() {
            polys.push(masked(params, h, &self.secret.s, &noise, part));
        }
        for (part, h) in h1.iter().enumerate() {
            polys.push(masked(params, h, &difference, &noise, params.digits() + part));
        }
        difference.zeroize();
        Ok(KeyShare::new(params, Of::RelinTwo, self.seed, polys))
    }
}

/// `h·s + e`.
fn masked(params: &Params, h: &Poly<Eval>, s: &Poly<Eval>, noise: &SecretSeed, part: usize) -> Poly<Eval> {
    let e = sample::error(params.n(), noise, part);
    let mut out = Poly::from_small(params, Basis::full(params), &e).into_eval(params);
    out.mul_add(params, h, s);
    out
}

impl Drop for RelinCeremony<'_> {
    fn drop(&mut self) {
        self.ephemeral.zeroize();
    }
}

impl fmt::Debug for RelinCeremony<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelinCeremony").finish_non_exhaustive()
    }
}

impl RelinKey {
    /// The collective key of everyone's two rounds: `(Σ s_i·h_0 + Σ (u_i - s_i)·h_1, h_1)`.
    ///
    /// # Errors
    ///
    /// [`ThresholdError`] for shares that do not belong together, or rounds of different lengths.
    pub fn collective(firsts: &[KeyShare], seconds: &[KeyShare]) -> Result<Self, ThresholdError> {
        let mut one = KeyShare::sum(firsts, Of::RelinOne)?;
        let mut two = KeyShare::sum(seconds, Of::RelinTwo)?;
        let params = one.params.clone();
        Mismatch::params(&params, &two.params)?;
        same_seed(one.seed, two.seed)?;
        if firsts.len() != seconds.len() {
            let (found, wanted) = (seconds.len(), firsts.len());
            return Err(ThresholdError::Partials { found, wanted });
        }
        let a = one.polys.split_off(params.digits());
        let right = two.polys.split_off(params.digits());
        let mut b = two.polys;
        for (b, right) in b.iter_mut().zip(&right) {
            b.add_assign(&params, right);
        }
        Ok(Self(SwitchingKey::from_plain(&params, KeyPart::Full, b, a)))
    }
}

impl SecretKey {
    /// The key as a share of the collective secret, the sum of the parties' keys.
    pub fn to_share(&self) -> SecretShare {
        let params = self.params();
        let mut s = self.s.clone();
        s.truncate(params, params.q_len());
        SecretShare { params: params.clone(), s }
    }
}

impl Body for KeyShare {
    const KIND: Kind = Kind::KeyShare;

    fn params(&self) -> &Params {
        &self.params
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.count(match self.of {
            Of::Public => 0,
            Of::RelinOne => 1,
            Of::RelinTwo => 2,
            Of::Galois => 3,
        });
        w.bytes(&self.seed.0);
        for poly in &self.polys {
            w.poly(poly);
        }
    }

    fn read(params: &Params, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let of = r.count("what the share is of", 3)?;
        let (of, count) = match of {
            0 => (Of::Public, 1),
            1 => (Of::RelinOne, 2 * params.digits()),
            2 => (Of::RelinTwo, 2 * params.digits()),
            _ => (Of::Galois, params.digits()),
        };
        if count == 0 {
            return Err(WireError::NotCanonical("a key without special primes"));
        }
        let seed = r.seed()?;
        let basis = Basis::full(params);
        let polys = (0..count).map(|_| r.poly(basis)).collect::<Result<_, _>>()?;
        Ok(Self::new(params, of, seed, polys))
    }
}

impl KeyShare {
    /// Commits the party to this share.
    pub fn commit(&self, ceremony: &[u8; 32], party: u8) -> Commitment {
        Commitment::new(ceremony, party, &self.to_bytes())
    }
}
