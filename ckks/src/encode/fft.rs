//! The complex transform behind the slots, on separate real and imaginary parts.

use crate::kernel::dispatch;
use num_complex::Complex64;
use std::f64::consts::TAU;

/// Real and imaginary parts, separately, so that loops vectorise.
#[derive(Clone, Debug)]
struct Parts {
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Parts {
    fn unit(count: usize, angle: impl Fn(usize) -> f64) -> Self {
        let (im, re) = (0..count).map(|i| angle(i).sin_cos()).unzip();
        Self { re, im }
    }
}

/// Tables for one ring dimension.
#[derive(Clone, Debug)]
pub(crate) struct Fft {
    /// `N/2`.
    m: usize,
    /// `e^(2πi·j/(2h))` at `h + j`, for every half-length `h` and `j < h`.
    twiddles: Parts,
    /// `ζ^k`.
    twist: Parts,
    /// Where slot `j` stands in the transform's bit-reversed order.
    position: Vec<u32>,
}

impl Fft {
    /// Tables for polynomials of `n` coefficients.
    pub(crate) fn new(n: usize) -> Self {
        let m = n / 2;
        let twiddles = Parts::unit(m, |i| {
            let h = (i.max(1) + 1).next_power_of_two() / 2;
            TAU * (i - h.min(i)) as f64 / (2 * h) as f64
        });
        let twist = Parts::unit(m, |k| TAU * k as f64 / (2 * n) as f64);
        let shift = usize::BITS - m.trailing_zeros();
        let mut power = 1;
        let position = (0..m)
            .map(|_| {
                let t = (power - 1) / 4;
                power = power * 5 % (2 * n);
                (t.reverse_bits() >> shift) as u32
            })
            .collect();
        Self {
            m,
            twiddles,
            twist,
            position,
        }
    }

    /// Slots (missing ones are zero) to real coefficients.
    pub(crate) fn coefficients(&self, slots: &[Complex64]) -> Vec<f64> {
        let mut out = vec![0.0; 2 * self.m];
        let (re, im) = out.split_at_mut(self.m);
        for (z, &p) in slots.iter().zip(&self.position) {
            re[p as usize] = z.re;
            im[p as usize] = z.im;
        }
        dispatch(|| self.backward(re, im));
        out
    }

    /// As [`Self::coefficients`], for real slots.
    pub(crate) fn coefficients_of_real(&self, slots: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; 2 * self.m];
        let (re, im) = out.split_at_mut(self.m);
        for (&z, &p) in slots.iter().zip(&self.position) {
            re[p as usize] = z;
        }
        dispatch(|| self.backward(re, im));
        out
    }

    /// Real coefficients to slots.
    pub(crate) fn slots(&self, coefficients: &[f64]) -> Vec<Complex64> {
        let mut parts = coefficients.to_vec();
        let (re, im) = parts.split_at_mut(self.m);
        dispatch(|| self.forward(re, im));
        let slot = |&p: &u32| Complex64::new(re[p as usize], im[p as usize]);
        self.position.iter().map(slot).collect()
    }

    /// Natural order in, bit-reversed out: `Σ_k w_k·ζ^k·ω^(tk)`.
    #[inline(always)]
    fn forward(&self, re: &mut [f64], im: &mut [f64]) {
        for (((re, im), &c), &s) in re
            .iter_mut()
            .zip(&mut *im)
            .zip(&self.twist.re)
            .zip(&self.twist.im)
        {
            (*re, *im) = (*re * c - *im * s, *re * s + *im * c);
        }
        let mut h = self.m / 2;
        while h >= 1 {
            let (cos, sin) = (&self.twiddles.re[h..2 * h], &self.twiddles.im[h..2 * h]);
            for (re, im) in re.chunks_exact_mut(2 * h).zip(im.chunks_exact_mut(2 * h)) {
                let ((a_re, b_re), (a_im, b_im)) = (re.split_at_mut(h), im.split_at_mut(h));
                let a = a_re.iter_mut().zip(a_im);
                let b = b_re.iter_mut().zip(b_im);
                for (((ar, ai), (br, bi)), (&c, &s)) in a.zip(b).zip(cos.iter().zip(sin)) {
                    let (dr, di) = (*ar - *br, *ai - *bi);
                    (*ar, *ai) = (*ar + *br, *ai + *bi);
                    (*br, *bi) = (dr * c - di * s, dr * s + di * c);
                }
            }
            h /= 2;
        }
    }

    /// Bit-reversed order in, natural out: `w_k = (1/M)·ζ^-k·Σ_t z_t·ω^(-tk)`.
    #[inline(always)]
    fn backward(&self, re: &mut [f64], im: &mut [f64]) {
        let mut h = 1;
        while h < self.m {
            let (cos, sin) = (&self.twiddles.re[h..2 * h], &self.twiddles.im[h..2 * h]);
            for (re, im) in re.chunks_exact_mut(2 * h).zip(im.chunks_exact_mut(2 * h)) {
                let ((a_re, b_re), (a_im, b_im)) = (re.split_at_mut(h), im.split_at_mut(h));
                let a = a_re.iter_mut().zip(a_im);
                let b = b_re.iter_mut().zip(b_im);
                for (((ar, ai), (br, bi)), (&c, &s)) in a.zip(b).zip(cos.iter().zip(sin)) {
                    let (vr, vi) = (*br * c + *bi * s, *bi * c - *br * s);
                    (*br, *bi) = (*ar - vr, *ai - vi);
                    (*ar, *ai) = (*ar + vr, *ai + vi);
                }
            }
            h *= 2;
        }
        let unit = 1.0 / self.m as f64;
        for (((re, im), &c), &s) in re
            .iter_mut()
            .zip(im)
            .zip(&self.twist.re)
            .zip(&self.twist.im)
        {
            (*re, *im) = ((*re * c + *im * s) * unit, (*im * c - *re * s) * unit);
        }
    }
}
