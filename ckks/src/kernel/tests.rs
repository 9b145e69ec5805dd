//! Each kernel against 128-bit arithmetic, and each dispatched kernel against its scalar body.

use super::*;
use crate::prime;
use proptest::prelude::*;

/// The longest and shortest primes of every length used, for a transform of 2^10.
fn primes() -> Vec<Modulus> {
    (13..=30u32)
        .flat_map(|bits| {
            let top = prime::descending(2048, 1 << bits).next();
            let bottom = prime::ascending(2048, 1 << (bits - 1), 1 << bits).next();
            [top, bottom]
        })
        .flatten()
        .map(Modulus::new)
        .collect()
}

fn modulus() -> impl Strategy<Value = Modulus> {
    let all = primes();
    (0..all.len()).prop_map(move |i| all[i])
}

/// Words with the extremes over-represented; reduce them to get operands.
fn words() -> impl Strategy<Value = Vec<u32>> {
    let word = prop_oneof![3 => any::<u32>(), 1 => Just(0), 1 => Just(u32::MAX)];
    proptest::collection::vec(word, 320)
}

/// Operands: `u32::MAX` stands for `q - 1`.
fn operands(words: &[u32], m: Modulus) -> Vec<u32> {
    let map = |&w: &u32| if w == u32::MAX { m.q - 1 } else { w % m.q };
    words.iter().map(map).collect()
}

fn expect(out: &[u32], m: Modulus, f: impl Fn(usize) -> i128) {
    for (i, &x) in out.iter().enumerate() {
        assert_eq!(i128::from(x), f(i).rem_euclid(i128::from(m.q)), "{i} mod {}", m.q);
    }
}

/// Three rows as some lanes fill them.
fn sums(len: usize, lanes: impl Fn(&mut [u32], &mut [u32], &mut [u32])) -> [Vec<u32>; 3] {
    let mut out = [vec![0; len], vec![0; len], vec![0; len]];
    let [x, y, z] = &mut out;
    lanes(x, y, z);
    out
}

