//! Shamir's secret sharing over the share field [Shamir 1979].
//!
//! Every element of a vector gets its own polynomial of degree t − 1 with fresh uniform coefficients, so any
//! t − 1 of the n share vectors are uniform and independent of the secrets.

use std::fmt;
use std::num::NonZeroU8;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::field::Fe;

/// The largest number of aggregators: the decoder tries all t-subsets.
pub const MAX_PARTIES: usize = 10;

/// An aggregator's evaluation point x, 1 to [`MAX_PARTIES`]; bound to its identity for life.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Point(NonZeroU8);

/// An evaluation point outside 1 to [`MAX_PARTIES`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("evaluation point {found} is not within 1 to {MAX_PARTIES}")]
pub struct PointError {
    found: u8,
}

impl TryFrom<u8> for Point {
    type Error = PointError;

    fn try_from(x: u8) -> Result<Self, PointError> {
        NonZeroU8::new(x)
            .filter(|x| usize::from(x.get()) <= MAX_PARTIES)
            .map(Self)
            .ok_or(PointError { found: x })
    }
}

impl From<Point> for u8 {
    fn from(point: Point) -> Self {
        point.0.get()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Point {
    /// The points 1, 2, … n.
    ///
    /// # Panics
    ///
    /// If `n` > [`MAX_PARTIES`].
    pub fn first(n: usize) -> Vec<Self> {
        assert!(n <= MAX_PARTIES, "{n} parties are more than {MAX_PARTIES}");
        (1..=n).filter_map(|x| u8::try_from(x).ok()).filter_map(|x| Self::try_from(x).ok()).collect()
    }

    /// Every set of `t` of these points, in lexicographic order.
    pub fn sets(points: &[Self], t: usize) -> Vec<Vec<Self>> {
        match (t, points.split_first()) {
            (0, _) => vec![Vec::new()],
            (_, None) => Vec::new(),
            (_, Some((first, rest))) => {
                let with = Self::sets(rest, t - 1).into_iter().map(|set| [&[*first], &set[..]].concat());
                with.chain(Self::sets(rest, t)).collect()
            }
        }
    }

    /// The point as a field element.
    pub fn to_fe(self) -> Fe {
        Fe::from_u64(u64::from(self.0.get()))
    }
}

/// Splits each of `secrets` with a polynomial of degree `t` − 1 and returns one share vector a point.
///
/// Costs `t` − 1 random elements and `points.len()` · (`t` − 1) multiplications an element.
///
/// # Panics
///
/// If `t` is 0: no polynomial has degree −1. Rosters refuse it.
pub fn split<R: CryptoRng + ?Sized>(
    secrets: &[Fe],
    t: usize,
    points: &[Point],
    rng: &mut R,
) -> Vec<Zeroizing<Vec<Fe>>> {
    assert!(t > 0, "a threshold is at least 1");
    let mut shares: Vec<_> =
        points.iter().map(|_| Zeroizing::new(Vec::with_capacity(secrets.len()))).collect();
    let mut coefficients = Zeroizing::new(vec![Fe::ZERO; t]);
    for &secret in secrets {
        // f(X) = s + a_1·X + … + a_{t−1}·X^{t−1}
        coefficients[0] = secret;
        for coefficient in &mut coefficients[1..] {
            *coefficient = Fe::random(rng);
        }
        for (share, point) in shares.iter_mut().zip(points) {
            let x = point.to_fe();
            share.push(coefficients.iter().rev().fold(Fe::ZERO, |value, &c| value * x + c));
        }
    }
    coefficients.zeroize();
    shares
}

/// The Lagrange weights λ_i with f(`at`) = Σ λ_i·f(x_i) for every polynomial of degree < `points.len()`.
///
/// # Panics
///
/// If a point stands twice; callers hold sets of points.
pub fn lagrange_weights(points: &[Point], at: Fe) -> Vec<Fe> {
    points
        .iter()
        .map(|i| {
            let (numerator, denominator) =
                points.iter().filter(|j| *j != i).fold((Fe::ONE, Fe::ONE), |(numerator, denominator), j| {
                    (numerator * (at - j.to_fe()), denominator * (i.to_fe() - j.to_fe()))
                });
            numerator * denominator.inverse().expect("points are distinct")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    proptest! {
        /// Any t shares give the secret back; shares of sums are sums of shares.
        #[test]
        fn any_t_shares_give_the_secret(
            n in 1_usize..=MAX_PARTIES, t in 1_usize..=MAX_PARTIES,
            secrets in prop::collection::vec((0..crate::field::MODULUS, 0..crate::field::MODULUS), 1..8),
            seed: u64, skip in 0_usize..MAX_PARTIES,
        ) {
            prop_assume!(t <= n);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let points = Point::first(n);
            let (a, b): (Vec<_>, Vec<_>) =
                secrets.iter().map(|&(a, b)| (Fe::from_u64(a), Fe::from_u64(b))).unzip();
            let (of_a, of_b) = (split(&a, t, &points, &mut rng), split(&b, t, &points, &mut rng));
            let chosen: Vec<usize> = (0..n).cycle().skip(skip % n).take(t).collect();
            let xs: Vec<Point> = chosen.iter().map(|&i| points[i]).collect();
            let weights = lagrange_weights(&xs, Fe::ZERO);
            for j in 0..a.len() {
                let value = chosen.iter().zip(&weights)
                    .fold(Fe::ZERO, |sum, (&i, &w)| sum + w * (of_a[i][j] + of_b[i][j]));
                prop_assert!(value == a[j] + b[j]);
            }
        }
    }

    /// The views of t − 1 aggregators are uniform whatever the secret is: chi-square over 16 cells for one
    /// share, and over 16 × 16 cells for the pair of two shares of one secret (t = 3), below the 1e-6 point.
    #[test]
    fn t_minus_1_views_are_uniform() {
        // Wilson–Hilferty: the 1 − 1e-6 quantile of chi-square with k degrees, z = 4.7534.
        let quantile = |k: f64| k * (1.0 - 2.0 / (9.0 * k) + 4.7534 * (2.0 / (9.0 * k)).sqrt()).powi(3);
        let cell = |share: Fe| usize::try_from(share.to_canonical() >> 60).unwrap();
        for secret in [0, 1, 831, 1 << 15, crate::field::MODULUS - 1] {
            let mut rng = ChaCha20Rng::seed_from_u64(secret);
            let (mut single, mut pair) = ([0_u32; 16], [0_u32; 256]);
            let rounds = 40_000;
            for _ in 0..rounds {
                let shares = split(&[Fe::from_u64(secret)], 3, &Point::first(5), &mut rng);
                single[cell(shares[1][0])] += 1;
                pair[cell(shares[0][0]) * 16 + cell(shares[4][0])] += 1;
            }
            let chi_square = |counts: &[u32]| {
                let expected = f64::from(rounds) / f64::from(u32::try_from(counts.len()).unwrap());
                counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum::<f64>()
            };
            assert!(chi_square(&single) < quantile(15.0), "one view depends on the secret {secret}");
            assert!(chi_square(&pair) < quantile(255.0), "two views depend on the secret {secret}");
        }
    }

    /// The same test sees a sharing whose coefficients are too small: it can fail.
    #[test]
    fn the_uniformity_test_sees_a_bad_dealer() {
        let small = (0..1000).map(|a: u64| (Fe::from_u64(831) + Fe::from_u64(a % 97)).to_canonical() >> 60);
        assert!(small.into_iter().all(|cell| cell == 0));
    }

    /// Sets of t of n are as many as they should be, ascending and different.
    #[test]
    fn sets_are_the_combinations() {
        let sets = Point::sets(&Point::first(4), 2);
        let sets: Vec<Vec<u8>> = sets.iter().map(|set| set.iter().map(|p| u8::from(*p)).collect()).collect();
        assert_eq!(sets, [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]]);
        assert_eq!(Point::sets(&Point::first(7), 3).len(), 35);
        assert!(Point::sets(&Point::first(2), 3).is_empty());
    }

    /// Points are 1 to the largest party.
    #[test]
    fn refuses_points_out_of_range() {
        assert_eq!(Point::try_from(0), Err(PointError { found: 0 }));
        assert_eq!(Point::try_from(11), Err(PointError { found: 11 }));
        assert_eq!(Point::first(3).iter().map(|p| u8::from(*p)).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
