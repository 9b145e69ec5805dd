//! The bodies of the kernels, for any width of [`Lanes`].

pub(crate) use super::loops::{centred_binomial, horner, keep_uniform, round, ternary};

use super::Constant;
use super::lanes::Lanes;
use crate::modulus::Modulus;

/// How many products of words below `2^30` and residues stay below `q·2^32`.
const LAZY: usize = 4;

fn vectors<L: Lanes>(row: &[u32]) -> &[L::V] {
    bytemuck::cast_slice(row)
}

fn vectors_mut<L: Lanes>(row: &mut [u32]) -> &mut [L::V] {
    bytemuck::cast_slice_mut(row)
}

/// One prime's constants, spread over a vector.
#[derive(Clone, Copy)]
struct Spread<L: Lanes> {
    l: L,
    q: L::V,
    double: L::V,
    mu: L::V,
    minus_q_inverse: L::V,
    shift: u32,
}

impl<L: Lanes> Spread<L> {
    #[inline(always)]
    fn new(l: L, m: Modulus) -> Self {
        Self {
            l,
            q: l.splat(m.q),
            double: l.splat(2 * m.q),
            mu: l.splat(m.mu),
            minus_q_inverse: l.splat(m.minus_q_inverse),
            shift: m.bits - 1,
        }
    }

    /// Below `2q` to below `q`.
    #[inline(always)]
    fn once(self, x: L::V) -> L::V {
        self.l.min(x, self.l.sub(x, self.q))
    }

    /// Below `4q` to below `q`.
    #[inline(always)]
    fn twice(self, x: L::V) -> L::V {
        self.once(self.l.min(x, self.l.sub(x, self.double)))
    }

    #[inline(always)]
    fn add(self, a: L::V, b: L::V) -> L::V {
        self.once(self.l.add(a, b))
    }

    #[inline(always)]
    fn sub(self, a: L::V, b: L::V) -> L::V {
        let d = self.l.sub(a, b);
        self.l.min(d, self.l.add(d, self.q))
    }

    /// The products of even and of odd lanes.
    #[inline(always)]
    fn products(self, a: L::V, b: L::V) -> [L::V; 2] {
        [self.l.mul_even(a, b), self.l.mul_even(self.l.odd(a), self.l.odd(b))]
    }

    /// Barrett on 64-bit values below `2^(2·bits+1)`: [`Modulus::barrett_lazy`], then below `q`.
    #[inline(always)]
    fn barrett(self, x: [L::V; 2]) -> L::V {
        let l = self.l;
        let even = l.mul_even(l.shift_right(x[0], self.shift), self.mu);
        let odd = l.mul_even(l.shift_right(x[1], self.shift), self.mu);
        let quotient = l.blend(l.odd(even), odd);
        let low = l.blend(x[0], l.raise(x[1]));
        self.twice(l.sub(low, l.mul_low(quotient, self.q)))
    }

    /// Montgomery on 64-bit values below `q·2^32`: times `2^-32`, below `q`.
    #[inline(always)]
    fn montgomery(self, x: [L::V; 2]) -> L::V {
        let l = self.l;
        let [even, odd] = [self.cancel(x[0]), self.cancel(x[1])];
        self.once(l.blend(l.odd(even), odd))
    }

    /// The multiple of `2^32` that is `x` modulo `q`.
    #[inline(always)]
    fn cancel(self, x: L::V) -> L::V {
        let m = self.l.mul_even(x, self.minus_q_inverse);
        self.l.add_wide(x, self.l.mul_even(m, self.q))
    }

    /// Shoup: `x·w`, below `2q`.
    #[inline(always)]
    fn shoup_lazy(self, x: L::V, w: [L::V; 2]) -> L::V {
        let l = self.l;
        let (even, odd) = (l.mul_even(x, w[1]), l.mul_even(l.odd(x), w[1]));
        let quotient = l.blend(l.odd(even), odd);
        l.sub(l.mul_low(x, w[0]), l.mul_low(quotient, self.q))
    }

    #[inline(always)]
    fn constant(self, w: Constant) -> [L::V; 2] {
        [self.l.splat(w.w), self.l.splat(w.quotient)]
    }
}

#[inline(always)]
fn map<L: Lanes>(a: &mut [u32], f: impl Fn(L::V) -> L::V) {
    for a in vectors_mut::<L>(a) {
        *a = f(*a);
    }
}

#[inline(always)]
fn map2<L: Lanes>(a: &mut [u32], b: &[u32], f: impl Fn(L::V, L::V) -> L::V) {
    for (a, &b) in vectors_mut::<L>(a).iter_mut().zip(vectors::<L>(b)) {
        *a = f(*a, b);
    }
}