proptest! {
    #[test]
    fn kernels_agree_with_big_integers(m in modulus(), a in words(), b in words(), c in words(), d in words(), w: u32) {
        let raw = a.clone();
        let [a, b, c, d] = [a, b, c, d].map(|x| operands(&x, m));
        let at = |x: &[u32], i: usize| i128::from(x[i]);
        let k = Constant::new(w % m.q, m);
        macro_rules! check {
            ($name:ident($start:expr $(, $arg:expr)*), $law:expr) => {{
                let (mut wide, mut narrow) = ($start.clone(), $start.clone());
                $name(&mut wide $(, $arg)*, m);
                body::$name(Pair, &mut narrow $(, $arg)*, m);
                prop_assert_eq!(&wide, &narrow);
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    let mut narrow = $start.clone();
                    simd.vectorize(|| body::$name(simd, &mut narrow $(, $arg)*, m));
                    prop_assert_eq!(&wide, &narrow);
                }
                expect(&wide, m, $law);
            }};
        }
        check!(add(a, &b), |i| at(&a, i) + at(&b, i));
        check!(sub(a, &b), |i| at(&a, i) - at(&b, i));
        check!(negate(a), |i| -at(&a, i));
        check!(add_constant(a, w % m.q), |i| at(&a, i) + i128::from(w % m.q));
        check!(mul(a, &b), |i| at(&a, i) * at(&b, i));
        check!(mul_add(c, &a, &b), |i| at(&c, i) + at(&a, i) * at(&b, i));
        check!(mul_sub(c, &a, &b), |i| at(&c, i) - at(&a, i) * at(&b, i));
        check!(scale(raw, k), |i| at(&raw, i) * i128::from(k.w));
        check!(scale_add(c, &raw, k), |i| at(&c, i) + at(&raw, i) * i128::from(k.w));
        check!(sub_scale(a, &b, k), |i| (at(&b, i) - at(&a, i)) * i128::from(k.w));
        let low: Vec<u32> = raw.iter().map(|&x| if x == u32::MAX { 2 * m.q - 1 } else { x % (2 * m.q) }).collect();
        for constant in [0, m.q - 1, w % m.q] {
            check!(weigh_two(c, &low, &raw, k, constant), |i| {
                at(&low, i) + at(&raw, i) * i128::from(k.w) + i128::from(constant)
            });
        }
        let digits: Vec<u32> = raw.iter().map(|x| x >> 2).collect();
        check!(garner_step(a, &digits, k), |i| (at(&a, i) - at(&digits, i)) * i128::from(k.w));
        let signed: Vec<i64> = raw.iter().zip(&c).map(|(&x, &y)| ((i64::from(x) << 32 | i64::from(y)) << 1) >> 1).collect();
        check!(residues(a, &signed), |i| i128::from(signed[i]));
        let small: Vec<i32> = a.iter().zip(&b).map(|(&x, &y)| x.cast_signed() - y.cast_signed()).collect();
        check!(small_residues(a, &small), |i| i128::from(small[i]));

        let (mut d0, mut d1, mut d2) = (a.clone(), a.clone(), a.clone());
        tensor([&mut d0, &mut d1, &mut d2], &a, &b, &c, &d, m);
        expect(&d0, m, |i| at(&a, i) * at(&c, i));
        expect(&d1, m, |i| at(&a, i) * at(&d, i) + at(&b, i) * at(&c, i));
        expect(&d2, m, |i| at(&b, i) * at(&d, i));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            let (mut e0, mut e1, mut e2) = (a.clone(), a.clone(), a.clone());
            simd.vectorize(|| body::tensor(simd, [&mut e0, &mut e1, &mut e2], &a, &b, &c, &d, m));
            prop_assert_eq!([&e0, &e1, &e2], [&d0, &d1, &d2]);
        }
    }

    /// Up to twelve lazily added products: more than any set has digits.
    #[test]
    fn lazy_sums_agree_with_big_integers(m in modulus(), count in 1usize..=12, a in words(), b in words(), top: bool) {
        let digits: Vec<Vec<u32>> = (0..count).map(|j| a.iter().map(|x| if top { (1 << 30) - 1 } else { x.rotate_left(j as u32) >> 2 }).collect()).collect();
        let keys: Vec<Vec<u32>> = (0..count).map(|j| operands(&b.iter().map(|x| if top { u32::MAX } else { x.rotate_left(3 * j as u32) }).collect::<Vec<_>>(), m)).collect();
        let digits: Vec<&[u32]> = digits.iter().map(Vec::as_slice).collect();
        let keys: Vec<&[u32]> = keys.iter().map(Vec::as_slice).collect();
        let (mut x, mut y) = (a.clone(), a.clone());
        inner_products(&mut x, &mut y, &digits, &keys, &keys, m);
        prop_assert_eq!(&x, &y);
        for i in 0..x.len() {
            let sum: u128 = digits.iter().zip(&keys).map(|(d, k)| u128::from(d[i]) * u128::from(k[i])).sum();
            prop_assert_eq!((u128::from(x[i]) << 32) % u128::from(m.q), sum % u128::from(m.q));
        }
        let weights: Vec<u32> = keys.iter().map(|k| k[0]).collect();
        let plain = sums(a.len(), |x, y, z| {
            body::inner_products(Pair, x, y, &digits, &keys, &keys, m);
            body::weigh(Pair, z, &digits, &weights, 5, m);
        });
        prop_assert_eq!(&plain[0], &x);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            let wide = sums(a.len(), |x, y, z| simd.vectorize(|| {
                body::inner_products(simd, x, y, &digits, &keys, &keys, m);
                body::weigh(simd, z, &digits, &weights, 5, m);
            }));
            prop_assert_eq!(&plain, &wide);
        }
        let (mut wide, mut narrow) = (a.clone(), a);
        weigh(&mut wide, &digits, &weights, 5, m);
        body::weigh(Pair, &mut narrow, &digits, &weights, 5, m);
        prop_assert_eq!(&wide, &narrow);
        for i in 0..wide.len() {
            let sum: u128 = digits.iter().zip(&weights).map(|(d, &w)| u128::from(d[i]) * u128::from(w)).sum();
            prop_assert_eq!((u128::from(m.sub(wide[i], 5)) << 32) % u128::from(m.q), sum % u128::from(m.q));
        }
    }
}

