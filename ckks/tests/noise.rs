//! Measured noise against the estimate: never above it, and within one bit.

#![expect(clippy::cast_precision_loss, clippy::unwrap_used, reason = "a test file: a panic is the report")]

use ckks::{
    Automorphism, Ciphertext, GaloisKeys, Noise, Params, Plaintext, PublicKey, RelinKey, Scale, SecretKey,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// `log2` of the standard deviation of a coefficient's error, from the slots' errors: for noise the
/// canonical embedding is √N times an isometry.
fn measured(secret: &SecretKey, ciphertext: &Ciphertext, wanted: &[f64]) -> f64 {
    let slots = secret.decrypt_raw(ciphertext).unwrap().slots_raw();
    let errors = slots.iter().zip(wanted).map(|(z, w)| (z - w).norm_sqr());
    let mean = errors.sum::<f64>() / slots.len() as f64;
    let n = secret.params().n() as f64;
    (mean / n).log2() / 2.0 + ciphertext.scale().log2(secret.params())
}

fn assert_close(what: &str, params: &Params, measured: f64, estimate: &Noise) {
    let estimate = estimate.bits();
    let n = params.n();
    assert!(measured <= estimate, "{what} at {n}: {measured:.2} measured over {estimate:.2}");
    assert!(measured >= estimate - 1.0, "{what} at {n}: {measured:.2} measured, {estimate:.2} estimated");
}

#[test]
fn estimates_are_within_a_bit() {
    for params in
        [Params::sums_2048(), Params::sums_4096(), Params::light(), Params::medium(), Params::strong()]
    {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = SecretKey::generate(&params, &mut rng);
        let public = PublicKey::generate(&secret, &mut rng);
        let scale = params.scale();
        let top = params.max_level();
        let values = |salt: usize| -> Vec<f64> {
            (0..params.slots()).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f64 / 504.5 - 1.0).collect()
        };
        let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
        let (x, y) = (values(1), values(2));
        let encode = |x: &[f64], scale: &Scale| Plaintext::from_slots(&params, x, scale).unwrap();
        let cx = secret.encrypt(&encode(&x, &scale), top, &mut rng).unwrap().expand();
        let cy = public.encrypt(&encode(&y, &scale), top, &mut rng).unwrap();
        let (nx, ny) = (Noise::symmetric(&params), Noise::public(&params));
        let check = |what: &str, c: &Ciphertext, wanted: &[f64], n: &Noise| {
            assert_close(what, &params, measured(&secret, c, wanted), n);
        };
        check("symmetric", &cx, &x, &nx);
        check("public", &cy, &y, &ny);
        let sum: Vec<f64> = x.iter().zip(&y).map(|(a, b)| a + b).collect();
        check("sum", &cx.add(&cy).unwrap(), &sum, &nx.add(&ny));
        let product: Vec<f64> = x.iter().zip(&y).map(|(a, b)| a * b).collect();
        if top == 0 {
            continue;
        }
        let relin = RelinKey::generate(&secret, &mut rng).unwrap();
        let three = cx.multiply(&cy).unwrap();
        let n = nx.multiply((rms(&x), &scale), &ny, (rms(&y), &scale));
        check("product", &three, &product, &n);
        check("relinearised", &three.relinearise(&relin).unwrap(), &product, &n.switch(top));
        check("rescaled", &three.relinearise_rescale(&relin).unwrap(), &product, &n.relinearise_rescale(top));
        let neutral = params.level_scale(top);
        let mut by_plain = cx.clone();
        by_plain.mul_plain(&encode(&y, &neutral).prepare(top)).unwrap();
        let n = nx.mul_plain((rms(&x), &scale), (rms(&y), &neutral));
        check("by plaintext", &by_plain, &product, &n);
        by_plain.rescale().unwrap();
        check("by plaintext, rescaled", &by_plain, &product, &n.rescale(top));
        let keys = GaloisKeys::generate(&secret, [Automorphism::Rotation(1)], &mut rng).unwrap();
        for level in [top, 1, 0] {
            let mut c = cx.clone();
            c.drop_to(level).unwrap();
            let mut rotated = x.clone();
            rotated.rotate_left(1);
            check("rotated", &c.rotate(1, &keys).unwrap(), &rotated, &nx.switch(level));
        }
    }
}

#[test]
fn sums_grow_with_the_root_of_their_number() {
    let params = Params::sums_2048();
    let mut rng = StdRng::seed_from_u64(2);
    let secret = SecretKey::generate(&params, &mut rng);
    let x = Plaintext::from_slots(&params, &[0.5; 1024], &params.scale()).unwrap();
    let mut sum = secret.encrypt(&x, 0, &mut rng).unwrap().expand();
    for _ in 1..100 {
        sum.add_assign(&secret.encrypt(&x, 0, &mut rng).unwrap().expand()).unwrap();
    }
    assert_close(
        "sum of 100",
        &params,
        measured(&secret, &sum, &[50.0; 1024]),
        &Noise::symmetric(&params).sum(100),
    );
}
