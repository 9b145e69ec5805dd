//! The kernels that the compiler vectorises by itself: conversions between words, integers and floats.

use super::lanes::Lanes;
use crate::modulus::Modulus;
use crate::sample::ERROR_ETA;

/// Words to residues, those not below the largest multiple of `q` left out and the rest moved up;
/// counts what is kept.
#[inline(always)]
pub(crate) fn keep_uniform<L: Lanes>(_: L, words: &mut [u32], kept: &mut usize, m: Modulus) {
    const RUN: usize = 64;
    let last = ((1 << 32) / u64::from(m.q) * u64::from(m.q) - 1) as u32;
    let mut count = 0;
    for start in (0..words.len()).step_by(RUN) {
        let end = words.len().min(start + RUN);
        let mut run = [0; RUN];
        let run = &mut run[..end - start];
        run.copy_from_slice(&words[start..end]);
        let largest = run.iter().fold(0, |largest, &word| word.max(largest));
        if largest <= last {
            for (out, &word) in words[count..].iter_mut().zip(&*run) {
                *out = m.reduce(word);
            }
            count += run.len();
        } else {
            for &word in &*run {
                words[count] = m.reduce(word);
                count += usize::from(word <= last);
            }
        }
    }
    *kept = count;
}

#[inline(always)]
pub(crate) fn ternary<L: Lanes>(_: L, out: &mut [i32], words: &[u32]) {
    for (out, &word) in out.iter_mut().zip(words) {
        *out = ((u64::from(word) * 3) >> 32) as i32 - 1;
    }
}

#[inline(always)]
pub(crate) fn centred_binomial<L: Lanes>(_: L, out: &mut [i32], plus: &[u32], minus: &[u32]) {
    const MASK: u32 = (1 << ERROR_ETA) - 1;
    for ((out, plus), minus) in out.iter_mut().zip(plus).zip(minus) {
        *out = (plus & MASK).count_ones().cast_signed() - (minus & MASK).count_ones().cast_signed();
    }
}

#[inline(always)]
pub(crate) fn horner<L: Lanes>(_: L, out: &mut [f64], digits: &[u32], m: Modulus) {
    let (base, half) = (f64::from(m.q), (m.q - 1) / 2);
    for (out, &v) in out.iter_mut().zip(digits) {
        *out = *out * base + f64::from(v.wrapping_sub(half).cast_signed());
    }
}

#[inline(always)]
pub(crate) fn round<L: Lanes>(_: L, out: &mut [i64], x: &[f64], factor: f64, largest: &mut f64) {
    /// `1.5·2^52`: adding it to less than `2^51` rounds to the nearest integer, ties to even.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // Of finite floats without their sign the larger has the larger bits, and infinity the largest.
    let bits = x.iter().fold(0, |bits, c| (c * factor).abs().to_bits().cast_signed().max(bits));
    *largest = f64::from_bits(bits.cast_unsigned());
    if *largest < (1u64 << 51) as f64 {
        for (out, &c) in out.iter_mut().zip(x) {
            *out = (c * factor + ROUND).to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
        }
    } else if *largest < (1u64 << 62) as f64 {
        for (out, &c) in out.iter_mut().zip(x) {
            *out = (c * factor).round_ties_even() as i64;
        }
    }
}