/// Runs a kernel at every width there is from the same start, and gives what all of them left.
macro_rules! at_every_width {
    ($name:ident($start:expr $(, $arg:expr)*)) => {{
        let (mut wide, mut narrow) = ($start.clone(), $start.clone());
        $name(&mut wide $(, $arg)*);
        body::$name(Pair, &mut narrow $(, $arg)*);
        prop_assert_eq!(&wide, &narrow);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            let mut narrow = $start.clone();
            simd.vectorize(|| body::$name(simd, &mut narrow $(, $arg)*));
            prop_assert_eq!(&wide, &narrow);
        }
        wide
    }};
}

proptest! {
    /// Words to samples, residues and floats, against the obvious.
    #[test]
    fn conversions_are_the_obvious_ones(m in modulus(), a in words(), b in words(), exponent in -40i32..=30, flip in 0u32..8) {
        let zeros = vec![0i32; a.len()];
        let ternary: Vec<i32> = at_every_width!(ternary(zeros, &a));
        let wanted: Vec<i32> = a.iter().map(|&w| (u128::from(w) * 3 / (1 << 32)) as i32 - 1).collect();
        prop_assert_eq!(ternary, wanted);

        let binomial: Vec<i32> = at_every_width!(centred_binomial(zeros, &a, &b));
        let ones = |w: u32| (0..21).map(|i| (w >> i & 1).cast_signed()).sum::<i32>();
        prop_assert_eq!(binomial, a.iter().zip(&b).map(|(&a, &b)| ones(a) - ones(b)).collect::<Vec<_>>());

        let mut kept = 0;
        let uniform = at_every_width!(keep_uniform(a, &mut kept, m));
        let end = (1u64 << 32) / u64::from(m.q) * u64::from(m.q);
        let wanted: Vec<u32> = a.iter().filter(|&&w| u64::from(w) < end).map(|w| w % m.q).collect();
        prop_assert_eq!(&uniform[..kept], &wanted[..]);

        let (digits, start) = (operands(&a, m), b.iter().map(|&w| f64::from(w) - 2e9).collect::<Vec<_>>());
        let horner = at_every_width!(horner(start, &digits, m));
        for (i, x) in horner.iter().enumerate() {
            let wanted = start[i] as i128 * i128::from(m.q) + i128::from(digits[i]) - i128::from((m.q - 1) / 2);
            prop_assert!((x - wanted as f64).abs() <= wanted.unsigned_abs() as f64 * 2f64.powi(-51));
        }

        // Below 2^51, where one addition rounds, and above.
        let (factor, mut largest) = (f64::from(exponent).exp2(), 0.0);
        let integers = at_every_width!(round(vec![0i64; a.len()], &start, factor, &mut largest));
        for (i, x) in integers.iter().enumerate() {
            prop_assert_eq!(*x, (start[i] * factor).round_ties_even() as i64);
        }
        let wanted = start.iter().map(|x| (x * factor).abs()).fold(0.0, f64::max);
        prop_assert_eq!(largest.to_bits(), wanted.to_bits());

        let blocks = a.len() as u32 / 8;
        let index: Vec<u32> = (0..a.len() as u32).map(|i| (i / 8 * 7 + 3) % blocks * 8 + ((i % 8) ^ flip)).collect();
        let permuted = at_every_width!(permute(b, &a, &index));
        prop_assert_eq!(permuted, index.iter().map(|&i| a[i as usize]).collect::<Vec<_>>());
    }
}
