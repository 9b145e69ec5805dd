//! Polynomials of a ciphertext, in the Chebyshev basis.

use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::keys::RelinKey;
use crate::scale::Scale;
use std::f64::consts::PI;

/// A real polynomial on [-1, 1], as the coefficients of `T_0, T_1, …`.
///
/// In this basis coefficients stay small where those of monomials explode, and products split
/// without loss: `2·T_a·T_b = T_(a+b) + T_|a-b|`.
#[derive(Clone, Debug, PartialEq)]
pub struct Polynomial {
    chebyshev: Vec<f64>,
}

impl Polynomial {
    /// Takes the coefficients of `T_0, T_1, …`.
    pub fn from_chebyshev(coefficients: &[f64]) -> Self {
        let mut chebyshev = coefficients.to_vec();
        while chebyshev.len() > 1 && chebyshev.last() == Some(&0.0) {
            chebyshev.pop();
        }
        if chebyshev.is_empty() {
            chebyshev.push(0.0);
        }
        Self { chebyshev }
    }

    /// Takes the coefficients of `1, x, x², …`.
    pub fn from_monomials(coefficients: &[f64]) -> Self {
        // Horner's rule with x·T_k = (T_(k+1) + T_|k-1|)/2.
        let mut out = vec![0.0; coefficients.len().max(1)];
        for &c in coefficients.iter().rev() {
            let mut next = vec![0.0; out.len()];
            for (k, &t) in out.iter().enumerate().filter(|(_, t)| **t != 0.0) {
                let down = k.abs_diff(1);
                let (up, half) = (k + 1, t / 2.0);
                next[down] += half;
                if up < next.len() {
                    next[up] += half;
                }
            }
            next[0] += c;
            out = next;
        }
        Self::from_chebyshev(&out)
    }

    /// Interpolates a function at the Chebyshev points: near the best polynomial of its degree.
    pub fn interpolate(degree: usize, f: impl Fn(f64) -> f64) -> Self {
        let n = degree + 1;
        let angle = |i: usize| PI * (i as f64 + 0.5) / n as f64;
        let values: Vec<f64> = (0..n).map(|i| f(angle(i).cos())).collect();
        let coefficient = |k: usize| {
            let sum: f64 = values.iter().enumerate().map(|(i, v)| v * (angle(i) * k as f64).cos()).sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / n as f64
        };
        Self::from_chebyshev(&(0..n).map(coefficient).collect::<Vec<_>>())
    }

    /// The degree.
    pub fn degree(&self) -> usize {
        self.chebyshev.len() - 1
    }

    /// How many levels an evaluation takes: `⌈log2(degree + 1)⌉`, at least one.
    pub fn depth(&self) -> usize {
        (self.chebyshev.len().next_power_of_two().ilog2() as usize).max(1)
    }

    /// The value at `x` (Clenshaw).
    pub fn value(&self, x: f64) -> f64 {
        let (mut b1, mut b2) = (0.0, 0.0);
        for &c in self.chebyshev.iter().skip(1).rev() {
            (b1, b2) = (c + 2.0 * x * b1 - b2, b1);
        }
        self.chebyshev[0] + x * b1 - b2
    }
}

impl Ciphertext {
    /// A polynomial of every slot, which has to be in [-1, 1], at `scale`, [`Polynomial::depth`]
    /// levels below.
    ///
    /// Paterson and Stockmeyer's splitting with powers of two as the giant steps, which is the
    /// choice of least depth: `p = q·T_g + r` down to linear leaves, each leaf one multiplication by
    /// constants. All additions are of exactly equal scales.
    ///
    /// # Errors
    ///
    /// [`Mismatch::NoLevel`] if the levels do not suffice; others as for products.
    pub fn evaluate(&self, polynomial: &Polynomial, scale: &Scale, key: &RelinKey) -> Result<Self, Mismatch> {
        let depth = polynomial.depth();
        if self.level < depth {
            let (found, wanted) = (self.level, depth);
            return Err(Mismatch::NoLevel { found, wanted });
        }
        self.two_parts()?;
        // T_1, T_2, T_4, …: the k-th is k levels down.
        let mut powers = vec![self.clone()];
        while 1 << powers.len() <= polynomial.degree() {
            let last = &powers[powers.len() - 1];
            let mut square = last.square_rescale(key)?;
            let copy = square.clone();
            square.add_assign(&copy)?;
            square.add_constant(-1.0)?;
            powers.push(square);
        }
        let target = (self.level - depth, scale);
        if let Some(out) = combine(&powers, &polynomial.chebyshev, target, key)? {
            return Ok(out);
        }
        let mut out = Self::zero(&self.params, target.0, scale);
        out.add_constant(polynomial.chebyshev[0])?;
        Ok(out)
    }
}

/// `Σ c_i·T_i` at exactly this level and scale; `None` if it is a constant, which needs no
/// ciphertext.
fn combine(
    powers: &[Ciphertext],
    c: &[f64],
    (level, scale): (usize, &Scale),
    key: &RelinKey,
) -> Result<Option<Ciphertext>, Mismatch> {
    let degree = c.iter().rposition(|c| *c != 0.0).unwrap_or(0);
    if degree == 0 {
        return Ok(None);
    }
    if degree == 1 {
        let mut out = powers[0].bring_to(level, scale, c[1])?;
        out.add_constant(c[0])?;
        return Ok(Some(out));
    }
    // g ≤ degree < 2g, and T_(g+i) = 2·T_g·T_i - T_(g-i).
    let index = degree.ilog2() as usize;
    let g = 1 << index;
    let mut remainder = c[..g].to_vec();
    let mut quotient = vec![c[g]];
    for i in 1..=degree - g {
        quotient.push(2.0 * c[g + i]);
        remainder[g - i] -= c[g + i];
    }
    let giant = &powers[index];
    let params = &giant.params;
    let product = scale.times(&params.level_scale(level + 1));
    let mut out = match combine(powers, &quotient, (level + 1, &product.over(&giant.scale)), key)? {
        Some(q) => {
            let mut giant = giant.clone();
            giant.drop_to(level + 1)?;
            q.multiply_rescale(&giant, key)?
        }
        None => giant.bring_to(level, scale, quotient[0])?,
    };
    if let Some(r) = combine(powers, &remainder, (level, scale), key)? {
        out.add_assign(&r)?;
    } else {
        out.add_constant(remainder[0])?;
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bases_agree(c in proptest::collection::vec(-1.0f64..1.0, 0..12), x in -1.0f64..1.0) {
            let monomial = c.iter().rev().fold(0.0, |acc, c| acc * x + c);
            prop_assert!((Polynomial::from_monomials(&c).value(x) - monomial).abs() < 1e-9);
        }
    }

    #[test]
    fn interpolation_meets_smooth_functions() {
        let p = Polynomial::interpolate(15, f64::exp);
        for x in [-1.0, -0.3, 0.0, 0.9, 1.0] {
            assert!((p.value(x) - x.exp()).abs() < 1e-13);
        }
        assert_eq!(p.depth(), 4);
        assert_eq!(Polynomial::from_chebyshev(&[1.0, 0.0]).depth(), 1);
    }
}
