//! The rows of the table: what is measured, set by set.

use ckks::{
    ActiveSet, Automorphism, Ciphertext, GaloisKeys, Params, PartialDecryption, Plaintext, PublicKey,
    RelinKey, SecretKey, SeededCiphertext, Sign, Smudging, Wire,
};
use concrete_ntt::prime32::Plan;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::hint::black_box;

/// One measured operation.
pub(crate) struct Row {
    /// What it is.
    pub(crate) name: &'static str,
    /// Runs it once.
    pub(crate) run: Box<dyn FnMut()>,
}

/// The transform of one polynomial modulo one 30-bit prime: the yardstick of a set.
pub(crate) fn transform(params: &Params) -> Row {
    let plan = Plan::try_new(params.n(), params.prime(0)).expect("a prime of the set");
    let mut data: Vec<u32> = (0..params.n() as u32).collect();
    let run = Box::new(move || plan.fwd(black_box(&mut data)));
    Row { name: "transform", run }
}

/// Takes a row.
type Add<'a> = dyn FnMut(&'static str, Box<dyn FnMut()>) + 'a;

/// Every row that the set can do.
pub(crate) fn rows(params: &Params) -> Vec<Row> {
    let mut out = Vec::new();
    let mut add = |name, run: Box<dyn FnMut()>| out.push(Row { name, run });
    let mut rng = StdRng::seed_from_u64(1);
    let secret = SecretKey::generate(params, &mut rng);
    let public = PublicKey::generate(&secret, &mut rng);
    let top = params.max_level();
    let values: Vec<f64> = (0..params.slots()).map(|i| (i as f64).sin()).collect();
    let scale = params.scale();
    let plaintext = Plaintext::from_slots(params, &values, &scale).expect("small values");
    let prepared = plaintext.prepare(top);
    let fresh = secret.encrypt(&plaintext, top, &mut rng).expect("the same parameters");
    let a = fresh.clone().expand();
    let b = public.encrypt(&plaintext, top, &mut rng).expect("the same parameters");

    add("encode", {
        let (params, values, scale) = (params.clone(), values.clone(), scale.clone());
        Box::new(move || {
            let plaintext = Plaintext::from_slots(&params, black_box(&values), &scale);
            drop(black_box(plaintext));
        })
    });
    add("encode and transform", {
        let params = params.clone();
        Box::new(move || {
            let plaintext = Plaintext::from_slots(&params, black_box(&values), &scale).expect("small values");
            black_box(plaintext.prepare(top));
        })
    });
    add("encrypt, public key", {
        let (plaintext, mut rng) = (plaintext.clone(), StdRng::seed_from_u64(2));
        Box::new(move || drop(black_box(public.encrypt(&plaintext, top, &mut rng))))
    });
    add("encrypt, symmetric seeded", {
        let (params, plaintext, mut rng) = (params.clone(), plaintext, StdRng::seed_from_u64(3));
        let secret = SecretKey::generate(&params, &mut StdRng::seed_from_u64(1));
        Box::new(move || drop(black_box(secret.encrypt(&plaintext, top, &mut rng))))
    });
    add("add in place", {
        let (mut x, y) = (a.clone(), b.clone());
        Box::new(move || x.add_assign(black_box(&y)).expect("the same scale"))
    });
    add("multiply by plaintext", {
        let mut x = a.clone();
        let (mut count, fresh) = (0, a.clone());
        Box::new(move || {
            x.mul_plain(black_box(&prepared)).expect("the same level");
            count += 1;
            if count % 64 == 0 {
                x = fresh.clone();
            }
        })
    });
    add("read and expand a seeded ciphertext", {
        let (params, bytes) = (params.clone(), fresh.to_bytes());
        Box::new(move || {
            let seeded = SeededCiphertext::from_bytes(&params, black_box(&bytes)).expect("its own bytes");
            drop(black_box(seeded.expand()));
        })
    });
    add("expand a seeded ciphertext", Box::new(move || drop(black_box(fresh.clone().expand()))));
    if top > 0 {
        products(&mut add, &secret, &a, &b);
    }
    threshold(&mut add, &secret, &a);
    let mut last = b;
    last.drop_to(0).expect("level 0 is below");
    for (name, x) in [("decrypt and decode, top level", a), ("decrypt and decode, last level", last)] {
        let secret = SecretKey::generate(params, &mut StdRng::seed_from_u64(1));
        add(
            name,
            Box::new(move || {
                let raw = secret.decrypt_raw(black_box(&x)).expect("the same parameters");
                black_box(raw.real_slots_raw());
            }),
        );
    }
    out
}

/// What needs a level below and keys to switch with.
fn products(add: &mut Add<'_>, secret: &SecretKey, a: &Ciphertext, b: &Ciphertext) {
    let (params, mut rng) = (a.params().clone(), StdRng::seed_from_u64(5));
    let relin = RelinKey::generate(secret, &mut rng).expect("a special prime");
    let galois =
        GaloisKeys::generate(secret, [Automorphism::Rotation(1)], &mut rng).expect("a special prime");
    add("rescale", {
        let x = a.multiply(b).expect("the same level");
        let x = x.relinearise(&relin).expect("three parts");
        Box::new(move || drop(black_box(x.rescaled())))
    });
    let sign = Sign::fine();
    if params.max_level() > sign.depth() {
        let (x, y, relin) = (a.clone(), b.clone(), relin.clone());
        let scale = params.scale();
        add("maximum of two, to 2^-9.8", Box::new(move || drop(black_box(x.max(&y, &sign, &scale, &relin)))));
    }
    add("multiply, relinearise, rescale", {
        let (x, y) = (a.clone(), b.clone());
        Box::new(move || drop(black_box(x.multiply_rescale(&y, &relin))))
    });
    add("rotate by one", {
        let x = a.clone();
        Box::new(move || drop(black_box(x.rotate(1, &galois))))
    });
}

fn threshold(add: &mut Add<'_>, secret: &SecretKey, a: &Ciphertext) {
    let mut rng = StdRng::seed_from_u64(6);
    let set = ActiveSet::new(&[1, 2, 3]).expect("ascending");
    let shares: Vec<_> = secret.share(&set, &mut rng).iter().map(ckks::DealtShare::expand).collect();
    let smudging = Smudging::new(64.0, 0, 20).expect("small");
    add("threshold: partial decryption", {
        let (x, share, mut rng) = (a.clone(), shares[0].clone(), StdRng::seed_from_u64(4));
        Box::new(move || drop(black_box(share.partial(&x, &smudging, &mut rng))))
    });
    add("threshold: fusion and decode", {
        let partial = |share: &ckks::SecretShare| share.partial(a, &smudging, &mut rng).expect("two parts");
        let partials: Vec<_> = shares.iter().map(partial).collect();
        let x = a.clone();
        Box::new(move || {
            let raw = PartialDecryption::combine(&x, &set, &partials).expect("the same level");
            black_box(raw.real_slots_raw());
        })
    });
}
