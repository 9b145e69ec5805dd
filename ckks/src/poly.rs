//! Polynomials of `Z[X]/(X^N + 1)` by their residues modulo several primes.
//!
//! [`Poly<Coeff>`] holds coefficients, [`Poly<Eval>`] the values that the transform gives. Only
//! `Eval` multiplies; crossing over consumes.

use crate::buffer::Buffer;
use crate::kernel;
use crate::params::Params;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use zeroize::Zeroize;

mod sealed {
    pub(crate) trait Form {}
}

/// Coefficient form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Coeff;

/// Evaluation form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Eval;

impl sealed::Form for Coeff {}
impl sealed::Form for Eval {}

/// Which primes a polynomial has rows for: Q's first `primes`, then perhaps the special ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Basis {
    primes: usize,
    first_special: usize,
    special: usize,
}

impl Basis {
    /// Q at `level`.
    pub(crate) fn q(params: &Params, level: usize) -> Self {
        Self::first(params, params.primes_at(level))
    }

    /// The first `primes` primes of Q.
    pub(crate) fn first(params: &Params, primes: usize) -> Self {
        let first_special = params.q_len();
        Self { primes, first_special, special: 0 }
    }

    /// The first `primes` primes of Q and the special ones.
    pub(crate) fn with_special(params: &Params, primes: usize) -> Self {
        Self { special: params.special_primes(), ..Self::first(params, primes) }
    }

    /// All of QP.
    pub(crate) fn full(params: &Params) -> Self {
        Self::with_special(params, params.q_len())
    }

    pub(crate) fn len(self) -> usize {
        self.primes + self.special
    }

    /// How many of the rows are Q's.
    pub(crate) fn primes(self) -> usize {
        self.primes
    }

    /// The prime's index in the chain, for every row.
    pub(crate) fn indexes(self) -> impl Iterator<Item = usize> + Clone {
        (0..self.primes).chain(self.first_special..self.first_special + self.special)
    }

    /// The row that holds prime `index`.
    pub(crate) fn row_of(self, index: usize) -> usize {
        if index < self.first_special { index } else { index - self.first_special + self.primes }
    }
}

/// A polynomial in form `F`, row by row.
pub(crate) struct Poly<F: sealed::Form> {
    n: usize,
    basis: Basis,
    data: Buffer,
    form: PhantomData<F>,
}

impl<F: sealed::Form> Poly<F> {
    pub(crate) fn zero(params: &Params, basis: Basis) -> Self {
        Self::from_data(params, basis, Buffer::zeros(params.n() * basis.len()))
    }

    /// A polynomial for the caller to write all of: what it holds before is arbitrary.
    pub(crate) fn unwritten(params: &Params, basis: Basis) -> Self {
        Self::from_data(params, basis, Buffer::scratch(params.n() * basis.len()))
    }

    /// Takes rows of residues, which have to be canonical.
    pub(crate) fn from_data(params: &Params, basis: Basis, data: Buffer) -> Self {
        assert_eq!(data.len(), params.n() * basis.len());
        Self { n: params.n(), basis, data, form: PhantomData }
    }

    /// Fills each row by `f(index of the prime, row)`, which writes all of it: what the row held before is
    /// arbitrary.
    pub(crate) fn from_rows(params: &Params, basis: Basis, mut f: impl FnMut(usize, &mut [u32])) -> Self {
        let mut out = Self::unwritten(params, basis);
        for (index, row) in out.rows_mut() {
            f(index, row);
        }
        out
    }

    pub(crate) fn basis(&self) -> Basis {
        self.basis
    }

    pub(crate) fn data(&self) -> &[u32] {
        &self.data
    }

    /// The rows, each with its prime's index.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.basis.indexes().zip(self.data.chunks_exact(self.n))
    }

    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = (usize, &mut [u32])> {
        self.basis.indexes().zip(self.data.chunks_exact_mut(self.n))
    }

    /// The row of the prime with this index.
    pub(crate) fn row(&self, index: usize) -> &[u32] {
        let row = self.basis.row_of(index);
        &self.data[row * self.n..(row + 1) * self.n]
    }

    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [u32] {
        let row = self.basis.row_of(index);
        &mut self.data[row * self.n..(row + 1) * self.n]
    }

    /// Whether every residue is zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.data.iter().all(|&x| x == 0)
    }

    /// `self += other`, which may have more rows.
    pub(crate) fn add_assign(&mut self, params: &Params, other: &Self) {
        for (index, row) in self.rows_mut() {
            kernel::add(row, other.row(index), params.modulus(index));
        }
    }

    pub(crate) fn sub_assign(&mut self, params: &Params, other: &Self) {
        for (index, row) in self.rows_mut() {
            kernel::sub(row, other.row(index), params.modulus(index));
        }
    }

    pub(crate) fn negate(&mut self, params: &Params) {
        for (index, row) in self.rows_mut() {
            kernel::negate(row, params.modulus(index));
        }
    }

    /// Multiplies row by row with a constant given by its residues.
    pub(crate) fn scale(&mut self, params: &Params, w: impl Fn(usize) -> u32) {
        for (index, row) in self.rows_mut() {
            let m = params.modulus(index);
            kernel::scale(row, kernel::Constant::new(w(index), m), m);
        }
    }

    /// Forgets all but Q's first `primes` rows.
    pub(crate) fn truncate(&mut self, params: &Params, primes: usize) {
        assert!(primes <= self.basis.primes);
        self.basis = Basis::first(params, primes);
        self.data.truncate(self.n * primes);
    }

    /// The residues in rows of Q, a copy.
    pub(crate) fn copy_rows(&self, range: Range<usize>) -> Buffer {
        Buffer::copy(&self.data[range.start * self.n..range.end * self.n])
    }

    fn into_form<G: sealed::Form>(mut self) -> Poly<G> {
        Poly { n: self.n, basis: self.basis, data: std::mem::take(&mut self.data), form: PhantomData }
    }
}

