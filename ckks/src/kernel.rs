//! Pointwise kernels over rows of residues, widened at run time to what the processor has.
//!
//! Every kernel has one body, in [`scalar`], written so that the compiler can vectorise it. The
//! functions here run that body inside [`pulp`]'s run-time dispatch (AVX2 where there is AVX2).
//! The bodies are integer arithmetic only, so both ways give the same bits; the tests below hold
//! them to it, and to 128-bit division at the worst operands.
//!
//! All slices of one call have the same length, and all residues are canonical (`< q`) on entry and
//! on exit unless a kernel says otherwise.

pub(crate) mod scalar;

use crate::modulus::Modulus;
use std::sync::LazyLock;

static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// A constant with its Shoup quotient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constant {
    /// The constant, `< q`.
    pub(crate) w: u32,
    /// `⌊w·2^32/q⌋`.
    pub(crate) quotient: u32,
}

impl Constant {
    /// Takes `w < q`.
    pub(crate) fn new(w: u32, m: Modulus) -> Self {
        Self {
            w,
            quotient: crate::prime::shoup(w, m.q),
        }
    }
}

/// Runs `f` with the widest instructions this processor has.
pub(crate) fn dispatch<R>(f: impl FnOnce() -> R) -> R {
    ARCH.dispatch(f)
}

macro_rules! dispatched {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?);)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $ty),*) {
            dispatch(|| scalar::$name($($arg),*));
        }
    )*};
}

dispatched! {
    /// `a += b`.
    fn add(a: &mut [u32], b: &[u32], m: Modulus);
    /// `a -= b`.
    fn sub(a: &mut [u32], b: &[u32], m: Modulus);
    /// `a = -a`.
    fn negate(a: &mut [u32], m: Modulus);
    /// `a += w`, a constant below `q`.
    fn add_constant(a: &mut [u32], w: u32, m: Modulus);
    /// `a *= b`.
    fn mul(a: &mut [u32], b: &[u32], m: Modulus);
    /// `c += a·b`.
    fn mul_add(c: &mut [u32], a: &[u32], b: &[u32], m: Modulus);
    /// `c -= a·b`.
    fn mul_sub(c: &mut [u32], a: &[u32], b: &[u32], m: Modulus);
    /// `a *= w`; the input may be any 32-bit words.
    fn scale(a: &mut [u32], w: Constant, m: Modulus);
    /// `c += w·a`; `a` may be any 32-bit words.
    fn scale_add(c: &mut [u32], a: &[u32], w: Constant, m: Modulus);
    /// `c = (c - t)·w`, the step of an exact division.
    fn sub_scale(c: &mut [u32], t: &[u32], w: Constant, m: Modulus);
    /// `(a0, a1), (b0, b1) → d0 = a0·b0, d1 = a0·b1 + a1·b0, d2 = a1·b1`.
    fn tensor(
        d: [&mut [u32]; 3],
        a0: &[u32],
        a1: &[u32],
        b0: &[u32],
        b1: &[u32],
        m: Modulus,
    );
    /// `acc[k] = Σ_j digits[j]·keys[j][k]·2^-32`, both outputs at once: keys in Montgomery form.
    fn inner_products(
        out0: &mut [u32],
        out1: &mut [u32],
        digits: &[&[u32]],
        keys0: &[&[u32]],
        keys1: &[&[u32]],
        m: Modulus,
    );
    /// `v = (v - previous)·w mod q` for a `previous` below `2^30` that need not be below `q`.
    fn garner_step(v: &mut [u32], previous: &[u32], w: Constant, m: Modulus);
    /// `out = Σ_i weights[i]·digits[i]·2^-32 + constant`: digits below `2^30`, weights in Montgomery
    /// form.
    fn weigh(out: &mut [u32], digits: &[&[u32]], weights: &[u32], constant: u32, m: Modulus);
    /// The residues of signed integers, `|x| < 2^62`.
    fn residues(out: &mut [u32], x: &[i64], m: Modulus);
    /// The residues of small signed integers, `|x| < q`.
    fn small_residues(out: &mut [u32], x: &[i32], m: Modulus);
    /// `out[i] = a[index[i]]`.
    fn permute(out: &mut [u32], a: &[u32], index: &[u32]);
}

#[cfg(test)]
mod tests;
