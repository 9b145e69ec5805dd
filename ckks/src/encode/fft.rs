//! The complex transform behind the slots, on separate real and imaginary parts.
//!
//! The transform's array is [`LANES`] blocks. Steps that stay inside a block do the same to all blocks, so
//! for them the blocks are interleaved and each step is the same arithmetic on [`LANES`] neighbours;
//! steps across blocks run over long rows of the array as it is. Either way every loop is contiguous.

use crate::buffer::Buffer;
use crate::kernel::dispatch;
use num_complex::Complex64;
use std::f64::consts::TAU;

/// How many blocks there are: the numbers of one AVX-512 register, or two of AVX2.
const LANES: usize = 8;

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
    /// Where slot `j` stands in the interleaved, bit-reversed array.
    position: Vec<u32>,
}

impl Fft {
    /// Tables for polynomials of `n` coefficients, at least 32.
    pub(crate) fn new(n: usize) -> Self {
        let m = n / 2;
        let twiddles = Parts::unit(m, |i| {
            let h = (i.max(1) + 1).next_power_of_two() / 2;
            TAU * (i - h.min(i)) as f64 / (2 * h) as f64
        });
        let twist = Parts::unit(m, |k| TAU * k as f64 / (2 * n) as f64);
        let shift = usize::BITS - m.trailing_zeros();
        let rows = m / LANES;
        let mut power = 1;
        let position = (0..m)
            .map(|_| {
                let t: usize = (power - 1) / 4;
                power = power * 5 % (2 * n);
                let p = t.reverse_bits() >> shift;
                (p % rows * LANES + p / rows) as u32
            })
            .collect();
        Self { m, twiddles, twist, position }
    }

    /// Slots (missing ones are zero) to real coefficients.
    pub(crate) fn coefficients(&self, slots: &[Complex64]) -> Buffer<f64> {
        let (mut re, mut im) = (Buffer::zeros(self.m), Buffer::zeros(self.m));
        for (z, &p) in slots.iter().zip(&self.position) {
            re[p as usize] = z.re;
            im[p as usize] = z.im;
        }
        self.backward(re, im)
    }

    /// As [`Self::coefficients`], for real slots.
    pub(crate) fn coefficients_of_real(&self, slots: &[f64]) -> Buffer<f64> {
        let (mut re, im) = (Buffer::zeros(self.m), Buffer::zeros(self.m));
        for (&z, &p) in slots.iter().zip(&self.position) {
            re[p as usize] = z;
        }
        self.backward(re, im)
    }

    /// Real coefficients to slots.
    pub(crate) fn slots(&self, coefficients: &[f64]) -> Vec<Complex64> {
        let mut parts = Buffer::copy(coefficients);
        let (mut re, mut im) = (Buffer::scratch(self.m), Buffer::scratch(self.m));
        let (long_re, long_im) = parts.split_at_mut(self.m);
        dispatch(Forward { fft: self, long: [long_re, long_im], inside: [&mut re, &mut im] });
        let slot = |&p: &u32| Complex64::new(re[p as usize], im[p as usize]);
        self.position.iter().map(slot).collect()
    }

    fn backward(&self, mut re: Buffer<f64>, mut im: Buffer<f64>) -> Buffer<f64> {
        let mut out = Buffer::scratch(2 * self.m);
        let (long_re, long_im) = out.split_at_mut(self.m);
        dispatch(Backward { fft: self, inside: [&mut re, &mut im], long: [long_re, long_im] });
        out
    }

