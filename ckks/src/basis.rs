//! Exact conversion between residue bases, and exact division by primes of the chain.
//!
//! Both go through mixed radix (Garner): for primes `p_0 … p_{k-1}` the digits `v_j` with
//! `x = v_0 + v_1·p_0 + v_2·p_0·p_1 + …` come from the residues by additions and multiplications
//! modulo one prime each, with no floating point and no approximate quotient, and a weighted sum of
//! digits is `x` modulo anything. Adding `⌊T/2⌋` before and subtracting it after makes the
//! representative the centred one.

use crate::buffer::Buffer;
use crate::kernel::{self, Constant};
use crate::params::Params;
use crate::poly::{Eval, Poly};
use crate::prime;
use std::ops::Range;
use zeroize::Zeroize;

/// A polynomial with centred coefficients in `[-T/2, T/2]`, `T` the product of a few primes.
pub(crate) struct Centred<'a> {
    params: &'a Params,
    /// The primes' indexes.
    from: Vec<usize>,
    /// Mixed-radix digits of `x + ⌊T/2⌋`, digit by digit.
    digits: Buffer,
}

impl<'a> Centred<'a> {
    /// Takes the coefficients' residues, one row for each of the primes `from`.
    pub(crate) fn new(params: &'a Params, from: Vec<usize>, mut rows: Buffer) -> Self {
        let n = params.n();
        for (j, &p) in from.iter().enumerate() {
            let m = params.modulus(p);
            let (done, rest) = rows.split_at_mut(j * n);
            let row = &mut rest[..n];
            // T is odd and ≡ 0 mod p, so ⌊T/2⌋ ≡ -1/2 ≡ (p-1)/2.
            kernel::add_constant(row, (m.q - 1) / 2, m);
            for (i, previous) in done.chunks_exact(n).enumerate() {
                let w = Constant::new(params.inverse(from[i], p), m);
                kernel::garner_step(row, previous, w, m);
            }
        }
        Self { params, from, digits: rows }
    }

    /// Wipes the digits.
    pub(crate) fn zeroize(&mut self) {
        self.digits.zeroize();
    }

    /// The digits, prime by prime, for [`integer`].
    pub(crate) fn into_digits(self) -> Buffer {
        self.digits
    }

    /// The coefficients modulo prime `to`.
    pub(crate) fn residues(&self, to: usize, out: &mut [u32]) {
        let m = self.params.modulus(to);
        if let [low, high] = self.from[..]
            && self.params.prime(low) <= 2 * m.q
        {
            let [p, r] = [low, high].map(|p| self.params.prime(p) % m.q);
            let half = half_product(prime::mul(p, r, m.q), m.q);
            let (low, high) = self.digits.split_at(self.params.n());
            return kernel::weigh_two(out, low, high, Constant::new(p, m), (m.q - half) % m.q, m);
        }
        let mut weight = 1;
        let mut weights = Vec::with_capacity(self.from.len());
        for &p in &self.from {
            weights.push(m.to_montgomery(weight));
            weight = prime::mul(weight, self.params.prime(p) % m.q, m.q);
        }
        let half = half_product(weight, m.q);
        let digits: Vec<&[u32]> = self.digits.chunks_exact(self.params.n()).collect();
        kernel::weigh(out, &digits, &weights, (m.q - half) % m.q, m);
    }
}

/// `(T - 1)/2 mod q` from `T mod q`.
fn half_product(t: u32, q: u32) -> u32 {
    prime::mul(prime::add(t, q - 1, q), q.div_ceil(2), q)
}

/// Coefficient `i` from the digits of the first primes of Q; `None` if it is outside `i128`.
///
/// Digit `j` minus `(p_j - 1)/2` is symmetric mixed radix, since `⌊T/2⌋` has the digits
/// `(p_j - 1)/2`.
pub(crate) fn integer(params: &Params, digits: &[u32], i: usize) -> Option<i128> {
    let rows = digits.chunks_exact(params.n()).enumerate().rev();
    rows.into_iter().try_fold(0i128, |acc, (row, digits)| {
        let q = i128::from(params.prime(row));
        let digit = i128::from(digits[i]) - (q - 1) / 2;
        acc.checked_mul(q)?.checked_add(digit)
    })
}

/// The first `count` coefficients of a polynomial over Q, centred; `None` if one is outside `i128`.
pub(crate) fn integers(params: &Params, poly: Poly<Eval>, count: usize) -> Option<Vec<i128>> {
    let primes = poly.basis().primes();
    let rows = poly.into_coeff(params).copy_rows(0..primes);
    let digits = Centred::new(params, (0..primes).collect(), rows).into_digits();
    (0..count).map(|i| integer(params, &digits, i)).collect()
}

