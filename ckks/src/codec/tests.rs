//! Every object survives the trip, and nothing else gets through.

use super::*;
use crate::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn objects() -> Vec<(Params, Vec<u8>)> {
    let params = params::tests::insecure_small();
    let mut rng = StdRng::seed_from_u64(1);
    let secret = SecretKey::generate(&params, &mut rng);
    let m = Plaintext::from_slots(&params, &[1.0, -2.0], &params.scale()).unwrap();
    let integers = Plaintext::from_integers(&params, &[1, -2], &params.scale()).unwrap();
    let seeded = secret.encrypt(&m, 2, &mut rng).unwrap();
    let common = CommonPart::new(&params, Seed([5; 32]), 1);
    let smudging = Smudging::for_sums(1, 0, 10).unwrap();
    let set = ActiveSet::new(&[1, 2]).unwrap();
    let shares = secret.share(&set, &mut rng);
    let relin = RelinKey::generate(&secret, &mut rng).unwrap();
    let ciphertext = seeded.clone().expand();
    let product = ciphertext.multiply(&ciphertext).unwrap();
    let galois = |a, rng: &mut StdRng| GaloisKey::generate(&secret, a, rng).unwrap().to_bytes();
    let partial = shares[0].expand().partial(&ciphertext, &smudging, &mut rng).unwrap();
    let live = shares[1].expand().partial_live(&common, 7, 11, &smudging, &mut rng).unwrap();
    let bytes = vec![
        ciphertext.to_bytes(),
        product.relinearise_rescale(&relin).unwrap().to_bytes(),
        product.to_bytes(),
        seeded.to_bytes(),
        PublicKey::generate(&secret, &mut rng).to_bytes(),
        relin.to_bytes(),
        galois(Automorphism::Rotation(-1), &mut rng),
        galois(Automorphism::Conjugation, &mut rng),
        secret.encrypt_live(&integers, &common, 7, 13, &mut rng).unwrap().to_bytes(),
        shares[0].to_bytes(),
        shares[1].to_bytes(),
        partial.to_bytes(),
        live.to_bytes(),
        KeyShare::public(&secret, Seed([1; 32]), &mut rng).to_bytes(),
        KeyShare::galois(&secret, Automorphism::Conjugation, Seed([2; 32]), &mut rng).unwrap().to_bytes(),
    ];
    bytes.into_iter().map(|b| (params.clone(), b)).collect()
}

/// Reads whatever the kind byte says, and writes it again.
fn again(params: &Params, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    fn read<T: Wire>(params: &Params, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
        T::from_bytes(params, bytes).map(|t| t.to_bytes())
    }
    match bytes.get(3) {
        Some(2) => read::<SeededCiphertext>(params, bytes),
        Some(3) => read::<PublicKey>(params, bytes),
        Some(4) => read::<RelinKey>(params, bytes),
        Some(5) => read::<GaloisKey>(params, bytes),
        Some(6) => read::<LiveCiphertext>(params, bytes),
        Some(7) => read::<DealtShare>(params, bytes),
        Some(8) => read::<PartialDecryption>(params, bytes),
        Some(9) => read::<LivePartial>(params, bytes),
        Some(10) => read::<KeyShare>(params, bytes),
        _ => read::<Ciphertext>(params, bytes),
    }
}

#[test]
fn objects_survive_the_trip() {
    for (params, bytes) in objects() {
        assert_eq!(again(&params, &bytes).unwrap(), bytes);
    }
}

#[test]
fn header_is_as_documented() {
    let params = Params::medium();
    let secret = SecretKey::from_seed(&params, &zeroize::Zeroizing::new([3; 32]));
    let m = Plaintext::from_slots(&params, &[], &params.scale()).unwrap();
    let seeded = secret.encrypt(&m, 2, &mut StdRng::seed_from_u64(1)).unwrap();
    let bytes = seeded.to_bytes();
    let mut header = vec![b'C', b'K', 1]; // magic and version
    header.push(2); // seeded ciphertext
    header.extend(params.hash());
    header.push(2); // level
    header.extend([80, 0]); // scale 2^40, zigzagged, and no primes in it
    header.extend(seeded.seed().0);
    assert_eq!(bytes[..header.len()], header);
    let bits: usize = (0..6).map(|i| 32 - params.prime(i).leading_zeros() as usize).sum();
    assert_eq!(bytes.len(), header.len() + 8192 * bits / 8);
    assert!(header.len() <= 96);
}

/// What the residues of a basis take when packed to their primes' lengths.
fn packed(params: &Params, primes: impl Iterator<Item = usize>) -> usize {
    primes.map(|i| params.n() * (32 - params.prime(i).leading_zeros() as usize) / 8).sum()
}

