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

/// Every operation in every named set; in the small ones with several keys.
#[test]
fn estimates_are_within_a_bit() {
    for params in Params::all() {
        for key in 0..(1 << 15 >> params.log_n()).min(4) {
            estimates(&params, key);
        }
    }
}

fn estimates(params: &Params, key: u64) {
    let mut rng = StdRng::seed_from_u64(key);
    let secret = SecretKey::generate(params, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);
    let scale = params.scale();
    let top = params.max_level();
    let values = |salt: usize| -> Vec<f64> {
        (0..params.slots()).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f64 / 504.5 - 1.0).collect()
    };
    let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
    let (x, y) = (values(1), values(2));
    let encode = |x: &[f64], scale: &Scale| Plaintext::from_slots(params, x, scale).unwrap();
    let (nx, ny) = (Noise::symmetric(params), Noise::public(params));
    let check = |what: &str, c: &Ciphertext, wanted: &[f64], n: &Noise| {
        assert_close(what, params, measured(&secret, c, wanted), n);
    };
    let sum: Vec<f64> = x.iter().zip(&y).map(|(a, b)| a + b).collect();
    let product: Vec<f64> = x.iter().zip(&y).map(|(a, b)| a * b).collect();
    let relin = (top > 0).then(|| RelinKey::generate(&secret, &mut rng).unwrap());
    let galois = [Automorphism::Rotation(1), Automorphism::Rotation(2)];
    let galois = (top > 0).then(|| GaloisKeys::generate(&secret, galois, &mut rng).unwrap());
    // All levels of the sets that have few, the ends and the middle of the others.
    let mut levels = vec![top, top / 2, top.min(1), 0];
    levels.dedup();
    for level in levels {
        let cx = secret.encrypt(&encode(&x, &scale), level, &mut rng).unwrap().expand();
        let cy = public.encrypt(&encode(&y, &scale), level, &mut rng).unwrap();
        check("symmetric", &cx, &x, &nx);
        check("public", &cy, &y, &ny);
        check("sum", &cx.add(&cy).unwrap(), &sum, &nx.add(&ny));
        if let Some(galois) = &galois {
            let rotated = |k| {
                let mut x = x.clone();
                x.rotate_left(k);
                x
            };
            check("rotated", &cx.rotate(1, galois).unwrap(), &rotated(1), &nx.switch(level));
            let n = nx.add(&nx.switch(level));
            let four = n.add(&n.switch(level));
            let turns = [x.clone(), rotated(1), rotated(2), rotated(3)];
            let wanted: Vec<f64> = (0..x.len()).map(|i| turns.iter().map(|x| x[i]).sum()).collect();
            check("inner sum", &cx.inner_sum(4, galois).unwrap(), &wanted, &four);
        }
        let (Some(relin), 1..) = (&relin, level) else {
            continue;
        };
        let three = cx.multiply(&cy).unwrap();
        let n = nx.multiply((rms(&x), &scale), &ny, (rms(&y), &scale));
        check("product", &three, &product, &n);
        check("relinearised", &three.relinearise(relin).unwrap(), &product, &n.switch(level));
        let n = n.relinearise_rescale(level);
        check("rescaled", &three.relinearise_rescale(relin).unwrap(), &product, &n);
        let neutral = params.level_scale(level);
        let mut by_plain = cx.clone();
        by_plain.mul_plain(&encode(&y, &neutral).prepare(level)).unwrap();
        let n = nx.mul_plain((rms(&x), &scale), (rms(&y), &neutral));
        check("by plaintext", &by_plain, &product, &n);
        by_plain.rescale().unwrap();
        check("by plaintext, rescaled", &by_plain, &product, &n.rescale(level));
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