impl Poly<Coeff> {
    /// The values.
    pub(crate) fn into_eval(mut self, params: &Params) -> Poly<Eval> {
        for (index, row) in self.rows_mut() {
            params.ntt(index).forward(row);
        }
        self.into_form()
    }

    /// Small signed coefficients.
    pub(crate) fn from_small(params: &Params, basis: Basis, x: &[i32]) -> Self {
        Self::from_rows(params, basis, |index, row| {
            kernel::small_residues(row, x, params.modulus(index));
        })
    }

    /// Signed coefficients below `2^62`.
    pub(crate) fn from_signed(params: &Params, basis: Basis, x: &[i64]) -> Self {
        Self::from_rows(params, basis, |index, row| {
            kernel::residues(row, x, params.modulus(index));
        })
    }
}

impl Poly<Eval> {
    /// The coefficients.
    pub(crate) fn into_coeff(mut self, params: &Params) -> Poly<Coeff> {
        for (index, row) in self.rows_mut() {
            params.ntt(index).inverse(row);
        }
        self.into_form()
    }

    pub(crate) fn mul_assign(&mut self, params: &Params, other: &Self) {
        for (index, row) in self.rows_mut() {
            kernel::mul(row, other.row(index), params.modulus(index));
        }
    }

    /// `self += a·b`.
    pub(crate) fn mul_add(&mut self, params: &Params, a: &Self, b: &Self) {
        for (index, row) in self.rows_mut() {
            kernel::mul_add(row, a.row(index), b.row(index), params.modulus(index));
        }
    }

    /// `self -= a·b`.
    pub(crate) fn mul_sub(&mut self, params: &Params, a: &Self, b: &Self) {
        for (index, row) in self.rows_mut() {
            kernel::mul_sub(row, a.row(index), b.row(index), params.modulus(index));
        }
    }
}

impl<F: sealed::Form> Clone for Poly<F> {
    fn clone(&self) -> Self {
        Self { n: self.n, basis: self.basis, data: self.data.clone(), form: PhantomData }
    }
}

impl<F: sealed::Form> PartialEq for Poly<F> {
    fn eq(&self, other: &Self) -> bool {
        self.basis == other.basis && *self.data == *other.data
    }
}

impl<F: sealed::Form> Eq for Poly<F> {}

/// Prints the shape only: a polynomial may be a secret.
impl<F: sealed::Form> fmt::Debug for Poly<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poly").field("n", &self.n).field("basis", &self.basis).finish_non_exhaustive()
    }
}

impl<F: sealed::Form> Zeroize for Poly<F> {
    fn zeroize(&mut self) {
        self.data.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::tests::insecure_small;
    use crate::prime;
    use proptest::prelude::*;

    /// The product in `Z_q[X]/(X^N + 1)`, term by term.
    fn schoolbook(a: &[u32], b: &[u32], q: u32) -> Vec<u32> {
        let n = a.len();
        let mut out = vec![0; n];
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                let term = prime::mul(x, y, q);
                let (k, term) = if i + j < n { (i + j, term) } else { (i + j - n, (q - term) % q) };
                out[k] = prime::add(out[k], term, q);
            }
        }
        out
    }

    /// For sparse operands, so that every prime of every set can be tried.
    fn sparse(n: usize, terms: &[(usize, u32)], q: u32) -> Vec<u32> {
        let mut out = vec![0; n];
        for &(i, x) in terms {
            out[i % n] = x % q;
        }
        out
    }

    proptest! {
        #[test]
        fn product_is_negacyclic(seed: u64) {
            let params = insecure_small();
            let basis = Basis::full(&params);
            let word = |i: usize, index: usize, row: usize| {
                let x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add((i + 100 * index + 10_000 * row) as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                ((x >> 31) % u64::from(params.prime(index))) as u32
            };
            let make = |which| Poly::<Coeff>::from_rows(&params, basis, |index, row| {
                for (i, x) in row.iter_mut().enumerate() { *x = word(i, index, which); }
            });
            let (a, b) = (make(1), make(2));
            let mut product = a.clone().into_eval(&params);
            product.mul_assign(&params, &b.clone().into_eval(&params));
            let product = product.into_coeff(&params);
            for (index, row) in product.rows() {
                prop_assert_eq!(row, schoolbook(a.row(index), b.row(index), params.prime(index)));
            }
        }
    }

    /// Every prime of every named set multiplies correctly, with operands at the edge.
    #[test]
    fn products_are_right_for_every_prime_of_every_set() {
        for params in Params::all() {
            let n = params.n();
            for (index, _) in Basis::full(&params).indexes().enumerate() {
                let q = params.prime(index);
                let dense: Vec<u32> = (0..n as u32).map(|i| q - 1 - i % 3).collect();
                let terms = [(0, q - 1), (1, 1), (n - 1, q - 1), (n / 2, q / 2)];
                let few = sparse(n, &terms, q);
                let (mut a, mut b) = (dense.clone(), few.clone());
                params.ntt(index).forward(&mut a);
                params.ntt(index).forward(&mut b);
                kernel::mul(&mut a, &b, params.modulus(index));
                params.ntt(index).inverse(&mut a);
                let mut slow = vec![0u32; n];
                for &(i, w) in &terms {
                    for (j, &x) in dense.iter().enumerate() {
                        let term = prime::mul(x, w, q);
                        let (k, term) = if i + j < n { (i + j, term) } else { (i + j - n, (q - term) % q) };
                        slow[k] = prime::add(slow[k], term, q);
                    }
                }
                assert_eq!(a, slow, "N = {n}, q = {q}");
            }
        }
    }
}
