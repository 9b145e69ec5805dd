//! The bodies of the kernels: plain loops, which are also the fallback without SIMD.

use super::Constant;
use crate::modulus::Modulus;

#[inline(always)]
pub(crate) fn add(a: &mut [u32], b: &[u32], m: Modulus) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = m.add(*a, b);
    }
}

#[inline(always)]
pub(crate) fn sub(a: &mut [u32], b: &[u32], m: Modulus) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = m.sub(*a, b);
    }
}

#[inline(always)]
pub(crate) fn negate(a: &mut [u32], m: Modulus) {
    for a in a {
        *a = m.sub(0, *a);
    }
}

#[inline(always)]
pub(crate) fn add_constant(a: &mut [u32], w: u32, m: Modulus) {
    for a in a {
        *a = m.add(*a, w);
    }
}

#[inline(always)]
pub(crate) fn mul(a: &mut [u32], b: &[u32], m: Modulus) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = m.barrett(u64::from(*a) * u64::from(b));
    }
}

#[inline(always)]
pub(crate) fn mul_add(c: &mut [u32], a: &[u32], b: &[u32], m: Modulus) {
    for ((c, &a), &b) in c.iter_mut().zip(a).zip(b) {
        *c = m.barrett(u64::from(a) * u64::from(b) + u64::from(*c));
    }
}

#[inline(always)]
pub(crate) fn mul_sub(c: &mut [u32], a: &[u32], b: &[u32], m: Modulus) {
    for ((c, &a), &b) in c.iter_mut().zip(a).zip(b) {
        // q·(q-1) + c - a·b lies between 0 and 2^(2·bits+1).
        *c = m.barrett(u64::from(m.q - a) * u64::from(b) + u64::from(*c));
    }
}

#[inline(always)]
pub(crate) fn scale(a: &mut [u32], w: Constant, m: Modulus) {
    for a in a {
        *a = m.shoup(*a, w.w, w.quotient);
    }
}

#[inline(always)]
pub(crate) fn scale_add(c: &mut [u32], a: &[u32], w: Constant, m: Modulus) {
    for (c, &a) in c.iter_mut().zip(a) {
        *c = m.add(*c, m.shoup(a, w.w, w.quotient));
    }
}

#[inline(always)]
pub(crate) fn sub_scale(c: &mut [u32], t: &[u32], w: Constant, m: Modulus) {
    for (c, &t) in c.iter_mut().zip(t) {
        *c = m.shoup(*c + (m.q - t), w.w, w.quotient);
    }
}

#[inline(always)]
pub(crate) fn tensor(
    d: [&mut [u32]; 3],
    a0: &[u32],
    a1: &[u32],
    b0: &[u32],
    b1: &[u32],
    m: Modulus,
) {
    let [d0, d1, d2] = d;
    let outputs = d0.iter_mut().zip(d1).zip(d2);
    let inputs = a0.iter().zip(a1).zip(b0.iter().zip(b1));
    for (((d0, d1), d2), ((&a0, &a1), (&b0, &b1))) in outputs.zip(inputs) {
        let [a0, a1, b0, b1] = [a0, a1, b0, b1].map(u64::from);
        *d0 = m.barrett(a0 * b0);
        *d1 = m.barrett(a0 * b1 + a1 * b0);
        *d2 = m.barrett(a1 * b1);
    }
}

/// How many coefficients a lazy accumulator holds at once: small enough for the first-level cache.
const BLOCK: usize = 256;

/// How many products of words below `2^30` and residues stay below `q·2^32`.
const LAZY: usize = 4;

#[inline(always)]
fn accumulate(acc: &mut [u64], a: &[u32], b: &[u32]) {
    for ((acc, &a), &b) in acc.iter_mut().zip(a).zip(b) {
        *acc += u64::from(a) * u64::from(b);
    }
}