#[inline(always)]
fn map3<L: Lanes>(a: &mut [u32], b: &[u32], c: &[u32], f: impl Fn(L::V, L::V, L::V) -> L::V) {
    let rest = vectors::<L>(b).iter().zip(vectors::<L>(c));
    for (a, (&b, &c)) in vectors_mut::<L>(a).iter_mut().zip(rest) {
        *a = f(*a, b, c);
    }
}

#[inline(always)]
pub(crate) fn add<L: Lanes>(l: L, a: &mut [u32], b: &[u32], m: Modulus) {
    let s = Spread::new(l, m);
    map2::<L>(a, b, |a, b| s.add(a, b));
}

#[inline(always)]
pub(crate) fn sub<L: Lanes>(l: L, a: &mut [u32], b: &[u32], m: Modulus) {
    let s = Spread::new(l, m);
    map2::<L>(a, b, |a, b| s.sub(a, b));
}

#[inline(always)]
pub(crate) fn negate<L: Lanes>(l: L, a: &mut [u32], m: Modulus) {
    let (s, zero) = (Spread::new(l, m), l.splat(0));
    map::<L>(a, |a| s.sub(zero, a));
}

#[inline(always)]
pub(crate) fn add_constant<L: Lanes>(l: L, a: &mut [u32], w: u32, m: Modulus) {
    let (s, w) = (Spread::new(l, m), l.splat(w));
    map::<L>(a, |a| s.add(a, w));
}

#[inline(always)]
pub(crate) fn mul<L: Lanes>(l: L, a: &mut [u32], b: &[u32], m: Modulus) {
    let s = Spread::new(l, m);
    map2::<L>(a, b, |a, b| s.barrett(s.products(a, b)));
}

#[inline(always)]
pub(crate) fn mul_add<L: Lanes>(l: L, c: &mut [u32], a: &[u32], b: &[u32], m: Modulus) {
    let s = Spread::new(l, m);
    map3::<L>(c, a, b, |c, a, b| s.add(s.barrett(s.products(a, b)), c));
}

#[inline(always)]
pub(crate) fn mul_sub<L: Lanes>(l: L, c: &mut [u32], a: &[u32], b: &[u32], m: Modulus) {
    let s = Spread::new(l, m);
    map3::<L>(c, a, b, |c, a, b| s.sub(c, s.barrett(s.products(a, b))));
}

#[inline(always)]
pub(crate) fn scale<L: Lanes>(l: L, a: &mut [u32], w: Constant, m: Modulus) {
    let s = Spread::new(l, m);
    let w = s.constant(w);
    map::<L>(a, |a| s.once(s.shoup_lazy(a, w)));
}

#[inline(always)]
pub(crate) fn scale_add<L: Lanes>(l: L, c: &mut [u32], a: &[u32], w: Constant, m: Modulus) {
    let s = Spread::new(l, m);
    let w = s.constant(w);
    map2::<L>(c, a, |c, a| s.twice(l.add(c, s.shoup_lazy(a, w))));
}

#[inline(always)]
pub(crate) fn sub_scale<L: Lanes>(l: L, t: &mut [u32], c: &[u32], w: Constant, m: Modulus) {
    let s = Spread::new(l, m);
    let w = s.constant(w);
    map2::<L>(t, c, |t, c| s.once(s.shoup_lazy(l.add(c, l.sub(s.q, t)), w)));
}

#[inline(always)]
pub(crate) fn tensor<L: Lanes>(
    l: L,
    d: [&mut [u32]; 3],
    a0: &[u32],
    a1: &[u32],
    b0: &[u32],
    b1: &[u32],
    m: Modulus,
) {
    let s = Spread::new(l, m);
    let [d0, d1, d2] = d;
    let (d0, d1, d2) = (vectors_mut::<L>(d0), vectors_mut::<L>(d1), vectors_mut::<L>(d2));
    let (a0, a1) = (vectors::<L>(a0), vectors::<L>(a1));
    let (b0, b1) = (vectors::<L>(b0), vectors::<L>(b1));
    let inputs = a0.iter().zip(a1).zip(b0.iter().zip(b1));
    for (((d0, d1), d2), ((&a0, &a1), (&b0, &b1))) in d0.iter_mut().zip(d1).zip(d2).zip(inputs) {
        *d0 = s.barrett(s.products(a0, b0));
        let ([even, odd], [even2, odd2]) = (s.products(a0, b1), s.products(a1, b0));
        *d1 = s.barrett([l.add_wide(even, even2), l.add_wide(odd, odd2)]);
        *d2 = s.barrett(s.products(a1, b1));
    }
}

