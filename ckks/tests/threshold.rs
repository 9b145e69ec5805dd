//! Sums under a common part, opened by every active set.

use ckks::{
    ActiveSet, CommonPart, LiveCiphertext, LivePartial, Mismatch, Params, PartialDecryption, Plaintext,
    PublicKey, SecretKey, SecretShare, Seed, Smudging, Wire, combine_live,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const LIVE: usize = 256;
const DROPPED: u32 = 28;

/// The whole path of a sum: keys deal, encrypt and are summed; every pair of four opens it exactly.
#[test]
fn every_active_set_opens_the_exact_sum() {
    let params = Params::sums_4096();
    let mut rng = StdRng::seed_from_u64(1);
    let common = CommonPart::new(&params, Seed([7; 32]), params.max_level());
    let smudging = Smudging::for_sums(1 << 14, 20, 40).unwrap();
    let sets = ActiveSet::all(4, 2).unwrap();
    let mut shares: Vec<Vec<SecretShare>> =
        sets.iter().map(|set| vec![SecretShare::zero(&params); set.size()]).collect();
    let mut total = vec![0i128; LIVE];
    let mut sum: Option<LiveCiphertext> = None;
    for _ in 0..20 {
        let secret = SecretKey::generate(&params, &mut rng);
        for (set, sums) in sets.iter().zip(&mut shares) {
            for (sum, dealt) in sums.iter_mut().zip(secret.share(set, &mut rng)) {
                let travelled = ckks::DealtShare::from_bytes(&params, &dealt.to_bytes()).unwrap();
                sum.add_assign(&travelled.expand()).unwrap();
            }
        }
        let readings: Vec<i64> = (0..LIVE).map(|_| rng.random_range(-(1 << 30)..1 << 30)).collect();
        for (t, r) in total.iter_mut().zip(&readings) {
            *t += i128::from(*r);
        }
        let plaintext = Plaintext::from_integers(&params, &readings, &params.scale()).unwrap();
        let live = secret.encrypt_live(&plaintext, &common, LIVE, DROPPED, &mut rng).unwrap();
        let bytes = live.to_bytes();
        assert!(bytes.len() <= LIVE * 9 + 96, "{}", bytes.len());
        let live = LiveCiphertext::from_bytes(&params, &bytes).unwrap();
        match &mut sum {
            None => sum = Some(live),
            Some(sum) => sum.add_assign(&live).unwrap(),
        }
    }
    let sum = sum.unwrap();
    for (set, shares) in sets.iter().zip(&shares) {
        let partials: Vec<LivePartial> = shares
            .iter()
            .map(|share| share.partial_live(&common, LIVE, DROPPED, &smudging, &mut rng).unwrap())
            .map(|partial| LivePartial::from_bytes(&params, &partial.to_bytes()).unwrap())
            .collect();
        assert_eq!(combine_live(&sum, set, &partials).unwrap(), total, "{set:?}");
        assert!(combine_live(&sum, set, &partials[..1]).is_err());
        // One member's answer alone, twice, is noise.
        let wrong = [partials[0].clone(), partials[0].clone()];
        assert_ne!(combine_live(&sum, set, &wrong).ok(), Some(total.clone()));
    }
    assert!(smudging.log_failure(&params, &params.scale(), 2, 20, DROPPED) < -60.0);
}

/// Whole ciphertexts open too, also computed ones.
#[test]
fn computed_ciphertexts_open() {
    let params = Params::medium();
    let mut rng = StdRng::seed_from_u64(2);
    let secret = SecretKey::generate(&params, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);
    let x = [0.5, -0.25, 3.0];
    let plaintext = Plaintext::from_slots(&params, &x, &params.scale()).unwrap();
    let ciphertext = public.encrypt(&plaintext, 1, &mut rng).unwrap();
    let set = ActiveSet::new(&[1, 3, 7]).unwrap();
    let smudging = Smudging::new(64.0, 0, 10).unwrap();
    let partials: Vec<_> = secret
        .share(&set, &mut rng)
        .iter()
        .map(|share| share.expand().partial(&ciphertext, &smudging, &mut rng).unwrap())
        .collect();
    let opened = PartialDecryption::combine(&ciphertext, &set, &partials).unwrap();
    for (a, b) in opened.decode_public(8).unwrap().iter().zip(x) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let params = Params::sums_4096();
    let mut rng = StdRng::seed_from_u64(3);
    let secret = SecretKey::generate(&params, &mut rng);
    let plaintext = Plaintext::from_integers(&params, &[1], &params.scale()).unwrap();
    let [a, b] = [1, 2].map(|i| CommonPart::new(&params, Seed([i; 32]), 0));
    let mut x = secret.encrypt_live(&plaintext, &a, 8, 0, &mut rng).unwrap();
    for (common, live, dropped) in [(&b, 8, 0), (&a, 9, 0), (&a, 8, 1)] {
        let y = secret.encrypt_live(&plaintext, common, live, dropped, &mut rng).unwrap();
        let before = x.clone();
        let error = x.add_assign(&y).unwrap_err();
        assert!(
            matches!(error, Mismatch::CommonPart { .. } | Mismatch::Length { .. } | Mismatch::Dropped { .. }),
            "{error}"
        );
        assert_eq!(x, before);
    }
    let wide = CommonPart::new(&params, Seed([2; 32]), 0);
    let fresh = secret.encrypt_under(&plaintext, &a, &mut rng).unwrap();
    let error = fresh.clone().expand_with(&wide).unwrap_err();
    assert!(matches!(error, Mismatch::CommonPart { .. }), "{error}");
    assert_eq!(fresh.clone().expand_with(&a).unwrap(), fresh.expand());
    let mut refusal =
        |live, dropped| secret.encrypt_live(&plaintext, &a, live, dropped, &mut rng).unwrap_err().to_string();
    assert_eq!(refusal(0, 0), "0 values were given where 4096 are wanted");
    assert_eq!(refusal(4097, 0), "4097 values were given where 4096 are wanted");
    assert_eq!(refusal(8, 100), "100 low bits cannot be dropped from values of 100 bits");
    let strong = Params::strong();
    let long = CommonPart::new(&strong, Seed([1; 32]), 6);
    let plaintext = Plaintext::from_integers(&strong, &[1], &strong.scale()).unwrap();
    let error = SecretKey::generate(&strong, &mut rng).encrypt_live(&plaintext, &long, 8, 0, &mut rng);
    assert!(matches!(error.unwrap_err(), Mismatch::LiveModulus { max: 120, .. }));
}
