//! Pointwise kernels over rows of residues, widened at run time to what the processor has.
//!
//! Every kernel has one body, in [`body`], written over the few vector operations of [`lanes`]. The
//! functions here run it on AVX-512 or AVX2 where the processor has them, through [`pulp`]'s run-time
//! detection, and on pairs of plain integers elsewhere. All of it is integer arithmetic, so every
//! width gives the same bits; the tests below hold them to it, and to 128-bit division at the worst
//! operands.
//!
//! All slices of one call have the same length, a multiple of 16, and all residues are canonical
//! (`< q`) on entry and on exit unless a kernel says otherwise.

mod body;
mod lanes;
mod loops;
mod width;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use width::{Vectors, limit_vectors};

use crate::modulus::Modulus;
use lanes::{Lanes, Pair};
use width::{Width, width};

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
        Self { w, quotient: crate::prime::shoup(w, m.q) }
    }
}

/// Runs a call, whose method has to be inlined, with the widest instructions this processor has.
pub(crate) fn dispatch<C: pulp::NullaryFnOnce>(call: C) -> C::Output {
    match width() {
        #[cfg(target_arch = "x86_64")]
        Width::Avx512(lanes) => lanes.vectorize(call),
        #[cfg(target_arch = "x86_64")]
        Width::Avx2(lanes) => lanes.vectorize(call),
        Width::Pair => call.call(),
    }
}

/// Declares the kernels that [`body`] defines. The call travels as a struct because its method, unlike
/// a closure, can be made to inline into the function that holds the wide instructions.
macro_rules! dispatched {
    ($($(#[$doc:meta])* fn $name:ident<'a>($($arg:ident: $ty:ty),* $(,)?);)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name<'a>($($arg: $ty),*) {
            struct Call<'a, L> {
                lanes: L,
                $($arg: $ty),*
            }
            impl<L: Lanes> pulp::NullaryFnOnce for Call<'_, L> {
                type Output = ();
                #[inline(always)]
                fn call(self) {
                    let Self { lanes, $($arg),* } = self;
                    body::$name(lanes, $($arg),*);
                }
            }
            match width() {
                #[cfg(target_arch = "x86_64")]
                Width::Avx512(lanes) => lanes.vectorize(Call { lanes, $($arg),* }),
                #[cfg(target_arch = "x86_64")]
                Width::Avx2(lanes) => lanes.vectorize(Call { lanes, $($arg),* }),
                Width::Pair => body::$name(Pair, $($arg),*),
            }
        }
    )*};
}

dispatched! {
    /// `a += b`.
    fn add<'a>(a: &'a mut [u32], b: &'a [u32], m: Modulus);
    /// `a -= b`.
    fn sub<'a>(a: &'a mut [u32], b: &'a [u32], m: Modulus);
    /// `a = -a`.
    fn negate<'a>(a: &'a mut [u32], m: Modulus);
    /// `a += w`, a constant below `q`.
    fn add_constant<'a>(a: &'a mut [u32], w: u32, m: Modulus);
    /// `a *= b`.
    fn mul<'a>(a: &'a mut [u32], b: &'a [u32], m: Modulus);
    /// `c += a·b`.
    fn mul_add<'a>(c: &'a mut [u32], a: &'a [u32], b: &'a [u32], m: Modulus);
    /// `c -= a·b`.
    fn mul_sub<'a>(c: &'a mut [u32], a: &'a [u32], b: &'a [u32], m: Modulus);
    /// `a *= w`; the input may be any 32-bit words.
    fn scale<'a>(a: &'a mut [u32], w: Constant, m: Modulus);
    /// `c += w·a`; `a` may be any 32-bit words.
    fn scale_add<'a>(c: &'a mut [u32], a: &'a [u32], w: Constant, m: Modulus);
    /// `t = (c - t)·w`, the step of an exact division.
    fn sub_scale<'a>(t: &'a mut [u32], c: &'a [u32], w: Constant, m: Modulus);
    /// `(a0, a1), (b0, b1) → d0 = a0·b0, d1 = a0·b1 + a1·b0, d2 = a1·b1`.
    fn tensor<'a>(
        d: [&'a mut [u32]; 3],
        a0: &'a [u32],
        a1: &'a [u32],
        b0: &'a [u32],
        b1: &'a [u32],
        m: Modulus,
    );
    /// `acc[k] = Σ_j digits[j]·keys[j][k]·2^-32`, both outputs at once: keys in Montgomery form.
    fn inner_products<'a>(
        out0: &'a mut [u32],
        out1: &'a mut [u32],
        digits: &'a [&'a [u32]],
        keys0: &'a [&'a [u32]],
        keys1: &'a [&'a [u32]],
        m: Modulus,
    );
    /// `v = (v - previous)·w mod q` for a `previous` below `2^30` that need not be below `q`.
    fn garner_step<'a>(v: &'a mut [u32], previous: &'a [u32], w: Constant, m: Modulus);
    /// `out = Σ_i weights[i]·digits[i]·2^-32 + constant`: digits below `2^30`, weights in Montgomery
    /// form.
    fn weigh<'a>(out: &'a mut [u32], digits: &'a [&'a [u32]], weights: &'a [u32], constant: u32, m: Modulus);
    /// `out = low + w·high + constant`: two digits, `low` below `2q`, `high` any 32-bit words.
    fn weigh_two<'a>(
        out: &'a mut [u32],
        low: &'a [u32],
        high: &'a [u32],
        w: Constant,
        constant: u32,
        m: Modulus,
    );
    /// The residues of signed integers, `|x| < 2^62`.
    fn residues<'a>(out: &'a mut [u32], x: &'a [i64], m: Modulus);
    /// The residues of small signed integers, `|x| < q`.
    fn small_residues<'a>(out: &'a mut [u32], x: &'a [i32], m: Modulus);
    /// Words to residues, in order: those not below the largest multiple of `q` up to `2^32` are left
    /// out. Counts what is kept.
    fn keep_uniform<'a>(words: &'a mut [u32], kept: &'a mut usize, m: Modulus);
    /// `⌊3w/2^32⌋ - 1`.
    fn ternary<'a>(out: &'a mut [i32], words: &'a [u32]);
    /// The ones among the low [`crate::sample::ERROR_ETA`] bits of one word minus those of another.
    fn centred_binomial<'a>(out: &'a mut [i32], plus: &'a [u32], minus: &'a [u32]);
    /// `out = out·q + digit - (q - 1)/2`.
    fn horner<'a>(out: &'a mut [f64], digits: &'a [u32], m: Modulus);
    /// `out = ⌊x·factor⌉` if all are below `2^62`; the largest magnitude.
    fn round<'a>(out: &'a mut [i64], x: &'a [f64], factor: f64, largest: &'a mut f64);
    /// `out[i] = a[index[i]]`, for an index that maps aligned blocks of 8 onto such blocks, as those of
    /// automorphisms do.
    fn permute<'a>(out: &'a mut [u32], a: &'a [u32], index: &'a [u32]);
}

#[cfg(test)]
mod tests;
