//! Sign, comparison, maximum and minimum by composite minimax polynomials.
//!
//! Odd polynomials `p_1, p_2, …` are composed so that each maps what the one before left of
//! `[-1, -ε] ∪ [ε, 1]` nearer to ±1 (Lee, Lee, No, Kim: *Minimax approximation of sign function by
//! composite polynomial*, eprint 2020/834). Each is the best odd polynomial of its degree on its
//! interval, computed with Remez's algorithm, and all but the last are divided by their maximum so
//! that the next gets values in [-1, 1].

use super::Polynomial;
use crate::ciphertext::Ciphertext;
use crate::error::Mismatch;
use crate::keys::RelinKey;
use crate::scale::Scale;

/// A composite polynomial that is near the sign of its argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    stages: Vec<Polynomial>,
    precision: f64,
}

impl Sign {
    /// Degrees 7 and 7, depth 6: within `2^-4.19` of the sign where `|x| ≥ 2^-4.19`.
    pub fn coarse() -> Self {
        Self::new(
            4.19,
            &[
                &[
                    0.826_147_990_589_229_9,
                    -0.278_536_964_069_517_7,
                    0.172_071_021_404_056_53,
                    -0.423_650_580_424_936_9,
                ],
                &[
                    1.256_730_960_003_707,
                    -0.376_648_811_350_057_5,
                    0.180_643_664_555_164_4,
                    -0.114_464_700_197_698_51,
                ],
            ],
        )
    }

    /// Degrees 7, 7 and 15, depth 10: within `2^-7` of the sign where `|x| ≥ 2^-7`.
    pub fn medium() -> Self {
        Self::new(
            7.0,
            &[
                &[
                    0.668_093_445_574_904_1,
                    -0.229_199_898_404_835_68,
                    0.146_704_154_375_746_35,
                    -0.539_773_123_097_346_3,
                ],
                &[
                    0.798_410_280_136_533_5,
                    -0.270_133_168_550_888_4,
                    0.168_088_871_976_703_47,
                    -0.444_392_748_560_762_16,
                ],
                &[
                    1.265_062_135_393_265_6,
                    -0.400_367_593_305_846_2,
                    0.216_142_694_824_294_13,
                    -0.131_109_926_888_601_8,
                    0.081_148_952_302_607_3,
                    -0.048_905_515_562_765_955,
                    0.027_600_448_701_139_195,
                    -0.017_206_245_055_958_073,
                ],
            ],
        )
    }

    /// Degrees 15, 15 and 15, depth 12: within `2^-8.8` of the sign where `|x| ≥ 2^-8.8`.
    pub fn fine() -> Self {
        Self::new(
            8.8,
            &[
                &[
                    0.655_084_207_283_206_6,
                    -0.219_746_050_780_682_7,
                    0.133_565_452_526_851_12,
                    -0.097_351_421_750_982_26,
                    0.077_909_479_531_412_35,
                    -0.066_245_770_669_373_11,
                    0.058_981_457_433_616_99,
                    -0.513_999_224_966_770_6,
                ],
                &[
                    0.840_957_025_142_97,
                    -0.280_841_759_214_245_3,
                    0.169_177_906_723_325_08,
                    -0.121_649_664_250_503_5,
                    0.095_596_585_139_709_34,
                    -0.079_435_489_164_199_64,
                    0.068_783_551_071_555_45,
                    -0.371_915_832_002_183_2,
                ],
                &[
                    1.262_229_558_111_355,
                    -0.392_308_298_564_322_64,
                    0.204_080_569_395_178_02,
                    -0.116_802_307_217_537_19,
                    0.066_534_829_716_786_1,
                    -0.035_737_048_376_369_915,
                    0.017_141_299_661_822_408,
                    -0.007_322_785_242_671_485,
                ],
            ],
        )
    }

    /// Takes the coefficients of `T_1, T_3, …` of each stage.
    fn new(precision: f64, stages: &[&[f64]]) -> Self {
        let odd =
            |c: &&[f64]| Polynomial::from_chebyshev(&c.iter().flat_map(|&c| [0.0, c]).collect::<Vec<_>>());
        Self { stages: stages.iter().map(odd).collect(), precision }
    }

    /// `-log2` of both the error and the width of the interval around 0 where it does not hold.
    pub fn precision(&self) -> f64 {
        self.precision
    }

    /// The largest error that [`Ciphertext::max`] and [`Ciphertext::min`] make with this sign, as a part
    /// of the full scale (1, the largest difference of two slots): `2^-(precision + 1)`.
    ///
    /// It is smaller than the sign's own, because the maximum is `(a + b)/2 + |a - b|/2`: at a distance
    /// `d` of the two values the error is `d/2` times that of the sign. Where the sign is good
    /// that is at most half its error; where it is not, `d` is below `2^-precision` and the sign is
    /// at most 1 off.
    ///
    /// | sign | levels of a maximum | largest error |
    /// |---|---|---|
    /// | [`Self::coarse`] | 7 | `2^-5.1` |
    /// | [`Self::medium`] | 11 | `2^-8` |
    /// | [`Self::fine`] | 13, all of [`crate::Params::largest`] | `2^-9.8` |
    pub fn extreme_error(&self) -> f64 {
        0.5 * (-self.precision).exp2()
    }

