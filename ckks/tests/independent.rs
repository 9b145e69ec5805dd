//! The slow, separate implementation in `independent.py` decrypts what this crate serialises, and agrees.
//!
//! Skipped, with a line that says so, where there is no `python3`.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test file: a panic is the report")]

use chacha20::ChaCha20Rng;
use ckks::{Ciphertext, Params, Plaintext, PublicKey, RelinKey, SecretKey, Wire};
use rand::SeedableRng;
use std::fmt::Write;
use std::io::Write as _;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

const SECRET: [u8; 32] = [42; 32];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        write!(out, "{b:02x}").unwrap();
        out
    })
}

/// What the script prints, line by line; `None` without Python.
fn python(params: &Params, object: &[u8]) -> Option<Vec<String>> {
    let count = params.primes_at(params.max_level());
    let join = |numbers: Vec<String>| numbers.join(",");
    let primes = join((0..count).map(|i| params.prime(i).to_string()).collect());
    let levels = join((0..=params.max_level()).map(|l| params.primes_at(l).to_string()).collect());
    let input = format!(
        "n {}\nprimes {primes}\nlevels {levels}\nsecret {}\nobject {}\n",
        params.n(),
        hex(&SECRET),
        hex(object)
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/independent.py");
    let child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("no python3: the independent check is skipped");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// Compares every coefficient and a few slots.
fn assert_agree(params: &Params, object: &[u8], ciphertext: &Ciphertext) {
    let Some(lines) = python(params, object) else {
        return;
    };
    let secret = SecretKey::from_seed(params, &Zeroizing::new(SECRET));
    let raw = secret.decrypt_raw(ciphertext).unwrap();
    let scale: f64 = lines[0].strip_prefix("scale ").unwrap().parse().unwrap();
    assert!((scale / ciphertext.scale().value(params) - 1.0).abs() < 1e-12);
    let theirs: Vec<f64> = lines[1].split(' ').skip(1).map(|c| c.parse().unwrap()).collect();
    let ours = raw.coefficients_raw();
    assert_eq!(theirs.len(), ours.len());
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() <= b.abs() * 1e-15, "{a} {b}");
    }
    let slots = raw.slots_raw();
    for line in &lines[2..] {
        let field: Vec<&str> = line.split(' ').collect();
        let slot = slots[field[1].parse::<usize>().unwrap()];
        assert!((slot.re - field[2].parse::<f64>().unwrap()).abs() < 1e-9);
        assert!((slot.im - field[3].parse::<f64>().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn seeded_ciphertexts_decrypt_elsewhere() {
    let params = Params::sums_2048();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let secret = SecretKey::from_seed(&params, &Zeroizing::new(SECRET));
    let m = Plaintext::from_integers(&params, &[1, -2, 300_000], &params.scale()).unwrap();
    let seeded = secret.encrypt(&m, 0, &mut rng).unwrap();
    let bytes = seeded.to_bytes();
    assert_agree(&params, &bytes, &seeded.expand());
}

#[test]
fn computed_ciphertexts_decrypt_elsewhere() {
    let params = Params::light();
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let secret = SecretKey::from_seed(&params, &Zeroizing::new(SECRET));
    let public = PublicKey::generate(&secret, &mut rng);
    let relin = RelinKey::generate(&secret, &mut rng).unwrap();
    let m = Plaintext::from_slots(&params, &[0.5, -0.25, 3.0], &params.scale()).unwrap();
    let c = public.encrypt(&m, 1, &mut rng).unwrap();
    let three = c.multiply(&c).unwrap();
    assert_agree(&params, &three.to_bytes(), &three);
    let product = three.relinearise_rescale(&relin).unwrap();
    assert_agree(&params, &product.to_bytes(), &product);
}
