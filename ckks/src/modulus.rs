//! One prime of the chain, with the constants its kernels need.

use crate::prime;

/// A prime `q < 2^30`, `q ≡ 1 mod 2N`.
///
/// The bound leaves two spare bits in a 32-bit word: sums of two residues never wrap, four lazily
/// added products of residues stay below `q·2^32`, and the transforms take their fast path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Modulus {
    /// The prime.
    pub(crate) q: u32,
    /// Its length: `2^(bits-1) < q < 2^bits`.
    pub(crate) bits: u32,
    /// Barrett's constant `⌊2^(31+bits)/q⌋ < 2^32`.
    pub(crate) mu: u32,
    /// Montgomery's constant `-q^-1 mod 2^32`.
    pub(crate) minus_q_inverse: u32,
    /// `⌊2^32/q⌋`: reduces any 32-bit word to `[0, 2q)`.
    pub(crate) word_quotient: u32,
}

impl Modulus {
    /// The largest length of a prime, in bits.
    pub(crate) const MAX_BITS: u32 = 30;

    /// Takes an odd prime below `2^30`.
    pub(crate) fn new(q: u32) -> Self {
        assert!(q > 2 && q < 1 << Self::MAX_BITS, "{q} is not in range");
        let bits = 32 - q.leading_zeros();
        // Newton's iteration doubles the number of right low bits each time: 3, 6, 12, 24, 48.
        let mut inverse = q;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2u32.wrapping_sub(q.wrapping_mul(inverse)));
        }
        Self {
            q,
            bits,
            mu: ((1u64 << (31 + bits)) / u64::from(q)) as u32,
            minus_q_inverse: inverse.wrapping_neg(),
            word_quotient: prime::shoup(1, q),
        }
    }

    /// `w·2^32 mod q`: the Montgomery form, which [`Self::montgomery`] undoes.
    pub(crate) fn to_montgomery(self, w: u32) -> u32 {
        ((u64::from(w) << 32) % u64::from(self.q)) as u32
    }

    /// `x` modulo `q` and below `3q`, for `x < 2^(2·bits+1)`: a product of residues or the sum of two.
    ///
    /// Barrett, after HAC 14.42: with `h = ⌊x/2^(bits-1)⌋ < 2^32` the estimated quotient `⌊h·mu/2^32⌋`
    /// falls short by less than 1 for the floor in `h`, 1 for that in `mu`, and 1 for its own.
    #[cfg(test)]
    pub(crate) fn barrett_lazy(self, x: u64) -> u64 {
        let h = (x >> (self.bits - 1)) & u64::from(u32::MAX);
        let quotient = (h * u64::from(self.mu)) >> 32;
        x - quotient * u64::from(self.q)
    }

    /// `x·2^-32` modulo `q` and below `2q`, for `x < q·2^32`.
    #[inline(always)]
    pub(crate) fn montgomery_lazy(self, x: u64) -> u64 {
        let low = u64::from(u32::MAX);
        let m = ((x & low) * u64::from(self.minus_q_inverse)) & low;
        // x + m·q ≡ 0 mod 2^32, and is below 2q·2^32.
        (x + m * u64::from(self.q)) >> 32
    }

    /// `x·w` modulo `q` and below `2q` for `x < 2^32`, where `quotient = ⌊w·2^32/q⌋` (Shoup).
    #[inline(always)]
    pub(crate) fn shoup_lazy(self, x: u64, w: u32, quotient: u32) -> u64 {
        let t = (x * u64::from(quotient)) >> 32;
        x * u64::from(w) - t * u64::from(self.q)
    }

    /// `x·2^-32 mod q` for `x < q·2^32`.
    pub(crate) fn montgomery(self, x: u64) -> u32 {
        let t = self.montgomery_lazy(x) as u32;
        t.min(t.wrapping_sub(self.q))
    }

    /// `x·w mod q` for any 32-bit `x`, where `quotient = ⌊w·2^32/q⌋` (Shoup).
    #[inline(always)]
    pub(crate) fn shoup(self, x: u32, w: u32, quotient: u32) -> u32 {
        let r = self.shoup_lazy(x.into(), w, quotient) as u32;
        r.min(r.wrapping_sub(self.q))
    }

    /// `a + b mod q` for residues.
    #[inline(always)]
    pub(crate) fn add(self, a: u32, b: u32) -> u32 {
        let s = a + b;
        s.min(s.wrapping_sub(self.q))
    }

    /// `a - b mod q` for residues.
    #[cfg(test)]
    pub(crate) fn sub(self, a: u32, b: u32) -> u32 {
        let s = a.wrapping_sub(b);
        s.min(s.wrapping_add(self.q))
    }

    /// `x mod q` for any 32-bit word.
    #[inline(always)]
    pub(crate) fn reduce(self, x: u32) -> u32 {
        self.shoup(x, 1, self.word_quotient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Primes at both ends of every length that a set may use, and just above powers of two.
    pub(crate) fn primes() -> Vec<Modulus> {
        let mut out = Vec::new();
        for bits in 14..=30u32 {
            out.extend(prime::descending(2048, 1 << bits).next().map(Modulus::new));
            out.extend(prime::ascending(2048, 1 << (bits - 1), 1 << bits).next().map(Modulus::new));
        }
        out
    }

    fn check(m: Modulus, x: u64) {
        let q = u64::from(m.q);
        if x < 1 << (2 * m.bits + 1) {
            let r = m.barrett_lazy(x);
            assert!(r < 3 * q && r % q == x % q, "barrett {x} mod {q}");
        }
        if x < q << 32 {
            let back = u128::from(m.montgomery(x)) << 32;
            assert_eq!(back % u128::from(q), u128::from(x % q), "montgomery {x}");
            assert!(m.montgomery(x) < m.q);
        }
    }

    /// Every reduction at the extremes of its range.
    #[test]
    fn reductions_hold_at_the_worst_operands() {
        for m in primes() {
            let q = u64::from(m.q);
            let edges = [0, 1, q - 1, q, 2 * q - 1, (q - 1) * (q - 1)];
            let tops = [2 * (q - 1) * (q - 1), (1 << (2 * m.bits + 1)) - 1, (q << 32) - 1];
            for x in edges.into_iter().chain(tops) {
                check(m, x);
                check(m, x.saturating_sub(1));
            }
            for x in [0, 1, m.q - 1, m.q, u32::MAX] {
                assert_eq!(m.reduce(x), x % m.q);
                for w in [0, 1, m.q / 2, m.q - 1] {
                    let quotient = prime::shoup(w, m.q);
                    assert_eq!(m.shoup(x, w, quotient), prime::mul(x % m.q, w, m.q));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn reductions_agree_with_division(x: u64, word: u32, index in 0usize..30) {
            let all = primes();
            let m = all[index % all.len()];
            check(m, x);
            check(m, x >> (63 - 2 * m.bits));
            check(m, x % (u64::from(m.q) << 32));
            prop_assert_eq!(m.reduce(word), word % m.q);
            let (a, b) = (word % m.q, (x % u64::from(m.q)) as u32);
            prop_assert_eq!(m.add(a, b), prime::add(a, b, m.q));
            prop_assert_eq!(m.add(m.sub(a, b), b), a);
            prop_assert_eq!(m.montgomery(u64::from(m.to_montgomery(a)) * u64::from(b)), prime::mul(a, b, m.q));
        }
    }
}
