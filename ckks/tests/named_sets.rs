//! The homomorphic laws in every named set: random slots, sizes, levels and steps, each result held to
//! the noise estimate.
//!
//! Keys of a set are made once; the large sets take few cases.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a test file: small numbers, and a panic is the report"
)]

use ckks::{
    Automorphism, Ciphertext, Complex64, GaloisKeys, Mismatch, Noise, Params, Plaintext, PublicKey, RelinKey,
    Scale, SecretKey,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::LazyLock;

/// The rotations that there are keys for.
const STEPS: [i32; 5] = [1, 2, 4, -3, 777];

/// A set with its keys.
struct Held {
    params: Params,
    secret: SecretKey,
    public: PublicKey,
    /// Where there is a special prime.
    keys: Option<(RelinKey, GaloisKeys)>,
}

impl Held {
    fn new(params: Params) -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = SecretKey::generate(&params, &mut rng);
        let public = PublicKey::generate(&secret, &mut rng);
        let keys = (params.special_primes() > 0).then(|| {
            let which = STEPS.map(Automorphism::Rotation).into_iter().chain([Automorphism::Conjugation]);
            let galois = GaloisKeys::generate(&secret, which, &mut rng).unwrap();
            (RelinKey::generate(&secret, &mut rng).unwrap(), galois)
        });
        Self { params, secret, public, keys }
    }
}

/// What is drawn for one case.
#[derive(Clone, Copy, Debug)]
struct Case {
    level: prop::sample::Index,
    step: prop::sample::Index,
    /// The largest magnitude of a part of a slot.
    size: f64,
    constant: f64,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let size = prop_oneof![Just(0.0), (-10f64..=1.0).prop_map(f64::exp2)];
    let draw = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), size, -2f64..2.0, any::<u64>());
    draw.prop_map(|(level, step, size, constant, seed)| Case { level, step, size, constant, seed })
}

/// Slots whose parts fill `[-size, size]`, both ends included.
fn slots(params: &Params, size: f64, seed: u64) -> Vec<Complex64> {
    let part = |i: u64| {
        let mixed = (i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40;
        size * (mixed as f64 / f64::from(1 << 23) - 1.0)
    };
    let mut out: Vec<_> =
        (0..params.slots() as u64).map(|i| Complex64::new(part(2 * i), part(2 * i + 1))).collect();
    (out[0], out[1]) = (Complex64::new(size, -size), Complex64::new(-size, size));
    out
}

/// What a law expects: no slot is further off than the noise explains.
struct Law<'a> {
    held: &'a Held,
    /// The largest magnitude of a slot in the case.
    size: f64,
}

impl Law<'_> {
    /// The limit is 20 deviations. The error of a slot is mostly the product of two values that are
    /// Gaussian over the slots (rounding times secret), whose tail `e^(-2k)`, `k = 20/√2`, leaves
    /// one slot in 10^12.
    fn holds(&self, what: &str, c: &Ciphertext, noise: &Noise, wanted: impl Fn(usize) -> Complex64) {
        let slots = self.held.secret.decrypt_raw(c).unwrap().slots_raw();
        let floats = (1.0 + self.size.powi(2)) * 2f64.powi(-44);
        let limit = 20.0 * noise.slot_deviation(c.scale()) + floats;
        for (i, z) in slots.iter().enumerate() {
            let off = (z - wanted(i)).norm();
            let (n, level) = (self.held.params.n(), c.level());
            assert!(off <= limit, "{what} at {n}, level {level}, slot {i}: {off:e} off, over {limit:e}");
        }
    }
}

fn laws(held: &Held, case: Case) {
    let params = &held.params;
    let (top, scale) = (params.max_level(), params.scale());
    let level = case.level.index(top + 1);
    let mut rng = StdRng::seed_from_u64(case.seed);
    let (x, y) = (slots(params, case.size, case.seed), slots(params, case.size, !case.seed));
    let encode = |v: &[Complex64], scale: &Scale| Plaintext::from_complex_slots(params, v, scale).unwrap();
    let (px, py) = (encode(&x, &scale), encode(&y, &scale));
    let law = Law { held, size: 2.0 * case.size };
    let (nx, ny) = (Noise::public(params), Noise::symmetric(params));
    // One is encrypted at the top and dropped, the other at the level.
    let mut a = held.public.encrypt(&px, top, &mut rng).unwrap();
    a.drop_to(level).unwrap();
    let b = held.secret.encrypt(&py, level, &mut rng).unwrap().expand();
    law.holds("public key", &a, &nx, |i| x[i]);
    law.holds("symmetric", &b, &ny, |i| y[i]);

    let both = nx.add(&ny);
    law.holds("sum", &a.add(&b).unwrap(), &both, |i| x[i] + y[i]);
    law.holds("difference", &a.sub(&b).unwrap(), &both, |i| x[i] - y[i]);
    assert_eq!(a.add(&b).unwrap(), b.add(&a).unwrap());
    let mut c = a.clone();
    c.negate();
    law.holds("negative", &c, &nx, |i| -x[i]);
    assert_eq!(b.sub(&a).unwrap(), c.add(&b).unwrap());
    c.add_assign(&a).unwrap();
    assert_eq!(c, Ciphertext::zero(params, level, &scale));
    let mut c = a.clone();
    c.add_plain(&py).unwrap();
    law.holds("plus plaintext", &c, &both, |i| x[i] + y[i]);
    c.sub_plain(&px).unwrap();
    law.holds("minus plaintext", &c, &both.add(&nx), |i| y[i]);
    let mut c = a.clone();
    c.add_constant(case.constant).unwrap();
    law.holds("plus constant", &c, &both, |i| x[i] + case.constant);

    if level > 0 {
        products(&law, case, (&a, &x, &nx), (&b, &y, &ny));
    }
    match &held.keys {
        Some((_, galois)) => rotations(&law, case, galois, (&a, &x, &nx)),
        None => assert!(a.rotate_many(&[1], &GaloisKeys::default()).is_err()),
    }
}

