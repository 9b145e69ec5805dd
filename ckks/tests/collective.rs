//! Keys made by several parties together, and ciphertexts opened by them.

use ckks::{
    ActiveSet, Automorphism, Commitment, GaloisKey, GaloisKeys, KeyShare, Mismatch, Params,
    PartialDecryption, Plaintext, PublicKey, RelinCeremony, RelinKey, SecretKey, Seed, Smudging,
    ThresholdError, Wire, joint_seed,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

const CEREMONY: [u8; 32] = [9; 32];

/// Three parties make every key, compute on a ciphertext and open the result.
#[test]
fn collective_keys_work_as_one() {
    let params = Params::medium();
    let mut rng = StdRng::seed_from_u64(1);
    let secrets: Vec<SecretKey> = (0..3).map(|_| SecretKey::generate(&params, &mut rng)).collect();
    let seed = |n: u8| {
        let reveals = [[n; 32], [n + 1; 32], [n + 2; 32]];
        let commitments: Vec<Commitment> =
            (1..).zip(&reveals).map(|(party, r)| Commitment::new(&CEREMONY, party, r)).collect();
        joint_seed(&CEREMONY, &commitments, &reveals).unwrap()
    };
    let shares: Vec<KeyShare> = secrets.iter().map(|s| KeyShare::public(s, seed(1), &mut rng)).collect();
    for (party, share) in (1..).zip(&shares) {
        let commitment = share.commit(&CEREMONY, party);
        assert!(commitment.check(&CEREMONY, party, &share.to_bytes()).is_ok());
        assert!(commitment.check(&CEREMONY, party + 1, &share.to_bytes()).is_err());
    }
    let public = PublicKey::collective(&shares).unwrap();

    let ceremonies: Vec<_> =
        secrets.iter().map(|s| RelinCeremony::new(s, seed(2), &mut rng).unwrap()).collect();
    let firsts: Vec<KeyShare> = ceremonies.iter().map(|c| c.first(&mut rng)).collect();
    let seconds: Vec<KeyShare> = ceremonies.iter().map(|c| c.second(&firsts, &mut rng).unwrap()).collect();
    let relin = RelinKey::collective(&firsts, &seconds).unwrap();
    // Rounds of different ceremonies, or of different parties, are refused.
    let other = RelinCeremony::new(&secrets[0], seed(7), &mut rng).unwrap();
    let stranger = [other.first(&mut rng)];
    let answer = [other.second(&stranger, &mut rng).unwrap()];
    assert!(matches!(
        RelinKey::collective(&firsts, &answer),
        Err(ThresholdError::Mismatch(Mismatch::CommonPart { .. }))
    ));
    assert!(ceremonies[0].second(&stranger, &mut rng).is_err());
    assert_eq!(
        RelinKey::collective(&firsts, &seconds[..2]).unwrap_err(),
        ThresholdError::Partials { found: 2, wanted: 3 }
    );
    assert_eq!(RelinKey::from_bytes(&params, &relin.to_bytes()).unwrap(), relin);

    let step = Automorphism::Rotation(1);
    let rotations: Vec<KeyShare> =
        secrets.iter().map(|s| KeyShare::galois(s, step, seed(3), &mut rng).unwrap()).collect();
    let galois = GaloisKeys::from_iter([GaloisKey::collective(step, &rotations).unwrap()]);

    let x = [0.5, -0.75, 0.125, 1.0];
    let plaintext = Plaintext::from_slots(&params, &x, &params.scale()).unwrap();
    let a = public.encrypt(&plaintext, 2, &mut rng).unwrap();
    let b = a.multiply_rescale(&a, &relin).unwrap().rotate(1, &galois).unwrap();
    let everyone = ActiveSet::new(&[1, 2, 3]).unwrap();
    let smudging = Smudging::new(64.0, 0, 20).unwrap();
    let partials: Vec<_> =
        secrets.iter().map(|s| s.to_share().partial(&b, &smudging, &mut rng).unwrap()).collect();
    let opened = PartialDecryption::combine(&b, &everyone, &partials).unwrap().decode_public(16).unwrap();
    for (opened, x) in opened.iter().zip(&x[1..]) {
        assert!((opened - x * x).abs() < 1e-4, "{opened} {x}");
    }

    assert_eq!(PublicKey::collective(&rotations).unwrap_err(), ThresholdError::Kind);
    let mut mixed = shares;
    mixed[0] = KeyShare::public(&secrets[0], seed(5), &mut rng);
    assert!(PublicKey::collective(&mixed).is_err());
}

#[test]
fn who_reveals_something_else_is_named() {
    let reveals = [[1; 32], [2; 32]];
    let commitments = [Commitment::new(&CEREMONY, 1, &reveals[0]), Commitment::new(&CEREMONY, 2, &[3; 32])];
    assert_eq!(joint_seed(&CEREMONY, &commitments, &reveals).unwrap_err(), ThresholdError::Commitment(2));
    assert_ne!(Seed([0; 32]), joint_seed(&CEREMONY, &commitments[..1], &reveals[..1]).unwrap());
}