impl Poly<Eval> {
    /// Splits into key-switching digits: the centred residue of `self` modulo each product of a
    /// digit's primes, with the digit's rows.
    pub(crate) fn split<'a>(&self, params: &'a Params) -> Vec<(Range<usize>, Centred<'a>)> {
        let n = params.n();
        let centred = |digit: Range<usize>| {
            let mut rows = self.copy_rows(digit.clone());
            for (index, row) in digit.clone().zip(rows.chunks_exact_mut(n)) {
                params.ntt(index).inverse(row);
            }
            let centred = Centred::new(params, digit.clone().collect(), rows);
            (digit, centred)
        };
        params.digit_rows(self.basis().primes()).map(centred).collect()
    }

    /// The digits of [`Self::split`] in evaluation form, in all rows of Q (at this level) and P.
    ///
    /// A digit's own rows are `self`'s, unchanged.
    pub(crate) fn decompose(&self, params: &Params) -> Vec<Self> {
        let extended = crate::poly::Basis::with_special(params, self.basis().primes());
        let extend = |(digit, centred): (Range<usize>, Centred<'_>)| {
            Self::from_rows(params, extended, |index, row| {
                if digit.contains(&index) {
                    row.copy_from_slice(self.row(index));
                } else {
                    centred.residues(index, row);
                    params.ntt(index).forward(row);
                }
            })
        };
        self.split(params).into_iter().map(extend).collect()
    }

    /// Divides by the product of the rows `keep..` (all special rows included), rounding to nearest,
    /// and drops them.
    #[must_use]
    pub(crate) fn divided_by_tail(&self, params: &Params, keep: usize) -> Self {
        let n = params.n();
        let tail: Vec<usize> = self.basis().indexes().skip(keep).collect();
        let mut rows = Buffer::copy(&self.data()[keep * n..]);
        for (&index, row) in tail.iter().zip(rows.chunks_exact_mut(n)) {
            params.ntt(index).inverse(row);
        }
        let centred = Centred::new(params, tail, rows);
        Self::from_rows(params, crate::poly::Basis::first(params, keep), |index, row| {
            let m = params.modulus(index);
            centred.residues(index, row);
            params.ntt(index).forward(row);
            let product = params.product_mod(centred.from.iter().copied(), index);
            // (c - [c]_T)/T
            let w = Constant::new(prime::inverse(product, m.q), m);
            kernel::sub_scale(row, self.row(index), w, m);
        })
    }

    /// `self += P·c` for a `self` over QP and a `c` over the same Q.
    pub(crate) fn add_assign_lifted(&mut self, params: &Params, c: &Self) {
        let primes = c.basis().primes();
        for (index, row) in self.rows_mut().take(primes) {
            let m = params.modulus(index);
            let w = Constant::new(params.product_mod(params.special_rows(), index), m);
            kernel::scale_add(row, c.row(index), w, m);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::tests::insecure_small;
    use crate::poly::{Basis, Coeff};
    use proptest::prelude::*;

    fn residue(x: i128, q: u32) -> u32 {
        x.rem_euclid(i128::from(q)) as u32
    }

    fn rows(params: &Params, from: &[usize], x: &[i128]) -> Vec<u32> {
        from.iter().flat_map(|&p| x.iter().map(move |&x| residue(x, params.prime(p)))).collect()
    }

    proptest! {
        /// Every centred integer converts exactly, also at the ends of the range.
        #[test]
        fn conversion_is_exact(x: i128, first in 0usize..6, count in 1usize..=4) {
            let params = insecure_small();
            let from: Vec<usize> = (first..first + count).collect();
            let t: i128 = from.iter().map(|&p| i128::from(params.prime(p))).product();
            let mut xs = vec![0; params.n()];
            xs[0] = x % (t / 2);
            xs[1] = t / 2;
            xs[2] = -(t / 2);
            xs[3] = -1;
            xs[4] = 1;
            let centred = Centred::new(&params, from.clone(), Buffer::copy(&rows(&params, &from, &xs)));
            let mut out = vec![0; params.n()];
            for to in (0..10).filter(|to| !from.contains(to)) {
                centred.residues(to, &mut out);
                for (x, out) in xs.iter().zip(&out) {
                    prop_assert_eq!(*out, residue(*x, params.prime(to)));
                }
            }
        }

        /// Division by the last rows rounds to nearest.
        #[test]
        fn division_rounds_to_nearest(x: i64, keep in 3usize..=7) {
            let params = insecure_small();
            let basis = Basis::first(&params, 8);
            let t: i128 = (keep..8).map(|p| i128::from(params.prime(p))).product();
            let xs: Vec<i128> = (0..params.n() as i128)
                .map(|i| [i128::from(x).wrapping_mul(t) / 1000 + i, t / 2, t / 2 + 1, -(t / 2), -(t / 2) - 1][(i % 5) as usize])
                .collect();
            let all: Vec<usize> = (0..8).collect();
            let rows = Buffer::copy(&rows(&params, &all, &xs));
            let poly = Poly::<Coeff>::from_data(&params, basis, rows).into_eval(&params);
            let poly = poly.divided_by_tail(&params, keep).into_coeff(&params);
            for (index, row) in poly.rows() {
                for (x, out) in xs.iter().zip(row) {
                    let rounded = (x + t / 2).div_euclid(t);
                    prop_assert_eq!(*out, residue(rounded, params.prime(index)));
                }
            }
        }
    }

    /// The digits, weighed by the gadget, give the polynomial back.
    #[test]
    fn digits_recompose() {
        let params = insecure_small();
        for level in 0..=params.max_level() {
            let basis = Basis::q(&params, level);
            let poly = Poly::<Eval>::from_rows(&params, basis, |index, row| {
                for (i, x) in row.iter_mut().enumerate() {
                    *x = (i as u32 * 77_777 + 13 * index as u32) % params.prime(index);
                }
            });
            let digits = poly.decompose(&params);
            for (digit, rows) in digits.iter().zip(params.digit_rows(basis.primes())) {
                for index in rows {
                    assert_eq!(digit.row(index), poly.row(index));
                }
                // Each extended digit is one small integer polynomial in all rows: dividing its
                // lift by P gives it back.
                assert_eq!(digit.basis(), Basis::with_special(&params, basis.primes()));
            }
        }
    }
}
