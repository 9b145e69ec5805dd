//! The canonical embedding: slots to coefficients and back.
//!
//! A real polynomial `m` of degree below `N` has its slots at `z_j = m(ζ^(5^j))`, `ζ = e^(iπ/N)`,
//! `j < N/2` (CKKS, eprint 2016/421, section 3.2). With `w_k = m_k + i·m_(k+N/2)` and
//! `5^j = 4t + 1` this is `z_j = Σ_k w_k·ζ^k·ω^(tk)`, `ω = e^(2πi/(N/2))`: a twist and one complex
//! transform of half the length.

mod fft;

pub(crate) use fft::Fft;

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;
    use std::f64::consts::PI;

    /// The embedding by its definition.
    fn evaluate(m: &[f64], j: usize) -> Complex64 {
        let n = m.len();
        let root = (0..j).fold(1usize, |x, _| x * 5 % (2 * n));
        let term = |(k, &c): (usize, &f64)| {
            let angle = PI * ((root * k) % (2 * n)) as f64 / n as f64;
            Complex64::from_polar(c, angle)
        };
        m.iter().enumerate().map(term).sum()
    }

    #[test]
    fn transform_is_the_embedding() {
        for n in [32, 256] {
            let fft = Fft::new(n);
            let m: Vec<f64> = (0..n).map(|k| ((k * k * 37 + 11) % 101) as f64 - 50.0).collect();
            let slots = fft.slots(&m);
            for (j, z) in slots.iter().enumerate() {
                assert!((z - evaluate(&m, j)).norm() < 1e-9, "{n} {j}");
            }
            let back = fft.coefficients(&slots);
            for (a, b) in m.iter().zip(back.iter()) {
                assert!((a - b).abs() < 1e-11);
            }
        }
    }

    /// One coefficient at a time at full size, where the direct evaluation is cheap.
    #[test]
    fn transform_is_the_embedding_at_full_size() {
        let n = 32768;
        let fft = Fft::new(n);
        for k in [0, 1, 777, n / 2, n - 1] {
            let mut m = vec![0.0; n];
            m[k] = 1.0;
            let slots = fft.slots(&m);
            for j in [0, 1, 2, 4095, n / 2 - 1] {
                assert!((slots[j] - evaluate(&m, j)).norm() < 1e-12);
            }
        }
    }
}
