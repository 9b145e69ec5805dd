//! The named sets.

use super::{Literal, Params, Security};

impl Params {
    /// `N = 2048`, Q of 53 bits, no key switching: sums of small values in the smallest ciphertexts.
    ///
    /// Seeded ciphertexts take 13.6 kB. The scale is `2^30`, so 22 bits are left for a sum.
    pub fn sums_2048() -> Self {
        Self::named(11, &[&[27, 26]], &[], 30)
    }

    /// `N = 4096`, Q of 100 bits, no key switching: exact sums with room for smudged threshold
    /// decryption.
    ///
    /// The scale is `2^46`: noise smudged to 2^41 still rounds away, and 53 bits are left for a sum.
    /// 100 bits also satisfy the quantum table of the 2018 standard (101).
    pub fn sums_4096() -> Self {
        Self::named(12, &[&[25, 25, 25, 25]], &[], 46)
    }

    /// The light profile: `N = 4096`, one multiplication at scale `2^30`; 96 bits in all.
    pub fn light() -> Self {
        Self::named(12, &[&[19, 18], &[30]], &[30], 30)
    }

    /// The medium profile: `N = 8192`, two multiplications at scale `2^40`; 200 bits in all.
    pub fn medium() -> Self {
        Self::named(13, &[&[30, 30], &[20, 21], &[20, 21]], &[30, 30], 40)
    }

    /// The strong profile: `N = 16384`, six multiplications at scale `2^45`; 400 bits in all.
    pub fn strong() -> Self {
        let mut levels: Vec<&[u32]> = vec![&[30, 30]];
        levels.extend([[22, 25].as_slice(); 6]);
        Self::named(14, &levels, &[24, 23, 23], 45)
    }

    /// The largest profile: `N = 32768`, thirteen multiplications at scale `2^50`; 860 bits in all.
    ///
    /// Deep enough for one comparison to 8 bits (depth 11). A Galois key is tens of megabytes.
    pub fn largest() -> Self {
        let mut levels: Vec<&[u32]> = vec![&[30, 30]];
        levels.extend([[24, 28].as_slice(); 13]);
        Self::named(15, &levels, &[30; 5], 50)
    }

    /// Every named set, smallest ring first.
    pub fn all() -> [Self; 6] {
        [Self::sums_2048(), Self::sums_4096(), Self::light(), Self::medium(), Self::strong(), Self::largest()]
    }

    fn named(log_n: u32, levels: &[&[u32]], special: &[u32], log_scale: u32) -> Self {
        let literal = Literal {
            log_n,
            levels: levels.iter().map(|level| level.to_vec()).collect(),
            special: special.to_vec(),
            log_scale,
            security: Security::Classical2024,
        };
        Self::new(literal).expect("the named sets satisfy their own rules")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes as the documentation states them, and inside the table they claim.
    #[test]
    fn named_sets_are_what_they_say() {
        let expected = [(11, 53.0), (12, 100.0), (12, 96.0), (13, 200.0), (14, 400.0), (15, 860.0)];
        for (params, (log_n, log_qp)) in Params::all().iter().zip(expected) {
            assert_eq!(params.log_n(), log_n);
            assert!((params.log_qp() - log_qp).abs() < 1.5, "{}", params.log_qp());
            let limit = Security::Classical2024.max_log_qp(log_n).unwrap();
            assert!(params.log_qp() <= f64::from(limit));
        }
        assert!(Params::sums_4096().log_qp() <= 101.0);
    }

    /// A multiplication and a rescale keep the scale within half a bit of the default, for every level
    /// of the deep sets within a tenth.
    #[test]
    fn levels_are_near_the_scale() {
        for params in Params::all() {
            for level in 1..=params.max_level() {
                let bits: f64 = params.level_rows(level).map(|i| f64::from(params.prime(i)).log2()).sum();
                let drift = (bits - f64::from(params.log_scale())).abs();
                assert!(drift < if params.log_n() < 14 { 0.5 } else { 0.1 }, "{params:?} {level}: {drift}");
            }
        }
    }
}
