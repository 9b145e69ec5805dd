//! A tour of the crate, in the order in which one meets things. `cargo run -p ckks --example tour`.

#![expect(
    clippy::float_cmp,
    clippy::print_stdout,
    reason = "a tour is read aloud, and rounded values are exact"
)]

use ckks::{
    ActiveSet, Ciphertext, CommonPart, GaloisKeys, LiveCiphertext, Noise, Params, PlainMatrix, Plaintext,
    Polynomial, PublicKey, RelinKey, SecretKey, SecretShare, Seed, Smudging, Wire, combine_live,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    numbers()?;
    circuits()?;
    sums()?;
    println!("the tour is over, and every assertion held");
    Ok(())
}

/// Encrypting numbers, adding them, reading the result.
fn numbers() -> Result<(), Box<dyn Error>> {
    // Everything starts from parameters. A named set is checked against the 2024 security table; so is
    // any literal of your own. This one has 4096 slots, two multiplications, and 40 bits of scale.
    let params = Params::medium();
    assert_eq!((params.slots(), params.max_level(), params.log_scale()), (4096, 2, 40));

    // Randomness is always handed in. A real program hands in the operating system's; a tour repeats.
    let mut rng = StdRng::seed_from_u64(1);
    let secret = SecretKey::generate(&params, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);

    // A plaintext is a vector of numbers, one to a slot, times the scale and rounded to integers.
    let x = Plaintext::from_slots(&params, &[1.5, -2.0, 0.25], &params.scale())?;
    let y = Plaintext::from_slots(&params, &[0.5, 1.0, 1.0], &params.scale())?;

    // Who has the secret key encrypts to half the bytes: the second part is a 32-byte seed.
    let seeded = secret.encrypt(&x, params.max_level(), &mut rng)?;
    assert_eq!(seeded.to_bytes().len(), 145_463);
    let x = seeded.expand();
    // Anyone else uses the public key.
    let y = public.encrypt(&y, params.max_level(), &mut rng)?;
    assert_eq!(y.to_bytes().len(), 290_840);

    // Ciphertexts add up. What does not match is refused, with both sides named.
    let sum = x.add(&y)?;
    let mut lower = y;
    lower.drop_to(1)?;
    assert_eq!(x.add(&lower).expect_err("not the same level").to_string(), "levels 2 and 1 differ");

    // A raw decryption holds noise that depends on the key. What leaves you is rounded first.
    let decrypted = secret.decrypt_raw(&sum)?.decode_public(16)?;
    assert_eq!(decrypted[..3], [2.0, -1.0, 1.25]);

    // How far may one round? The estimator follows the operations without any key.
    let noise = Noise::symmetric(&params).add(&Noise::public(&params));
    assert!(noise.slot_deviation(&params.scale()) < 2f64.powi(-28));
    Ok(())
}

