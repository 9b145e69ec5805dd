//! Samplers: uniform, ternary, centred binomial, and the wide noise of smudging.
//!
//! Secret samplers take the same time whatever they draw. Uniform polynomials are public, so their
//! rejection may show.

use crate::buffer::Buffer;
use crate::kernel;
use crate::params::Params;
use crate::poly::{Basis, Eval, Poly};
use crate::seed::{Purpose, SecretSeed, Seed, fill_words};
use rand_core::Rng;
use zeroize::Zeroizing;

/// Half the number of coins of the error distribution: its variance is this over 2, σ = 3.24.
pub(crate) const ERROR_ETA: u32 = 21;

/// The variance of one error coefficient.
pub(crate) const ERROR_VARIANCE: f64 = ERROR_ETA as f64 / 2.0;

/// The uniform polynomial number `part` of a seed, in evaluation form.
///
/// For each prime `q` its own stream: words below the largest multiple of `q` up to `2^32` are kept, in
/// order, and reduced modulo `q`; few are not.
pub(crate) fn uniform(params: &Params, basis: Basis, seed: &Seed, part: usize) -> Poly<Eval> {
    uniform_from(params, basis, |index| seed.stream(part, index))
}

/// The uniform polynomial of a secret seed.
pub(crate) fn secret_uniform(params: &Params, basis: Basis, seed: &SecretSeed) -> Poly<Eval> {
    uniform_from(params, basis, |index| seed.stream(Purpose::Uniform, 0, index))
}

fn uniform_from<R: Rng>(params: &Params, basis: Basis, stream: impl Fn(usize) -> R) -> Poly<Eval> {
    Poly::from_rows(params, basis, |index, row| {
        let m = params.modulus(index);
        let mut stream = stream(index);
        let mut done = 0;
        while done < row.len() {
            let rest = &mut row[done..];
            fill_words(&mut stream, rest);
            let mut kept = 0;
            kernel::keep_uniform(rest, &mut kept, m);
            done += kept;
        }
    })
}

/// Uniform in {-1, 0, 1}: `⌊3w/2^32⌋ - 1` of one word each, 2^-32 from uniform.
pub(crate) fn ternary(n: usize, seed: &SecretSeed, part: usize) -> Zeroizing<Buffer<i32>> {
    let mut words = Zeroizing::new(Buffer::scratch(n));
    fill_words(&mut seed.stream(Purpose::Ternary, part, 0), &mut words);
    let mut out = Zeroizing::new(Buffer::scratch(n));
    kernel::ternary(&mut out, &words);
    out
}

/// Centred binomial with 42 coins: the ones among 21 bits of word `i` minus those of word `n + i`.
pub(crate) fn error(n: usize, seed: &SecretSeed, part: usize) -> Zeroizing<Buffer<i32>> {
    let mut words = Zeroizing::new(Buffer::scratch(2 * n));
    fill_words(&mut seed.stream(Purpose::Error, part, 0), &mut words);
    let mut out = Zeroizing::new(Buffer::scratch(n));
    let (plus, minus) = words.split_at(n);
    kernel::centred_binomial(&mut out, plus, minus);
    out
}

