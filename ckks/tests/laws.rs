//! The homomorphic laws, over the named sets and their levels.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a test file: small numbers, and a panic is the report"
)]

use ckks::{Automorphism, Ciphertext, GaloisKeys, Params, Plaintext, PublicKey, RelinKey, SecretKey};
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