    /// How many levels the sign takes.
    pub fn depth(&self) -> usize {
        self.stages.iter().map(Polynomial::depth).sum()
    }

    /// The value at `x` in [-1, 1].
    pub fn value(&self, x: f64) -> f64 {
        self.stages.iter().fold(x, |x, p| p.value(x))
    }
}

impl Ciphertext {
    /// Near -1 or 1 for every slot, which has to be in [-1, 1]; [`Sign::depth`] levels below, at
    /// `scale`.
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::evaluate`].
    pub fn sign(&self, sign: &Sign, scale: &Scale, key: &RelinKey) -> Result<Self, Mismatch> {
        let depth = sign.depth();
        if self.level < depth {
            let (found, wanted) = (self.level, depth);
            return Err(Mismatch::NoLevel { found, wanted });
        }
        let mut out = self.clone();
        for stage in &sign.stages {
            out = out.evaluate(stage, scale, key)?;
        }
        Ok(out)
    }

    /// Near 1 where `self > other`, near 0 where it is less, ½ where they are equal; the slots'
    /// differences have to be in [-1, 1].
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::sub`] and [`Ciphertext::sign`].
    pub fn compare(
        &self,
        other: &Self,
        sign: &Sign,
        scale: &Scale,
        key: &RelinKey,
    ) -> Result<Self, Mismatch> {
        // (sign + 1)/2; reading at twice the scale halves.
        let two = Scale::power_of_two(1);
        let out = self.sub(other)?.sign(sign, &scale.over(&two), key)?;
        let mut out = out.with_scale(scale);
        out.add_constant(0.5)?;
        Ok(out)
    }

    /// The larger of each two slots, whose difference has to be in [-1, 1]; one level more than the
    /// sign takes, at `scale`.
    ///
    /// Values of a range that is known, such as curves in watts up to a fuse's rating, are divided by
    /// that range before they are encoded; then the error is at most [`Sign::extreme_error`] of the full
    /// scale, plus the noise, which is far below it. With [`Sign::fine`] at the top of
    /// [`crate::Params::largest`] that is `2^-9.8`, in 13 levels: all there are. With
    /// [`Sign::medium`], `2^-8` in 11.
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::compare`].
    pub fn max(&self, other: &Self, sign: &Sign, scale: &Scale, key: &RelinKey) -> Result<Self, Mismatch> {
        self.extreme(other, sign, scale, key, 0.5)
    }

    /// The smaller of each two slots; otherwise as [`Self::max`].
    ///
    /// # Errors
    ///
    /// As [`Ciphertext::compare`].
    pub fn min(&self, other: &Self, sign: &Sign, scale: &Scale, key: &RelinKey) -> Result<Self, Mismatch> {
        self.extreme(other, sign, scale, key, -0.5)
    }

    /// `(a + b)/2 + factor·(a - b)·sign(a - b)`.
    fn extreme(
        &self,
        other: &Self,
        sign: &Sign,
        scale: &Scale,
        key: &RelinKey,
        factor: f64,
    ) -> Result<Self, Mismatch> {
        let difference = self.sub(other)?;
        let signs = difference.sign(sign, scale, key)?;
        let top = signs.level;
        if top == 0 {
            return Err(Mismatch::NoLevel { found: 0, wanted: 1 });
        }
        // (a - b)·factor at the signs' level, at the scale that the product turns into `scale`.
        let wanted = self.params.level_scale(top);
        let difference = difference.bring_to(top, &wanted, factor)?;
        let mut out = difference.multiply_rescale(&signs, key)?;
        out.add_assign(&self.add(other)?.bring_to(top - 1, scale, 0.5)?)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The polynomials do what they promise, at the ends and between.
    #[test]
    fn signs_are_as_precise_as_they_say() {
        for (sign, depth) in [(Sign::coarse(), 6), (Sign::medium(), 10), (Sign::fine(), 12)] {
            assert_eq!(sign.depth(), depth);
            let bound = 2f64.powf(-sign.precision());
            for i in 0..=100_000 {
                let x = bound + (1.0 - bound) * f64::from(i) / 1e5;
                assert!((sign.value(x) - 1.0).abs() <= bound * 1.001, "{x} {}", sign.value(x));
                assert!((sign.value(-x) + 1.0).abs() <= bound * 1.001);
            }
        }
    }

    /// At every distance of two values, nearly equal ones included.
    #[test]
    fn extremes_are_as_precise_as_they_say() {
        for sign in [Sign::coarse(), Sign::medium(), Sign::fine()] {
            let error = |d: f64| (d / 2.0 * (1.0 - sign.value(d))).abs();
            let fine = (0..=100_000).map(|i| f64::from(i) / 1e5).chain((0..1000).map(|i| f64::from(i) / 1e6));
            let largest = fine.map(error).fold(0.0, f64::max);
            assert!(largest <= sign.extreme_error() * 1.001, "{largest} over {}", sign.extreme_error());
        }
    }
}
