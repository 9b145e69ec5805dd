//! The share field: integers modulo p = 2^64 − 2^32 + 1.
//!
//! Elements are kept canonical (`< p`). Addition, subtraction, multiplication and the centred lift use no
//! branch and no table that depends on a value.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};

use rand::Rng;
use zeroize::DefaultIsZeroes;

/// p = 2^64 − 2^32 + 1, the Goldilocks prime.
pub const MODULUS: u64 = 0xffff_ffff_0000_0001;

/// 2^64 mod p.
const EPSILON: u64 = 0xffff_ffff;

/// An element of the share field.
///
/// A share or a secret: it does not print.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Fe(u64);

impl Fe {
    /// The element 0.
    pub const ZERO: Self = Self(0);
    /// The element 1.
    pub const ONE: Self = Self(1);

    /// The element of a canonical residue, or `None` if `value` ≥ p.
    pub fn from_canonical(value: u64) -> Option<Self> {
        (value < MODULUS).then_some(Self(value))
    }

    /// The residue in `0..p`.
    pub fn to_canonical(self) -> u64 {
        self.0
    }

    /// The element of an unsigned value, reduced.
    pub fn from_u64(value: u64) -> Self {
        // value < 2^64 < 2p
        let (less, borrow) = value.overflowing_sub(MODULUS);
        Self(select(borrow, value, less))
    }

    /// The element of a signed value: a negative v becomes p − |v|.
    pub fn from_i64(value: i64) -> Self {
        let magnitude = Self::from_u64(value.unsigned_abs());
        Self(select(value < 0, (-magnitude).0, magnitude.0))
    }

    /// The centred lift into −(p−1)/2 ..= (p−1)/2.
    pub fn to_centred(self) -> i64 {
        const HALF: u64 = (MODULUS - 1) / 2;
        let negative = MODULUS.wrapping_sub(self.0).cast_signed().wrapping_neg();
        let positive = self.0.cast_signed();
        select(self.0 > HALF, negative.cast_unsigned(), positive.cast_unsigned()).cast_signed()
    }

    /// A uniform element, by rejection: 64 random bits, again if they are ≥ p (probability 2^−32).
    pub fn random<R: Rng + ?Sized>(rng: &mut R) -> Self {
        loop {
            if let Some(element) = Self::from_canonical(rng.next_u64()) {
                return element;
            }
        }
    }

    /// `self` to the power `exponent`; time depends on the exponent only.
    #[must_use]
    pub fn pow(self, mut exponent: u64) -> Self {
        let (mut base, mut product) = (self, Self::ONE);
        while exponent > 0 {
            if exponent & 1 == 1 {
                product = product * base;
            }
            base = base * base;
            exponent >>= 1;
        }
        product
    }

    /// The multiplicative inverse (Fermat), or `None` for 0.
    pub fn inverse(self) -> Option<Self> {
        (self != Self::ZERO).then(|| self.pow(MODULUS - 2))
    }

    /// Eight bytes, little-endian.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// From eight little-endian bytes, or `None` if the value is ≥ p.
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        Self::from_canonical(u64::from_le_bytes(bytes))
    }
}

/// `yes` if `condition`, else `no`, without a branch.
fn select(condition: bool, yes: u64, no: u64) -> u64 {
    let mask = u64::from(condition).wrapping_neg();
    (yes & mask) | (no & !mask)
}

impl fmt::Debug for Fe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fe").finish_non_exhaustive()
    }
}

impl DefaultIsZeroes for Fe {}

impl Add for Fe {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // The true sum is below 2p < 2^65, so one subtraction of p canonicalises it.
        let (less, borrow) = sum.overflowing_sub(MODULUS);
        Self(select(u8::from(carry) + u8::from(!borrow) > 0, less, sum))
    }
}

impl AddAssign for Fe {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Fe {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let (difference, borrow) = self.0.overflowing_sub(other.0);
        Self(select(borrow, difference.wrapping_add(MODULUS), difference))
    }
}

