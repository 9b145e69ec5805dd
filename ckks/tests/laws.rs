//! The homomorphic laws, over the named sets and their levels.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a test file: small numbers, and a panic is the report"
)]

use ckks::{
    Automorphism, Ciphertext, GaloisKeys, Literal, Params, Plaintext, PublicKey, RelinKey, SecretKey,
    Security,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn values(params: &Params, salt: u64) -> Vec<f64> {
    let mix = |i: usize| (i as u64 ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (0..params.slots()).map(|i| mix(i) as f64 / f64::from(1 << 23) - 1.0).collect()
}

fn encode(params: &Params, values: &[f64]) -> Plaintext {
    Plaintext::from_slots(params, values, &params.scale()).unwrap()
}

/// The largest distance of the decrypted slots from `wanted`.
fn error(secret: &SecretKey, ciphertext: &Ciphertext, wanted: impl Fn(usize) -> f64) -> f64 {
    let slots = secret.decrypt_raw(ciphertext).unwrap().slots_raw();
    let distance = |(i, z): (usize, &ckks::Complex64)| (z - wanted(i)).norm();
    slots.iter().enumerate().map(distance).fold(0.0, f64::max)
}

fn tolerance(params: &Params) -> f64 {
    // Noise of a few thousand in a slot, at the scale.
    2f64.powf(16.0 - f64::from(params.log_scale()))
}

#[test]
fn decryption_undoes_encryption_at_every_level() {
    for params in Params::all() {
        let mut rng = rng(1);
        let secret = SecretKey::generate(&params, &mut rng);
        let public = PublicKey::generate(&secret, &mut rng);
        let x = values(&params, 1);
        for level in [0, params.max_level()] {
            let plaintext = encode(&params, &x);
            let symmetric = secret.encrypt(&plaintext, level, &mut rng).unwrap().expand();
            assert!(error(&secret, &symmetric, |i| x[i]) < tolerance(&params));
            let asymmetric = public.encrypt(&plaintext, level, &mut rng).unwrap();
            assert!(error(&secret, &asymmetric, |i| x[i]) < tolerance(&params));
        }
    }
}

#[test]
fn products_multiply_slot_by_slot() {
    for params in [Params::light(), Params::medium(), Params::strong()] {
        let mut rng = rng(2);
        let secret = SecretKey::generate(&params, &mut rng);
        let relin = RelinKey::generate(&secret, &mut rng).unwrap();
        let (x, y) = (values(&params, 1), values(&params, 2));
        for level in (1..=params.max_level()).rev() {
            let [a, b] =
                [&x, &y].map(|v| secret.encrypt(&encode(&params, v), level, &mut rng).unwrap().expand());
            let product = a.multiply(&b).unwrap();
            let mut slow = product.relinearise(&relin).unwrap();
            slow.rescale().unwrap();
            let fast = a.multiply_rescale(&b, &relin).unwrap();
            for out in [slow, fast] {
                assert_eq!(out.level(), level - 1);
                let e = error(&secret, &out, |i| x[i] * y[i]);
                assert!(e < tolerance(&params), "{params:?} {level} {e:e}");
            }
            let mut three = product.clone();
            three.rescale().unwrap();
            // Rounding the third part is multiplied by s², which is larger than s by about √N.
            assert!(error(&secret, &three, |i| x[i] * y[i]) < tolerance(&params) * 128.0);
        }
    }
}

#[test]
fn rotations_rotate() {
    for params in [Params::light(), Params::medium()] {
        let mut rng = rng(3);
        let secret = SecretKey::generate(&params, &mut rng);
        let steps = [1, 5, -3, 1000];
        let mut which: Vec<_> = steps.map(Automorphism::Rotation).to_vec();
        which.push(Automorphism::Conjugation);
        let keys = GaloisKeys::generate(&secret, which, &mut rng).unwrap();
        let x = values(&params, 1);
        let n = params.slots();
        let at = |i: usize, k: i32| x[(i as i32 + k).rem_euclid(n as i32) as usize];
        let a = secret.encrypt(&encode(&params, &x), params.max_level(), &mut rng).unwrap().expand();
        let many = a.rotate_many(&steps, &keys).unwrap();
        for (k, hoisted) in steps.into_iter().zip(many) {
            let out = a.rotate(k, &keys).unwrap();
            assert_eq!(out, hoisted);
            let e = error(&secret, &out, |i| at(i, k));
            assert!(e < tolerance(&params) * 16.0, "{k} {e:e}");
        }
        let e = error(&secret, &a.conjugate(&keys).unwrap(), |i| x[i]);
        assert!(e < tolerance(&params) * 16.0, "{e:e}");
        assert!(a.rotate(2, &keys).is_err());
    }
}

/// A ring small enough to try hundreds of values: the arithmetic is that of the large ones.
fn insecure_small() -> Params {
    Params::insecure_for_tests(Literal {
        log_n: 6,
        levels: vec![vec![30, 30], vec![20, 21], vec![20, 21], vec![20, 21]],
        special: vec![30, 30],
        log_scale: 40,
        security: Security::Classical2024,
    })
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Sum, difference, product, constant, rotation and conjugation of random slots at every level.
    #[test]
    fn laws_hold_for_any_values(
        x in proptest::collection::vec(-8.0f64..8.0, 32),
        y in proptest::collection::vec(-8.0f64..8.0, 32),
        level in 1usize..=3,
        k in -40i32..40,
        seed: u64,
    ) {
        let params = insecure_small();
        let mut rng = rng(seed);
        let secret = SecretKey::generate(&params, &mut rng);
        let public = PublicKey::generate(&secret, &mut rng);
        let relin = RelinKey::generate(&secret, &mut rng).unwrap();
        let keys = [Automorphism::Rotation(k), Automorphism::Conjugation];
        let keys = GaloisKeys::generate(&secret, keys, &mut rng).unwrap();
        let a = public.encrypt(&encode(&params, &x), level, &mut rng).unwrap();
        let b = secret.encrypt(&encode(&params, &y), level, &mut rng).unwrap().expand();
        let close = |c: &Ciphertext, wanted: &dyn Fn(usize) -> f64| error(&secret, c, wanted) < 2f64.powi(-25);
        prop_assert!(close(&a.add(&b).unwrap(), &|i| x[i] + y[i]));
        prop_assert!(close(&a.sub(&b).unwrap(), &|i| x[i] - y[i]));
        prop_assert!(close(&a.multiply_rescale(&b, &relin).unwrap(), &|i| x[i] * y[i]));
        prop_assert!(close(&a.rotate(k, &keys).unwrap(), &|i| x[(i as i32 + k).rem_euclid(32) as usize]));
        prop_assert!(close(&a.conjugate(&keys).unwrap(), &|i| x[i]));
        let mut c = a.clone();
        c.add_constant(y[0]).unwrap();
        prop_assert!(close(&c, &|i| x[i] + y[0]));
        prop_assert!(close(&a.bring_to(level - 1, &params.scale(), y[0]).unwrap(), &|i| x[i] * y[0]));
    }
}

#[test]
fn plaintexts_that_would_wrap_are_refused_at_their_level() {
    let params = Params::medium();
    let mut rng = rng(4);
    let secret = SecretKey::generate(&params, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);
    let large = Plaintext::from_integers(&params, &[1 << 25], &params.scale()).unwrap();
    assert!(secret.encrypt(&large, 1, &mut rng).is_ok());
    assert!(secret.encrypt(&large, 0, &mut rng).is_err());
    assert!(public.encrypt(&large, 0, &mut rng).is_err());
    assert!(public.encrypt(&large, 3, &mut rng).is_err());
}

/// Nothing that a log could print shows a secret.
#[test]
fn secrets_print_nothing() {
    let params = insecure_small();
    let mut rng = rng(5);
    let secret = SecretKey::generate(&params, &mut rng);
    let set = ckks::ActiveSet::new(&[1, 2]).unwrap();
    let shares = secret.share(&set, &mut rng);
    let c = secret.encrypt(&encode(&params, &[1.0]), 0, &mut rng).unwrap().expand();
    assert_eq!(format!("{secret:?}"), "SecretKey { .. }");
    assert_eq!(format!("{:?}", shares[0]), "DealtShare { .. }");
    assert_eq!(format!("{:?}", shares[1]), "DealtShare { .. }");
    assert_eq!(format!("{:?}", shares[1].expand()), "SecretShare { .. }");
    let raw = format!("{:?}", secret.decrypt_raw(&c).unwrap());
    assert!(!raw.contains("digits"), "{raw}");
}

/// Operations on different objects may run on different threads.
#[test]
fn objects_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<Params>();
    crosses::<Plaintext>();
    crosses::<Ciphertext>();
    crosses::<SecretKey>();
    crosses::<PublicKey>();
    crosses::<RelinKey>();
    crosses::<GaloisKeys>();
    crosses::<ckks::PlainMatrix>();
    crosses::<ckks::SecretShare>();
    crosses::<ckks::RawDecryption>();
}