/// Brings sums below `2^33·q` below `2^32·q`.
#[inline(always)]
fn relieve<L: Lanes>(l: L, sums: [L::V; 2], m: Modulus) -> [L::V; 2] {
    let bound = l.splat_wide(u64::from(m.q) << 32);
    [l.sub_wide_if(sums[0], bound), l.sub_wide_if(sums[1], bound)]
}

/// `sums += d·w`, the `j`-th such term.
#[inline(always)]
fn accumulate<L: Lanes>(
    l: L,
    sums: [L::V; 2],
    j: usize,
    d: L::V,
    w: L::V,
    odd_w: L::V,
    m: Modulus,
) -> [L::V; 2] {
    let sums = if j > 0 && j.is_multiple_of(LAZY) { relieve(l, sums, m) } else { sums };
    let (even, odd) = (l.mul_even(d, w), l.mul_even(l.odd(d), odd_w));
    [l.add_wide(sums[0], even), l.add_wide(sums[1], odd)]
}

/// The sum of `terms` products times `2^-32`, below `q`.
#[inline(always)]
fn finish<L: Lanes>(l: L, s: Spread<L>, sums: [L::V; 2], terms: usize, m: Modulus) -> L::V {
    s.montgomery(if terms > LAZY { relieve(l, sums, m) } else { sums })
}

/// Takes up to `K` rows as vectors, all of one length.
#[inline(always)]
fn gather<'a, L: Lanes, const K: usize>(rows: &[&'a [u32]], len: usize) -> [&'a [L::V]; K] {
    let mut out: [&[L::V]; K] = [&[]; K];
    for (out, row) in out.iter_mut().zip(rows) {
        *out = &vectors::<L>(row)[..len];
    }
    out
}

#[inline(always)]
fn inner_product<L: Lanes, const K: usize>(l: L, out: &mut [u32], a: &[&[u32]], b: &[&[u32]], m: Modulus) {
    let s = Spread::new(l, m);
    let out = vectors_mut::<L>(out);
    let zero = l.splat(0);
    let a: [&[L::V]; K] = gather::<L, K>(a, out.len());
    let b: [&[L::V]; K] = gather::<L, K>(b, out.len());
    for (i, out) in out.iter_mut().enumerate() {
        let mut sums = [zero; 2];
        for j in 0..K {
            let (d, k) = (a[j][i], b[j][i]);
            sums = accumulate(l, sums, j, d, k, l.odd(k), m);
        }
        *out = finish(l, s, sums, K, m);
    }
}

/// As [`inner_product`], for more terms than are unrolled.
#[inline(always)]
fn long_inner_product<L: Lanes>(l: L, out: &mut [u32], a: &[&[u32]], b: &[&[u32]], m: Modulus) {
    let s = Spread::new(l, m);
    for (i, out) in vectors_mut::<L>(out).iter_mut().enumerate() {
        let mut sums = [l.splat(0); 2];
        for (j, (a, b)) in a.iter().zip(b).enumerate() {
            let (d, k) = (vectors::<L>(a)[i], vectors::<L>(b)[i]);
            sums = accumulate(l, sums, j, d, k, l.odd(k), m);
        }
        *out = finish(l, s, sums, a.len(), m);
    }
}

#[inline(always)]
pub(crate) fn inner_products<L: Lanes>(
    l: L,
    out0: &mut [u32],
    out1: &mut [u32],
    digits: &[&[u32]],
    keys0: &[&[u32]],
    keys1: &[&[u32]],
    m: Modulus,
) {
    for (out, keys) in [(out0, keys0), (out1, keys1)] {
        match digits.len() {
            1 => inner_product::<L, 1>(l, out, digits, keys, m),
            2 => inner_product::<L, 2>(l, out, digits, keys, m),
            3 => inner_product::<L, 3>(l, out, digits, keys, m),
            4 => inner_product::<L, 4>(l, out, digits, keys, m),
            5 => inner_product::<L, 5>(l, out, digits, keys, m),
            6 => inner_product::<L, 6>(l, out, digits, keys, m),
            7 => inner_product::<L, 7>(l, out, digits, keys, m),
            8 => inner_product::<L, 8>(l, out, digits, keys, m),
            _ => long_inner_product(l, out, digits, keys, m),
        }
    }
}

#[inline(always)]
pub(crate) fn garner_step<L: Lanes>(l: L, v: &mut [u32], previous: &[u32], w: Constant, m: Modulus) {
    let s = Spread::new(l, m);
    let (w, lift) = (s.constant(w), l.splat((1u32 << Modulus::MAX_BITS).next_multiple_of(m.q)));
    map2::<L>(v, previous, |v, p| s.once(s.shoup_lazy(l.add(v, l.sub(lift, p)), w)));
}