    /// The twist and the steps across blocks of `Σ_k w_k·ζ^k·ω^(tk)`: natural order in.
    #[inline(always)]
    fn forward_across(&self, re: &mut [f64], im: &mut [f64]) {
        let twist = self.twist.re.iter().zip(&self.twist.im);
        for ((re, im), (&c, &s)) in re.iter_mut().zip(&mut *im).zip(twist) {
            (*re, *im) = (*re * c - *im * s, *re * s + *im * c);
        }
        let mut h = self.m / 2;
        while h >= self.m / LANES {
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

    /// The steps inside blocks, interleaved: bit-reversed order out.
    #[inline(always)]
    fn forward_inside(&self, re: &mut [f64], im: &mut [f64]) {
        let (re, im) = (re.as_chunks_mut::<LANES>().0, im.as_chunks_mut::<LANES>().0);
        let mut h = re.len() / 2;
        while h >= 1 {
            let (cos, sin) = (&self.twiddles.re[h..2 * h], &self.twiddles.im[h..2 * h]);
            for (re, im) in re.chunks_exact_mut(2 * h).zip(im.chunks_exact_mut(2 * h)) {
                let ((a_re, b_re), (a_im, b_im)) = (re.split_at_mut(h), im.split_at_mut(h));
                let a = a_re.iter_mut().zip(a_im);
                let b = b_re.iter_mut().zip(b_im);
                for (((ar, ai), (br, bi)), (&c, &s)) in a.zip(b).zip(cos.iter().zip(sin)) {
                    for l in 0..LANES {
                        let (dr, di) = (ar[l] - br[l], ai[l] - bi[l]);
                        (ar[l], ai[l]) = (ar[l] + br[l], ai[l] + bi[l]);
                        (br[l], bi[l]) = (dr * c - di * s, dr * s + di * c);
                    }
                }
            }
            h /= 2;
        }
    }

    /// The steps inside blocks of `Σ_t z_t·ω^(-tk)`, interleaved: bit-reversed order in.
    #[inline(always)]
    fn backward_inside(&self, re: &mut [f64], im: &mut [f64]) {
        let (re, im) = (re.as_chunks_mut::<LANES>().0, im.as_chunks_mut::<LANES>().0);
        let mut h = 1;
        while h < re.len() {
            let (cos, sin) = (&self.twiddles.re[h..2 * h], &self.twiddles.im[h..2 * h]);
            for (re, im) in re.chunks_exact_mut(2 * h).zip(im.chunks_exact_mut(2 * h)) {
                let ((a_re, b_re), (a_im, b_im)) = (re.split_at_mut(h), im.split_at_mut(h));
                let a = a_re.iter_mut().zip(a_im);
                let b = b_re.iter_mut().zip(b_im);
                for (((ar, ai), (br, bi)), (&c, &s)) in a.zip(b).zip(cos.iter().zip(sin)) {
                    for l in 0..LANES {
                        let (vr, vi) = (br[l] * c + bi[l] * s, bi[l] * c - br[l] * s);
                        (br[l], bi[l]) = (ar[l] - vr, ai[l] - vi);
                        (ar[l], ai[l]) = (ar[l] + vr, ai[l] + vi);
                    }
                }
            }
            h *= 2;
        }
    }

    /// The steps across blocks, and the untwisting with `1/M`: natural order out.
    #[inline(always)]
    fn backward_across(&self, re: &mut [f64], im: &mut [f64]) {
        let mut h = self.m / LANES;
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
        let twist = self.twist.re.iter().zip(&self.twist.im);
        for ((re, im), (&c, &s)) in re.iter_mut().zip(im).zip(twist) {
            (*re, *im) = ((*re * c + *im * s) * unit, (*im * c - *re * s) * unit);
        }
    }
}

/// A call of the forward transform, from the long arrays to those of interleaved blocks.
struct Forward<'a> {
    fft: &'a Fft,
    long: [&'a mut [f64]; 2],
    inside: [&'a mut [f64]; 2],
}

impl pulp::NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let ([long_re, long_im], [re, im]) = (self.long, self.inside);
        self.fft.forward_across(long_re, long_im);
        interleave(long_re, re);
        interleave(long_im, im);
        self.fft.forward_inside(re, im);
    }
}

/// A call of the backward transform, from interleaved blocks to the long arrays.
struct Backward<'a> {
    fft: &'a Fft,
    inside: [&'a mut [f64]; 2],
    long: [&'a mut [f64]; 2],
}

impl pulp::NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let ([long_re, long_im], [re, im]) = (self.long, self.inside);
        self.fft.backward_inside(re, im);
        separate(re, long_re);
        separate(im, long_im);
        self.fft.backward_across(long_re, long_im);
    }
}

/// Blocks one after another to blocks side by side.
#[inline(always)]
fn interleave(blocks: &[f64], out: &mut [f64]) {
    let rows = blocks.len() / LANES;
    for (i, row) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        for (l, out) in row.iter_mut().enumerate() {
            *out = blocks[l * rows + i];
        }
    }
}

/// Blocks side by side to blocks one after another.
#[inline(always)]
fn separate(rows: &[f64], out: &mut [f64]) {
    let count = rows.len() / LANES;
    for (i, row) in rows.as_chunks::<LANES>().0.iter().enumerate() {
        for (l, &x) in row.iter().enumerate() {
            out[l * count + i] = x;
        }
    }
}
