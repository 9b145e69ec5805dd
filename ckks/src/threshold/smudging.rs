//! How much noise a partial decryption needs.

use crate::params::Params;
use crate::sample;
use crate::scale::Scale;

/// The size of smudging noise, by the formula of Li, Micciancio, Schultz and Sorrell (eprint
/// 2022/816, theorem on Gaussian flooding): for `s` bits of statistical security over `τ` openings of
/// ciphertexts whose noise has standard deviation `σ_ct`,
///
/// `σ_E = √(12·τ)·2^(s/2)·σ_ct`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smudging {
    sigma: f64,
    ciphertext_sigma: f64,
}

impl Smudging {
    /// The noise to add to openings of ciphertexts of noise `ciphertext_sigma` (standard deviation
    /// of a coefficient), for `2^log_releases` openings in the life of a key and
    /// `statistical_bits` of security.
    ///
    /// `None` if it would be `2^50` or more, which no sampler here draws.
    pub fn new(ciphertext_sigma: f64, log_releases: u32, statistical_bits: u32) -> Option<Self> {
        let releases = 2f64.powi(log_releases.cast_signed());
        let sigma =
            (12.0 * releases).sqrt() * 2f64.powf(f64::from(statistical_bits) / 2.0) * ciphertext_sigma;
        (sigma < 2f64.powi(50)).then_some(Self { sigma, ciphertext_sigma })
    }

    /// For sums of up to `count` fresh symmetric ciphertexts: `σ_ct = σ·√count`.
    ///
    /// `None` as [`Self::new`].
    pub fn for_sums(count: u64, log_releases: u32, statistical_bits: u32) -> Option<Self> {
        let sigma = (sample::ERROR_VARIANCE * count as f64).sqrt();
        Self::new(sigma, log_releases, statistical_bits)
    }

    /// The standard deviation of each member's noise.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// `log2` of a bound on the probability that one coefficient rounds to the wrong integer, when
    /// `members` open a sum of `count` ciphertexts of `dropped` low bits at `scale`.
    ///
    /// Gaussian tail: `P(|x| > b) ≤ 2·exp(-b²/2σ²)` with `b` half the scale and `σ²` the sum of the
    /// members' noise, the ciphertexts' noise and the rounding of what was dropped (of the
    /// ciphertexts, and of the members' answers at the same width).
    pub fn log_failure(
        &self,
        params: &Params,
        scale: &Scale,
        members: usize,
        count: u64,
        dropped: u32,
    ) -> f64 {
        let rounding = if dropped == 0 { 0.0 } else { 4f64.powi(dropped.cast_signed()) / 12.0 };
        let (members, count) = (members as f64, count as f64);
        let variance =
            members * self.sigma.powi(2) + self.ciphertext_sigma.powi(2) + (count + members) * rounding;
        let bound = scale.value(params) / 2.0;
        (1.0 - bound * bound / (2.0 * variance) / std::f64::consts::LN_2).min(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of the design: 2^14 keys, 2^20 openings, 40 bits.
    #[test]
    fn formula_gives_the_documented_size() {
        let smudging = Smudging::for_sums(1 << 14, 20, 40).unwrap();
        assert!((smudging.sigma().log2() - 40.5).abs() < 0.1);
        let params = Params::sums_4096();
        let failure = smudging.log_failure(&params, &params.scale(), 3, 1 << 14, 28);
        assert!(failure < -40.0, "{failure}");
        assert!(Smudging::for_sums(1 << 14, 40, 40).is_none());
    }
}
