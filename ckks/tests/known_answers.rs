//! Known answers: SHA-256 of serialised objects from fixed seeds, for keys, ciphertexts and evaluation.
//!
//! The file `vectors/known_answers.txt` was written by this crate when the independent check
//! (`independent.py`) agreed with it; a change in it is a change of the format or of an expansion order.
//! Messages are integers, so that no floating point enters.

#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "a test file: a panic is the report"
)]

use chacha20::ChaCha20Rng;
use ckks::{
    ActiveSet, Automorphism, CommonPart, GaloisKey, GaloisKeys, Params, Plaintext, PublicKey, RelinKey,
    SecretKey, Seed, Vectors, Wire, limit_vectors,
};
use rand::SeedableRng;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::process::Command;
use zeroize::Zeroizing;

fn answers() -> String {
    let mut out = String::new();
    let mut put = |set: &str, what: &str, bytes: &[u8]| {
        write!(out, "{set} {what} {} ", bytes.len()).unwrap();
        for byte in Sha256::digest(bytes) {
            write!(out, "{byte:02x}").unwrap();
        }
        out.push('\n');
    };
    let sets = [
        ("sums_2048", Params::sums_2048()),
        ("sums_4096", Params::sums_4096()),
        ("light", Params::light()),
        ("medium", Params::medium()),
    ];
    for (name, params) in sets {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let secret = SecretKey::from_seed(&params, &Zeroizing::new([2; 32]));
        let top = params.max_level();
        let m = Plaintext::from_integers(&params, &[1, -2, 3, 40], &params.scale()).unwrap();
        let seeded = secret.encrypt(&m, top, &mut rng).unwrap();
        let public = PublicKey::generate(&secret, &mut rng);
        let c = public.encrypt(&m, top, &mut rng).unwrap();
        put(name, "parameters", &params.hash());
        put(name, "public_key", &public.to_bytes());
        put(name, "seeded", &seeded.to_bytes());
        put(name, "expanded", &seeded.clone().expand().to_bytes());
        put(name, "public_ciphertext", &c.to_bytes());
        let common = CommonPart::new(&params, Seed([3; 32]), top);
        if params.log_q(top) < 120.0 {
            put(name, "live", &secret.encrypt_live(&m, &common, 16, 20, &mut rng).unwrap().to_bytes());
        }
        let set = ActiveSet::new(&[1, 2]).unwrap();
        for share in secret.share(&set, &mut rng) {
            put(name, "share", &share.to_bytes());
        }
        if top > 0 {
            let relin = RelinKey::generate(&secret, &mut rng).unwrap();
            let rotation = GaloisKey::generate(&secret, Automorphism::Rotation(3), &mut rng).unwrap();
            put(name, "relin_key", &relin.to_bytes());
            put(name, "galois_key", &rotation.to_bytes());
            put(name, "product", &c.multiply_rescale(&c, &relin).unwrap().to_bytes());
            put(name, "rotated", &c.rotate(3, &GaloisKeys::from_iter([rotation])).unwrap().to_bytes());
        }
    }
    out
}

/// A hash of floats that went through encoding, a product and decoding: to the last bit.
fn floats() -> String {
    let params = Params::medium();
    let mut rng = ChaCha20Rng::from_seed([4; 32]);
    let secret = SecretKey::generate(&params, &mut rng);
    let relin = RelinKey::generate(&secret, &mut rng).unwrap();
    let x: Vec<f64> = (0..params.slots()).map(|i| f64::from(i as u32).sqrt() / 64.0).collect();
    let m = Plaintext::from_slots(&params, &x, &params.scale()).unwrap();
    let c = secret.encrypt(&m, 2, &mut rng).unwrap().expand().square_rescale(&relin).unwrap();
    let mut hash = Sha256::new();
    for z in secret.decrypt_raw(&c).unwrap().slots_raw() {
        hash.update(z.re.to_bits().to_le_bytes());
        hash.update(z.im.to_bits().to_le_bytes());
    }
    format!("floats {:?}", hash.finalize())
}

/// On the widest vectors here, and, in processes of their own, on the narrower ones and on none: the same
/// bytes, and the same bits of every float.
#[test]
fn answers_are_the_known_ones_at_every_width() {
    const LIMIT: &str = "CKKS_TEST_VECTORS";
    let known = include_str!("vectors/known_answers.txt");
    let limit = std::env::var(LIMIT).ok();
    match limit.as_deref() {
        Some("plain") => assert_eq!(limit_vectors(Vectors::Plain), Vectors::Plain),
        Some(_) => assert!(limit_vectors(Vectors::Avx2) <= Vectors::Avx2),
        None => {}
    }
    let found = answers();
    assert!(known == found, "found:\n{found}");
    let floats = floats();
    if limit.is_some() {
        println!("{floats}");
        return;
    }
    for vectors in ["plain", "avx2"] {
        let this = std::env::current_exe().unwrap();
        let output = Command::new(this).arg("--nocapture").env(LIMIT, vectors).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(&floats), "{vectors}: {text}");
    }
}