/// Brings `acc < 2^33·q` below `2^32·q`.
#[inline(always)]
fn relieve(acc: &mut [u64], m: Modulus) {
    let bound = u64::from(m.q) << 32;
    for acc in acc {
        *acc -= if *acc >= bound { bound } else { 0 };
    }
}

#[inline(always)]
fn inner_product(acc: &mut [u64], start: usize, a: &[&[u32]], b: &[&[u32]], m: Modulus) {
    acc.fill(0);
    let range = start..start + acc.len();
    for (j, (a, b)) in a.iter().zip(b).enumerate() {
        if j > 0 && j.is_multiple_of(LAZY) {
            relieve(acc, m);
        }
        accumulate(acc, &a[range.clone()], &b[range.clone()]);
    }
    if a.len() > LAZY {
        relieve(acc, m);
    }
}

#[inline(always)]
pub(crate) fn inner_products(
    out0: &mut [u32],
    out1: &mut [u32],
    digits: &[&[u32]],
    keys0: &[&[u32]],
    keys1: &[&[u32]],
    m: Modulus,
) {
    let mut acc = [0u64; BLOCK];
    for (out, keys) in [(out0, keys0), (out1, keys1)] {
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            let acc = &mut acc[..out.len()];
            inner_product(acc, block * BLOCK, digits, keys, m);
            for (out, &acc) in out.iter_mut().zip(&*acc) {
                *out = m.montgomery(acc);
            }
        }
    }
}

#[inline(always)]
pub(crate) fn garner_step(v: &mut [u32], previous: &[u32], w: Constant, m: Modulus) {
    let lift = (1u32 << Modulus::MAX_BITS).next_multiple_of(m.q);
    for (v, &previous) in v.iter_mut().zip(previous) {
        *v = m.shoup(*v + (lift - previous), w.w, w.quotient);
    }
}

#[inline(always)]
pub(crate) fn weigh(
    out: &mut [u32],
    digits: &[&[u32]],
    weights: &[u32],
    constant: u32,
    m: Modulus,
) {
    if let ([a, b], &[w0, w1]) = (digits, weights) {
        let [w0, w1] = [w0, w1].map(u64::from);
        for ((out, &a), &b) in out.iter_mut().zip(*a).zip(*b) {
            let sum = m.montgomery(u64::from(a) * w0 + u64::from(b) * w1);
            *out = m.add(sum, constant);
        }
        return;
    }
    let mut acc = [0u64; BLOCK];
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let acc = &mut acc[..out.len()];
        acc.fill(0);
        let range = block * BLOCK..block * BLOCK + out.len();
        for (j, (digit, &w)) in digits.iter().zip(weights).enumerate() {
            if j > 0 && j.is_multiple_of(LAZY) {
                relieve(acc, m);
            }
            for (acc, &d) in acc.iter_mut().zip(&digit[range.clone()]) {
                *acc += u64::from(d) * u64::from(w);
            }
        }
        if digits.len() > LAZY {
            relieve(acc, m);
        }
        for (out, &acc) in out.iter_mut().zip(&*acc) {
            *out = m.add(m.montgomery(acc), constant);
        }
    }
}

#[inline(always)]
pub(crate) fn residues(out: &mut [u32], x: &[i64], m: Modulus) {
    let high = Constant::new(m.to_montgomery(1), m);
    // A multiple of q that makes the signed high word positive.
    let lift = (1u32 << 31).next_multiple_of(m.q);
    for (out, &x) in out.iter_mut().zip(x) {
        let h = ((x >> 32) as u32).wrapping_add(lift);
        *out = m.add(m.shoup(h, high.w, high.quotient), m.reduce(x as u32));
    }
}

#[inline(always)]
pub(crate) fn small_residues(out: &mut [u32], x: &[i32], m: Modulus) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x.cast_unsigned().min(x.cast_unsigned().wrapping_add(m.q));
    }
}

#[inline(always)]
pub(crate) fn permute(out: &mut [u32], a: &[u32], index: &[u32]) {
    for (out, &i) in out.iter_mut().zip(index) {
        *out = a[i as usize];
    }
}