impl SubAssign for Fe {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Fe {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl Mul for Fe {
    type Output = Self;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves of a 128-bit product are taken on purpose"
    )]
    fn mul(self, other: Self) -> Self {
        // With x = lo + 2^64·(mid + 2^32·hi):  2^64 ≡ 2^32 − 1 and 2^96 ≡ −1 (mod p).
        let product = u128::from(self.0) * u128::from(other.0);
        let (lo, top) = (product as u64, (product >> 64) as u64);
        let (hi, mid) = (top >> 32, top & EPSILON);
        let (difference, borrow) = lo.overflowing_sub(hi);
        // A borrow added 2^64 ≡ ε too much.
        let difference = difference.wrapping_sub(EPSILON & u64::from(borrow).wrapping_neg());
        let (sum, carry) = difference.overflowing_add(mid * EPSILON);
        // A carry dropped 2^64 ≡ ε.
        let sum = sum.wrapping_add(EPSILON & u64::from(carry).wrapping_neg());
        Self::from_u64(sum)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EDGES: [u64; 9] =
        [0, 1, 2, EPSILON, EPSILON + 1, MODULUS / 2, MODULUS / 2 + 1, MODULUS - 2, MODULUS - 1];

    fn residue() -> impl Strategy<Value = u64> {
        prop_oneof![prop::sample::select(&EDGES[..]), 0..MODULUS]
    }

    fn oracle(value: u128) -> u64 {
        u64::try_from(value % u128::from(MODULUS)).unwrap()
    }

    proptest! {
        /// The field's operations are those of integers modulo p.
        #[test]
        fn agrees_with_wide_integers(a in residue(), b in residue()) {
            let (x, y) = (Fe(a), Fe(b));
            let (wa, wb, p) = (u128::from(a), u128::from(b), u128::from(MODULUS));
            prop_assert_eq!((x + y).0, oracle(wa + wb));
            prop_assert_eq!((x - y).0, oracle(wa + p - wb));
            prop_assert_eq!((x * y).0, oracle(wa * wb));
            prop_assert_eq!((-x).0, oracle(p - wa));
        }

        /// x · x⁻¹ = 1 for every x but 0.
        #[test]
        fn inverse_is_inverse(a in residue()) {
            prop_assert_eq!(Fe(a).inverse().map(|inverse| (Fe(a) * inverse).0), (a != 0).then_some(1));
        }

        /// Signed values survive the centred lift, and sums of them too.
        #[test]
        fn centred_lift_is_exact(a in -(1_i64 << 61)..(1_i64 << 61), b in -(1_i64 << 61)..(1_i64 << 61)) {
            prop_assert_eq!(Fe::from_i64(a).to_centred(), a);
            prop_assert_eq!((Fe::from_i64(a) + Fe::from_i64(b)).to_centred(), a + b);
        }

        /// Bytes round-trip, and residues ≥ p are refused.
        #[test]
        fn bytes_are_canonical(a in any::<u64>()) {
            match Fe::from_bytes(a.to_le_bytes()) {
                Some(element) => prop_assert_eq!(u64::from_le_bytes(element.to_bytes()), a),
                None => prop_assert!(a >= MODULUS),
            }
            prop_assert_eq!(Fe::from_u64(a).0, oracle(u128::from(a)));
        }
    }

    /// Every pair of edge values, exhaustively.
    #[test]
    fn edges_agree_with_wide_integers() {
        for a in EDGES {
            for b in EDGES {
                assert_eq!((Fe(a) * Fe(b)).0, oracle(u128::from(a) * u128::from(b)), "{a} * {b}");
                assert_eq!((Fe(a) + Fe(b)).0, oracle(u128::from(a) + u128::from(b)), "{a} + {b}");
            }
        }
    }

    /// A share never shows in a log.
    #[test]
    fn does_not_print() {
        assert_eq!(format!("{:?}", Fe(42)), "Fe { .. }");
    }
}