/// Multiplying, rotating, and what is built from that.
fn circuits() -> Result<(), Box<dyn Error>> {
    let params = Params::medium();
    let mut rng = StdRng::seed_from_u64(2);
    let secret = SecretKey::generate(&params, &mut rng);
    let relin = RelinKey::generate(&secret, &mut rng)?;
    let read = |c: &Ciphertext| -> Result<Vec<f64>, Box<dyn Error>> {
        Ok(secret.decrypt_raw(c)?.decode_public(10)?)
    };

    let x = Plaintext::from_slots(&params, &[0.5, -0.25, 1.0, 0.75], &params.scale())?;
    let x = secret.encrypt(&x, 2, &mut rng)?.expand();

    // A product has the product of the scales; rescaling divides by the level's primes, and the scale
    // remembers them exactly.
    let square = x.multiply_rescale(&x, &relin)?;
    assert_eq!(square.level(), 1);
    assert_eq!(square.scale().to_string(), "2^80·q4^-1·q5^-1");
    assert_eq!(read(&square)?[..4], [0.25, 0.0625, 1.0, 0.5625]);

    // x² + x: the sum wants one level and one scale, and `bring_to` gets x there.
    let sum = square.add(&x.bring_to(1, square.scale(), 1.0)?)?;
    assert_eq!(read(&sum)?[0], 0.75);

    // Rotations need keys; powers of two suffice to sum over slots.
    let galois = GaloisKeys::generate(&secret, GaloisKeys::sum_steps(4), &mut rng)?;
    assert_eq!(read(&x.rotate(1, &galois)?)?[0], -0.25);
    assert_eq!(read(&x.inner_sum(4, &galois)?)?[0], 2.0);
    assert_eq!(read(&x.mean_of_slots(4, &galois)?)?[0], 0.5);
    assert_eq!(read(&x.dot(&[1.0, 2.0, 0.0, -1.0], &galois)?)?[0], -0.75);

    // A plaintext matrix times an encrypted vector takes about 2·√d rotations.
    let swap = PlainMatrix::new(&params, &[vec![0.0, 1.0], vec![2.0, 0.0]], 2)?;
    let keys = GaloisKeys::generate(&secret, swap.steps(), &mut rng)?;
    let v = Plaintext::from_slots(&params, &PlainMatrix::repeat(&params, &[0.5, 0.25]), &params.scale())?;
    let v = secret.encrypt(&v, 2, &mut rng)?.expand();
    assert_eq!(read(&swap.apply(&v, &keys)?)?[..2], [0.25, 1.0]);

    // Polynomials on [-1, 1] take ⌈log2(degree + 1)⌉ levels.
    let cube = Polynomial::from_monomials(&[0.0, 0.0, 0.0, 1.0]);
    let cubed = x.evaluate(&cube, &params.scale(), &relin)?;
    assert_eq!(cubed.level(), 0);
    assert_eq!(read(&cubed)?[0], 0.125);
    Ok(())
}

/// A sum over many keys that nobody can open alone.
fn sums() -> Result<(), Box<dyn Error>> {
    let params = Params::sums_4096();
    let mut rng = StdRng::seed_from_u64(3);
    // Four trustees, of whom any two can open a sum.
    let sets = ActiveSet::all(4, 2)?;
    let mut held: Vec<Vec<SecretShare>> =
        sets.iter().map(|set| vec![SecretShare::zero(&params); set.size()]).collect();
    // A public seed that nobody chose gives the part of the ciphertexts that all have in common.
    let common = CommonPart::new(&params, Seed([7; 32]), params.max_level());

    let mut sum: Option<LiveCiphertext> = None;
    for member in 0..5 {
        // Each member has a key of its own and shares it afresh for every set of trustees.
        let secret = SecretKey::generate(&params, &mut rng);
        for (set, held) in sets.iter().zip(&mut held) {
            for (held, dealt) in held.iter_mut().zip(secret.share(set, &mut rng)) {
                held.add_assign(&dealt.expand())?;
            }
        }
        // Integers go into the coefficients; only those that carry a message travel, 9 bytes each.
        let readings = Plaintext::from_integers(&params, &[100 + member, -member, 1 << 30], &params.scale())?;
        let live = secret.encrypt_live(&readings, &common, 3, 28, &mut rng)?;
        assert_eq!(live.to_bytes().len() - 3 * 9, 57);
        match &mut sum {
            None => sum = Some(live),
            Some(sum) => sum.add_assign(&live)?,
        }
    }
    let sum = sum.ok_or("there are members")?;

    // Two trustees answer, each with noise that hides what the answer would say about the keys.
    let smudging = Smudging::for_sums(1 << 14, 20, 40).ok_or("a size that can be drawn")?;
    for (set, held) in sets.iter().zip(&held) {
        let partials: Vec<_> = held
            .iter()
            .map(|share| share.partial_live(&common, 3, 28, &smudging, &mut rng))
            .collect::<Result<_, _>>()?;
        assert_eq!(combine_live(&sum, set, &partials)?, [510, -10, 5 << 30]);
    }
    // The chance that a coefficient is wrong is below 2^-60.
    assert!(smudging.log_failure(&params, sum.scale(), 2, 5, 28) < -60.0);
    Ok(())
}