/// Every type in every named set: its residues, exactly packed, and at most 96 bytes.
#[test]
fn sizes_are_exact() {
    fn check(what: &str, params: &Params, object: &impl Wire, residues: usize) {
        let found = object.to_bytes().len();
        assert!((residues..=residues + 96).contains(&found), "{what} of {params:?}: {found} for {residues}");
    }
    for params in Params::all() {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = SecretKey::generate(&params, &mut rng);
        let top = params.max_level();
        let q = |level: usize| packed(&params, 0..params.primes_at(level));
        let qp = packed(&params, 0..params.q_len() + params.special_primes());
        let m = Plaintext::from_slots(&params, &[1.0], &params.scale()).unwrap();
        let fresh = secret.encrypt(&m, top, &mut rng).unwrap();
        check("seeded ciphertext", &params, &fresh, q(top));
        let fresh = fresh.expand();
        check("ciphertext", &params, &fresh, 2 * q(top));
        check("product", &params, &fresh.multiply(&fresh).unwrap(), 3 * q(top));
        check("public key", &params, &PublicKey::generate(&secret, &mut rng), qp);
        let shares = secret.share(&ActiveSet::new(&[1, 2]).unwrap(), &mut rng);
        check("dealt seed", &params, &shares[0], 0);
        check("dealt share", &params, &shares[1], q(top));
        let smudging = Smudging::for_sums(1, 0, 10).unwrap();
        let partial = shares[0].expand().partial(&fresh, &smudging, &mut rng).unwrap();
        check("partial decryption", &params, &partial, q(top));
        check("share of a public key", &params, &KeyShare::public(&secret, Seed([1; 32]), &mut rng), qp);
        let common = CommonPart::new(&params, Seed([2; 32]), 0);
        for (live, dropped) in [(1, 0), (96, 20)] {
            let bits = params.log_q(0).ceil() as usize - dropped as usize;
            let member = secret.encrypt_live(&m, &common, live, dropped, &mut rng).unwrap();
            check("live ciphertext", &params, &member, (live * bits).div_ceil(8));
            let answer =
                shares[1].expand().partial_live(&common, live, dropped, &smudging, &mut rng).unwrap();
            check("live partial", &params, &answer, (live * bits).div_ceil(8));
        }
        if params.special_primes() > 0 {
            let keys = params.digits() * qp;
            check("relinearisation key", &params, &RelinKey::generate(&secret, &mut rng).unwrap(), keys);
            let galois = GaloisKey::generate(&secret, Automorphism::Rotation(-1), &mut rng).unwrap();
            check("Galois key", &params, &galois, keys);
        }
        // The longest scale that levels can make: squared all the way down, never brought back.
        let scale = (1..=top).rev().fold(params.scale(), |s, l| s.times(&s).over(&params.level_scale(l)));
        check("deepest ciphertext", &params, &Ciphertext::zero(&params, 0, &scale), 2 * q(0));
    }
}

#[test]
fn wrong_parameters_are_refused() {
    for (_, bytes) in objects() {
        let error = again(&Params::sums_2048(), &bytes).unwrap_err();
        assert!(matches!(error, WireError::Params { .. }), "{error}");
    }
}

#[test]
fn transparent_ciphertexts_are_refused() {
    let params = Params::sums_2048();
    let zero = Ciphertext::zero(&params, 0, &params.scale());
    assert_eq!(Ciphertext::from_bytes(&params, &zero.to_bytes()), Err(WireError::Transparent));
}

#[test]
fn residues_are_checked_against_their_primes() {
    let params = Params::sums_2048();
    let secret = SecretKey::generate(&params, &mut StdRng::seed_from_u64(1));
    let m = Plaintext::from_slots(&params, &[], &params.scale()).unwrap();
    let mut bytes = secret.encrypt(&m, 0, &mut StdRng::seed_from_u64(2)).unwrap().to_bytes();
    let start = bytes.len() - 2048 * 53 / 8;
    bytes[start..start + 4].fill(0xff);
    let error = SeededCiphertext::from_bytes(&params, &bytes).unwrap_err();
    assert!(matches!(error, WireError::Residue { .. }), "{error}");
}

#[test]
fn serde_carries_a_byte_string() {
    for (params, bytes) in objects().into_iter().take(1) {
        let object = Ciphertext::from_bytes(&params, &bytes).unwrap();
        let mut cbor = Vec::new();
        ciborium::into_writer(&Encoded::new(&object), &mut cbor).unwrap();
        assert!(cbor.len() <= bytes.len() + 5);
        let back: Encoded<Ciphertext> = ciborium::from_reader(cbor.as_slice()).unwrap();
        assert_eq!(back.open(&params).unwrap(), object);
        let json: Encoded<Ciphertext> = ciborium::from_reader([0x82, 1, 2].as_slice()).unwrap();
        assert!(json.open(&params).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A cut object is refused; nothing panics.
    #[test]
    fn truncations_are_refused(which: prop::sample::Index, cut: prop::sample::Index) {
        let (params, bytes) = objects().swap_remove(which.index(15));
        prop_assert!(again(&params, &bytes[..cut.index(bytes.len())]).is_err());
        let mut longer = bytes;
        longer.push(0);
        prop_assert!(again(&params, &longer).is_err());
    }

    /// A flipped bit is refused or gives another valid object in canonical form; nothing panics.
    #[test]
    fn flipped_bits_never_panic(which: prop::sample::Index, at: prop::sample::Index, header: bool, bit in 0u8..8) {
        let (params, mut bytes) = objects().swap_remove(which.index(15));
        let range = if header { 80.min(bytes.len()) } else { bytes.len() };
        bytes[at.index(range)] ^= 1 << bit;
        if let Ok(back) = again(&params, &bytes) {
            prop_assert_eq!(back, bytes);
        }
    }

    /// Noise after a good header never panics, and never allocates by its own account.
    #[test]
    fn noise_is_refused(kind in 0u8..12, noise: Vec<u8>) {
        let params = params::tests::insecure_small();
        let mut bytes = MAGIC.to_vec();
        bytes.push(kind);
        bytes.extend(params.hash());
        bytes.extend(&noise);
        prop_assert!(again(&params, &bytes).is_err() || noise.len() >= 33);
    }
}