/// A ciphertext, its slots and its noise.
type Operand<'a> = (&'a Ciphertext, &'a [Complex64], &'a Noise);

fn products(law: &Law<'_>, case: Case, (a, x, nx): Operand<'_>, (b, y, ny): Operand<'_>) {
    let params = &law.held.params;
    let (level, scale) = (a.level(), params.scale());
    let neutral = params.level_scale(level);
    // The largest slot in place of the root mean square makes the estimate a bound for every slot.
    let size = case.size * std::f64::consts::SQRT_2;

    let plaintext = Plaintext::from_complex_slots(params, y, &neutral).unwrap();
    let mut c = a.clone();
    c.mul_plain(&plaintext.prepare(level)).unwrap();
    let noise = nx.mul_plain((size, &scale), (size, &neutral));
    law.holds("times plaintext", &c, &noise, |i| x[i] * y[i]);
    c.rescale().unwrap();
    assert_eq!((c.scale(), c.level()), (a.scale(), level - 1));
    law.holds("times plaintext, rescaled", &c, &noise.rescale(level), |i| x[i] * y[i]);

    let mut c = a.clone();
    c.mul_constant(case.constant, &neutral).unwrap();
    c.rescale().unwrap();
    let noise = nx.mul_plain((size, &scale), (case.constant.abs(), &neutral)).rescale(level);
    law.holds("times constant", &c, &noise, |i| x[i] * case.constant);
    assert_eq!(c, a.bring_to(level - 1, &scale, case.constant).unwrap());

    let three = a.multiply(b).unwrap();
    assert_eq!(three, b.multiply(a).unwrap());
    let noise = nx.multiply((size, &scale), ny, (size, &scale));
    law.holds("product", &three, &noise, |i| x[i] * y[i]);
    let Some((relin, _)) = &law.held.keys else {
        return;
    };
    let mut c = three.relinearise(relin).unwrap();
    law.holds("relinearised", &c, &noise.switch(level), |i| x[i] * y[i]);
    c.rescale().unwrap();
    law.holds("then rescaled", &c, &noise.switch(level).rescale(level), |i| x[i] * y[i]);
    let c = a.multiply_rescale(b, relin).unwrap();
    assert_eq!((c.scale(), c.level()), (&scale.times(&scale).over(&neutral), level - 1));
    law.holds("in one step", &c, &noise.relinearise_rescale(level), |i| x[i] * y[i]);
    let square = nx.multiply((size, &scale), nx, (size, &scale));
    // Twice the same error, not two independent ones.
    let square = square.sum(2).relinearise_rescale(level);
    law.holds("square", &a.square_rescale(relin).unwrap(), &square, |i| x[i] * x[i]);
}

fn rotations(law: &Law<'_>, case: Case, galois: &GaloisKeys, (a, x, nx): Operand<'_>) {
    let level = a.level();
    let n = x.len() as i32;
    let at = |i: usize, k: i32| x[(i as i32 + k).rem_euclid(n) as usize];
    let switched = nx.switch(level);
    let k = STEPS[case.step.index(STEPS.len())];
    let c = a.rotate(k, galois).unwrap();
    law.holds("rotated", &c, &switched, |i| at(i, k));
    // The other way round is the same key; a whole turn is none at all.
    assert_eq!(a.rotate(k - n, galois).unwrap(), c);
    let hoisted = a.rotate_many(&[k, n], galois).unwrap();
    assert_eq!(hoisted, [c, a.clone()]);
    law.holds("conjugate", &a.conjugate(galois).unwrap(), &switched, |i| x[i].conj());
    assert!(matches!(a.rotate(k + 100, galois), Err(Mismatch::NoGaloisKey(_))));

    let mut noise = nx.clone();
    for _ in 0..3 {
        noise = noise.add(&noise.switch(level));
    }
    let sum = |i: usize| (0..8).map(|k| at(i, k)).sum::<Complex64>();
    let eight = Law { held: law.held, size: 8.0 * law.size };
    eight.holds("inner sum", &a.inner_sum(8, galois).unwrap(), &noise, sum);
    let mean = a.mean_of_slots(8, galois).unwrap();
    eight.holds("mean", &mean, &noise, |i| sum(i) / 8.0);
}

macro_rules! named_sets {
    ($($set:ident: $cases:literal;)*) => {$(
        mod $set {
            use super::*;

            static HELD: LazyLock<Held> = LazyLock::new(|| Held::new(Params::$set()));

            proptest! {
                #![proptest_config(ProptestConfig { max_shrink_iters: 32, ..ProptestConfig::with_cases($cases) })]

                #[test]
                fn laws_hold(case in case()) {
                    laws(&HELD, case);
                }
            }
        }
    )*};
}

named_sets! {
    sums_2048: 24;
    sums_4096: 16;
    light: 24;
    medium: 20;
    strong: 5;
    largest: 2;
}

/// No set is left out above.
#[test]
fn these_are_all_the_sets() {
    assert_eq!(Params::all().len(), 6);
}