/// A Gaussian of standard deviation `sigma`, rounded to integers; `sigma` below `2^50`.
///
/// Box–Muller on 53-bit uniforms: the tail ends at 8.6σ, which 2^-57 of the mass exceeds.
pub(crate) fn gaussian(n: usize, sigma: f64, seed: &SecretSeed) -> Zeroizing<Buffer<i64>> {
    let mut stream = seed.stream(Purpose::Smudging, 0, 0);
    let mut unit = || {
        // (0, 1]
        ((stream.next_u64() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    };
    let mut out = Zeroizing::new(Buffer::scratch(n));
    for pair in out.chunks_mut(2) {
        let radius = sigma * (-2.0 * unit().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * unit()).sin_cos();
        for (out, x) in pair.iter_mut().zip([cos, sin]) {
            *out = (radius * x).round() as i64;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 1 << 16;

    fn seed(byte: u8) -> SecretSeed {
        SecretSeed::new([byte; 32])
    }

    /// χ² of counts against probabilities, with a threshold that a right sampler passes but for one
    /// seed in about 10^6 (Wilson and Hilferty's approximation at z = 4.75).
    fn assert_distributed(counts: &[(f64, f64)]) {
        let total: f64 = counts.iter().map(|c| c.0).sum();
        let chi: f64 = counts.iter().map(|(seen, p)| (seen - p * total).powi(2) / (p * total)).sum();
        let k = (counts.len() - 1) as f64;
        let limit = k * (1.0 - 2.0 / (9.0 * k) + 4.75 * (2.0 / (9.0 * k)).sqrt()).powi(3);
        assert!(chi < limit, "χ² {chi} over {limit}");
    }

    #[test]
    fn ternary_is_uniform() {
        let x = ternary(N, &seed(1), 0);
        let count = |v| (x.iter().filter(|x| **x == v).count() as f64, 1.0 / 3.0);
        assert_distributed(&[count(-1), count(0), count(1)]);
        assert!(x.iter().all(|x| (-1..=1).contains(x)));
    }

    #[test]
    fn error_is_centred_binomial() {
        let x = error(N, &seed(2), 0);
        // P(v) = C(42, 21+v)/2^42; the tails beyond 10 together.
        let binomial = |k: i32| (0..k).fold(1.0, |c, i| c * f64::from(42 - i) / f64::from(i + 1));
        let p = |v: i32| binomial(21 + v) / 2f64.powi(42);
        let mut counts: Vec<_> =
            (-10..=10).map(|v| (x.iter().filter(|x| **x == v).count() as f64, p(v))).collect();
        counts.push((x.iter().filter(|x| x.abs() > 10).count() as f64, (11..=21).map(|v| 2.0 * p(v)).sum()));
        assert_distributed(&counts);
        let variance = x.iter().map(|x| f64::from(x * x)).sum::<f64>() / N as f64;
        assert!((variance / ERROR_VARIANCE - 1.0).abs() < 5.0 * (2.0 / N as f64).sqrt());
    }

    #[test]
    fn gaussian_has_its_moments() {
        let sigma = 2f64.powf(40.5);
        let x = gaussian(N, sigma, &seed(3));
        let within = |k: f64| x.iter().filter(|x| (**x as f64).abs() < k * sigma).count() as f64;
        let (one, two, three) = (0.682_689_5, 0.954_499_7, 0.997_300_2);
        assert_distributed(&[
            (within(1.0), one),
            (within(2.0) - within(1.0), two - one),
            (within(3.0) - within(2.0), three - two),
            (N as f64 - within(3.0), 1.0 - three),
        ]);
        let mean = x.iter().map(|x| *x as f64).sum::<f64>() / N as f64;
        assert!(mean.abs() < 5.0 * sigma / (N as f64).sqrt());
    }

    #[test]
    fn uniform_covers_the_residues_evenly() {
        let params = Params::medium();
        let poly = uniform(&params, Basis::full(&params), &Seed([4; 32]), 0);
        for (index, row) in poly.rows() {
            let q = params.prime(index);
            assert!(row.iter().all(|x| *x < q));
            let mut bins = [0.0; 32];
            for &x in row {
                bins[(u64::from(x) * 32 / u64::from(q)) as usize] += 1.0;
            }
            assert_distributed(&bins.map(|seen| (seen, 1.0 / 32.0)));
        }
    }

    /// The expansion that the format specifies, word by word.
    #[test]
    fn uniform_is_the_specified_expansion() {
        let params = Params::medium();
        let seed = Seed([9; 32]);
        let poly = uniform(&params, Basis::full(&params), &seed, 3);
        for (index, row) in poly.rows() {
            let m = params.modulus(index);
            let mut stream = seed.stream(3, index);
            let words = std::iter::repeat_with(|| stream.next_u32());
            let fits = |w: &u32| u64::from(*w) < (1 << 32) / u64::from(m.q) * u64::from(m.q);
            let slow: Vec<u32> = words.filter(fits).map(|w| w % m.q).take(row.len()).collect();
            assert!(row == slow, "prime {index}");
        }
    }
}
