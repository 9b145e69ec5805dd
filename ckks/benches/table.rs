//! The crate's table: the best sample of each row, in microseconds and in transforms of the set.
//!
//! `cargo bench -p ckks --bench table -- [--vectors plain|avx2|avx512] [N ...]`, where `N` are ring
//! dimensions; vectors wider than the ones named are left unused by the crate's kernels.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench prints times"
)]

#[path = "rows/all.rs"]
mod rows;

use ckks::{Ciphertext, Params, Plaintext, PublicKey, RelinKey, SecretKey, Vectors, Wire, limit_vectors};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// The best of many samples, in microseconds; each sample repeats a fast operation.
fn best(run: &mut dyn FnMut()) -> f64 {
    run();
    let mut repeat = 1u32;
    loop {
        let start = Instant::now();
        for _ in 0..repeat {
            run();
        }
        if start.elapsed() > Duration::from_micros(200) {
            break;
        }
        repeat *= 2;
    }
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        for _ in 0..repeat {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(repeat));
    }
    best
}

/// What one key gives: the largest error in any slot of a sum of 1000 public-key ciphertexts and of one
/// product, and the bytes of a seeded ciphertext.
fn errors(params: &Params, key: u64) -> (f64, Option<f64>, usize) {
    let mut rng = StdRng::seed_from_u64(key);
    let secret = SecretKey::generate(params, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);
    let top = params.max_level();
    let values = |salt: usize| -> Vec<f64> {
        (0..params.slots()).map(|i| ((i * 37 + salt) % 199) as f64 / 99.0 - 1.0).collect()
    };
    let (x, y) = (values(0), values(71));
    let encode = |v: &[f64]| Plaintext::from_slots(params, v, &params.scale()).expect("small values");
    let (px, py) = (encode(&x), encode(&y));
    let largest = |c: &Ciphertext, wanted: &dyn Fn(usize) -> f64| {
        let slots = secret.decrypt_raw(c).expect("the same parameters").real_slots_raw();
        slots.iter().enumerate().map(|(i, z)| (z - wanted(i)).abs()).fold(0.0, f64::max)
    };
    let a = public.encrypt(&px, top, &mut rng).expect("the same parameters");
    let b = public.encrypt(&py, top, &mut rng).expect("the same parameters");
    let mut sum = a.clone();
    for _ in 1..1000 {
        let c = public.encrypt(&px, top, &mut rng).expect("the same parameters");
        sum.add_assign(&c).expect("the same scale");
    }
    let product = (top > 0).then(|| {
        let relin = RelinKey::generate(&secret, &mut rng).expect("a special prime");
        let product = a.multiply_rescale(&b, &relin).expect("a level");
        largest(&product, &|i| x[i] * y[i])
    });
    let bytes = secret.encrypt(&px, top, &mut rng).expect("the same parameters").to_bytes().len();
    (largest(&sum, &|i| 1000.0 * x[i]), product, bytes)
}

/// The median over keys, since the largest error is where the key's largest slot is: of five keys, or one
/// where encrypting takes long.
fn median_errors(params: &Params) -> (f64, Option<f64>, usize) {
    let keys = if params.n() <= 8192 { 5 } else { 1 };
    let all: Vec<_> = (0..keys).map(|key| errors(params, 9 + key)).collect();
    let median = |mut x: Vec<f64>| {
        x.sort_unstable_by(f64::total_cmp);
        x.get(x.len() / 2).copied()
    };
    let sum = median(all.iter().map(|e| e.0).collect()).expect("there is a key");
    (sum, median(all.iter().filter_map(|e| e.1).collect()), all[0].2)
}

/// How many times as many products two threads finish as one, each on operands of its own.
fn scaling(params: &Params) -> f64 {
    let mut rng = StdRng::seed_from_u64(11);
    let secret = SecretKey::generate(params, &mut rng);
    let relin = RelinKey::generate(&secret, &mut rng).expect("a special prime");
    let x = Plaintext::from_slots(params, &[0.5], &params.scale()).expect("small values");
    let x = secret.encrypt(&x, params.max_level(), &mut rng).expect("the same parameters").expand();
    let run = || {
        for _ in 0..100 {
            drop(std::hint::black_box(x.multiply_rescale(&x, &relin)));
        }
    };
    let time = |threads: usize| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(run);
            }
        });
        start.elapsed().as_secs_f64()
    };
    let best = |threads| (0..10).map(|_| time(threads)).fold(f64::INFINITY, f64::min);
    2.0 * best(1) / best(2)
}

/// Leaves wider vectors than these unused.
fn limit(name: &str) {
    let vectors = match name {
        "plain" => Vectors::Plain,
        "avx2" => Vectors::Avx2,
        "avx512" => Vectors::Avx512,
        _ => panic!("--vectors {name}: write plain, avx2 or avx512"),
    };
    println!("kernels on {:?}", limit_vectors(vectors));
}

fn main() {
    let mut wanted: Vec<usize> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.parse()) {
            ("--vectors", _) => limit(&arguments.next().unwrap_or_default()),
            (_, Ok(n)) => wanted.push(n),
            // Cargo adds flags of its own.
            _ => (),
        }
    }
    for params in Params::all() {
        if !wanted.is_empty() && !wanted.contains(&params.n()) {
            continue;
        }
        let transform = best(&mut *rows::transform(&params).run);
        println!("\nN = {}, log QP = {:.0}: one transform {transform:.1} µs\n", params.n(), params.log_qp());
        println!("| operation | µs | transforms |\n|---|---|---|");
        for mut row in rows::rows(&params) {
            let time = best(&mut *row.run);
            println!("| {} | {time:.1} | {:.1} |", row.name, time / transform);
        }
        let (sum, product, bytes) = median_errors(&params);
        println!("| largest error, sum of 1000 | {sum:.1e} | |");
        if let Some(product) = product {
            println!("| largest error, one product | {product:.1e} | |");
        }
        println!("| bytes, seeded ciphertext | {bytes} | |");
        if params.max_level() > 0 && params.n() <= 8192 {
            println!("| products on two threads, times one's | {:.2} | |", scaling(&params));
        }
    }
}