#[inline(always)]
fn weighted<L: Lanes, const K: usize>(
    l: L,
    out: &mut [u32],
    digits: &[&[u32]],
    weights: &[u32],
    constant: u32,
    m: Modulus,
) {
    let s = Spread::new(l, m);
    let (zero, constant) = (l.splat(0), l.splat(constant));
    let out = vectors_mut::<L>(out);
    let digits: [&[L::V]; K] = gather::<L, K>(digits, out.len());
    let mut spread = [zero; K];
    for (spread, &w) in spread.iter_mut().zip(weights) {
        *spread = l.splat(w);
    }
    for (i, out) in out.iter_mut().enumerate() {
        let mut sums = [zero; 2];
        for j in 0..K {
            sums = accumulate(l, sums, j, digits[j][i], spread[j], spread[j], m);
        }
        *out = s.add(finish(l, s, sums, K, m), constant);
    }
}

/// As [`weighted`], for more digits than are unrolled.
#[inline(always)]
fn long_weighted<L: Lanes>(
    l: L,
    out: &mut [u32],
    digits: &[&[u32]],
    weights: &[u32],
    constant: u32,
    m: Modulus,
) {
    let s = Spread::new(l, m);
    let constant = l.splat(constant);
    for (i, out) in vectors_mut::<L>(out).iter_mut().enumerate() {
        let mut sums = [l.splat(0); 2];
        for (j, (digit, &w)) in digits.iter().zip(weights).enumerate() {
            let w = l.splat(w);
            sums = accumulate(l, sums, j, vectors::<L>(digit)[i], w, w, m);
        }
        *out = s.add(finish(l, s, sums, digits.len(), m), constant);
    }
}

#[inline(always)]
pub(crate) fn weigh<L: Lanes>(
    l: L,
    out: &mut [u32],
    digits: &[&[u32]],
    weights: &[u32],
    constant: u32,
    m: Modulus,
) {
    match digits.len() {
        1 => weighted::<L, 1>(l, out, digits, weights, constant, m),
        2 => weighted::<L, 2>(l, out, digits, weights, constant, m),
        3 => weighted::<L, 3>(l, out, digits, weights, constant, m),
        4 => weighted::<L, 4>(l, out, digits, weights, constant, m),
        5 => weighted::<L, 5>(l, out, digits, weights, constant, m),
        6 => weighted::<L, 6>(l, out, digits, weights, constant, m),
        7 => weighted::<L, 7>(l, out, digits, weights, constant, m),
        8 => weighted::<L, 8>(l, out, digits, weights, constant, m),
        _ => long_weighted(l, out, digits, weights, constant, m),
    }
}

#[inline(always)]
pub(crate) fn weigh_two<L: Lanes>(
    l: L,
    out: &mut [u32],
    low: &[u32],
    high: &[u32],
    w: Constant,
    constant: u32,
    m: Modulus,
) {
    let s = Spread::new(l, m);
    let (w, constant) = (s.constant(w), l.splat(constant));
    map3::<L>(out, low, high, |_, low, high| {
        // Below q + 2q + q: no wrap, and two steps bring it below q.
        s.twice(l.add(l.add(s.once(low), constant), s.shoup_lazy(high, w)))
    });
}

#[inline(always)]
pub(crate) fn residues<L: Lanes>(_: L, out: &mut [u32], x: &[i64], m: Modulus) {
    let high = Constant::new(m.to_montgomery(1), m);
    // A multiple of q that makes the signed high word positive.
    let lift = (1u32 << 31).next_multiple_of(m.q);
    for (out, &x) in out.iter_mut().zip(x) {
        let h = ((x >> 32) as u32).wrapping_add(lift);
        *out = m.add(m.shoup(h, high.w, high.quotient), m.reduce(x as u32));
    }
}

#[inline(always)]
pub(crate) fn small_residues<L: Lanes>(l: L, out: &mut [u32], x: &[i32], m: Modulus) {
    let q = l.splat(m.q);
    let x: &[L::V] = bytemuck::cast_slice(x);
    for (out, &x) in vectors_mut::<L>(out).iter_mut().zip(x) {
        *out = l.min(x, l.add(x, q));
    }
}

#[inline(always)]
pub(crate) fn permute<L: Lanes>(_: L, out: &mut [u32], a: &[u32], index: &[u32]) {
    let blocks = a.as_chunks::<8>().0;
    let outputs = out.as_chunks_mut::<8>().0.iter_mut();
    for (out, index) in outputs.zip(index.as_chunks::<8>().0) {
        let block = &blocks[(index[0] >> 3) as usize];
        for (out, &i) in out.iter_mut().zip(index) {
            *out = block[(i & 7) as usize];
        }
    }
}
