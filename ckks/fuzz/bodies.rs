//! What the fuzz targets run, and `tests/bytes.rs` too: whatever bytes come, reading them gives an error or
//! an object in its one canonical form, and using that object never panics.
//!
//! The input's first byte says what is made of the rest: taken as it is, put behind a good header, or taken
//! as edits of a good object, so that no corpus is needed to get past the header. Two sets take
//! turns: a small ring with key switching, where objects are short, and `sums_2048`, which has none.

use ckks::{
    ActiveSet, Automorphism, Ciphertext, CommonPart, DealtShare, Encoded, GaloisKey, GaloisKeys, KeyShare,
    Literal, LiveCiphertext, LivePartial, Params, PartialDecryption, Plaintext, PublicKey, RelinCeremony,
    RelinKey, SecretKey, Security, Seed, SeededCiphertext, Smudging, Wire, combine_live,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The same for everything: what is fuzzed are bytes.
fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// A set, a key, and what they make.
pub struct Set {
    params: Params,
    secret: SecretKey,
    common: CommonPart,
    smudging: Smudging,
    members: ActiveSet,
    fresh: Ciphertext,
}

impl Set {
    fn new(params: Params) -> Self {
        let mut rng = rng();
        let secret = SecretKey::generate(&params, &mut rng);
        let m = Plaintext::from_slots(&params, &[1.0, -2.0], &params.scale()).expect("small values");
        let fresh = secret.encrypt(&m, params.max_level(), &mut rng).expect("the same set").expand();
        Self {
            common: CommonPart::new(&params, Seed([5; 32]), 0),
            smudging: Smudging::for_sums(1, 0, 10).expect("a size that can be drawn"),
            members: ActiveSet::new(&[1, 2]).expect("ascending"),
            params,
            secret,
            fresh,
        }
    }

    fn switches(&self) -> bool {
        self.params.special_primes() > 0
    }

    fn relin(&self) -> RelinKey {
        RelinKey::generate(&self.secret, &mut rng()).expect("a special prime")
    }
}

static SETS: LazyLock<[Set; 2]> = LazyLock::new(|| {
    let small = Params::insecure_for_tests(Literal {
        log_n: 5,
        levels: vec![vec![30, 30], vec![20, 21], vec![20, 21]],
        special: vec![30, 30],
        log_scale: 40,
        security: Security::Classical2024,
    });
    [Set::new(small.expect("a good literal")), Set::new(Params::sums_2048())]
});

/// An object that travels: good ones to start from, and what one does with it.
pub trait Object: Wire {
    /// The bytes of good objects; none where the set has no such objects.
    fn good(set: &Set) -> Vec<Vec<u8>>;

    /// Uses an object that was read. The results do not matter, since its contents are the fuzzer's.
    fn exercise(self, set: &Set);
}

/// The bytes of good objects, for each set.
type Good = [Vec<Vec<u8>>; 2];

/// The good objects of a type, made once.
fn good<T: Object + 'static>() -> &'static Good {
    static GOOD: LazyLock<Mutex<HashMap<TypeId, &'static Good>>> = LazyLock::new(Mutex::default);
    let mut all = GOOD.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(TypeId::of::<T>()).or_insert_with(|| Box::leak(Box::new(SETS.each_ref().map(T::good))))
}

/// Reads what the input says.
pub fn wire<T: Object + 'static>(input: &[u8]) {
    let Some((set, bytes)) = bytes::<T>(input) else {
        return;
    };
    if let Ok(object) = T::from_bytes(&set.params, &bytes) {
        assert_eq!(object.to_bytes(), bytes, "an object has one form");
        object.exercise(set);
    }
}

/// Reads what the input says as CBOR, for a ciphertext.
pub fn encoded(input: &[u8]) {
    let Some((set, bytes)) = bytes::<Ciphertext>(input) else {
        return;
    };
    let cbor = |object: &Encoded<Ciphertext>| {
        let mut out = Vec::new();
        ciborium::into_writer(object, &mut out).expect("memory takes it");
        out
    };
    let read = |bytes: &[u8]| ciborium::from_reader::<Encoded<Ciphertext>, _>(bytes);
    if let Ok(object) = Ciphertext::from_bytes(&set.params, &bytes) {
        let back = read(&cbor(&Encoded::new(&object))).expect("what serde wrote, it reads");
        assert_eq!(back.as_bytes(), bytes);
        assert_eq!(back.open(&set.params).as_ref(), Ok(&object));
    }
    if let Ok(found) = read(&bytes) {
        let again = read(&cbor(&found)).expect("what serde wrote, it reads");
        assert_eq!(again, found);
        // Whether it opens is the same question as whether its bytes are an object.
        let opened = found.open(&set.params);
        assert_eq!(opened, Ciphertext::from_bytes(&set.params, found.as_bytes()));
    }
}

/// The bytes that an input stands for.
fn bytes<T: Object + 'static>(input: &[u8]) -> Option<(&'static Set, Vec<u8>)> {
    let (&mode, rest) = input.split_first()?;
    let which = usize::from(mode & 1);
    let (set, good) = (&SETS[which], &good::<T>()[which]);
    let good = good.get(usize::from(mode >> 3) % good.len().max(1));
    let bytes = match (mode >> 1 & 3, good) {
        (0, _) | (_, None) => rest.to_vec(),
        (1, Some(good)) => [&good[..good.len().min(20)], rest].concat(),
        (_, Some(good)) => edited(good.clone(), rest),
    };
    Some((set, bytes))
}

/// A good object with edits: four bytes each, what to do, where, and the value.
fn edited(mut bytes: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(4) {
        let [what, low, high, value] = [edit[0], edit[1], edit[2], edit[3]];
        // Half of the edits go to the fields before the residues.
        let range = if what & 0x80 == 0 { bytes.len().min(100) } else { bytes.len() };
        let at = usize::from(u16::from_le_bytes([low, high])) % range.max(1);
        match what % 8 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, value),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.push(value),
            4 => bytes.iter_mut().skip(at).for_each(|b| *b = value),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = value),
        }
    }
    bytes
}

impl Object for Ciphertext {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let three = set.fresh.multiply(&set.fresh).expect("the same set");
        let mut low = set.fresh.clone();
        low.drop_to(0).expect("a level below");
        [&set.fresh, &three, &low].map(Wire::to_bytes).to_vec()
    }

    fn exercise(mut self, set: &Set) {
        let scale = set.params.scale();
        let raw = set.secret.decrypt_raw(&self).expect("the same set");
        for bits in [0, 20, u32::MAX] {
            drop(raw.decode_public(bits));
        }
        drop((raw.slots_raw(), raw.decode_integers(set.params.n())));
        drop((self.add(&set.fresh), self.sub(&self), self.multiply(&set.fresh), self.rescaled()));
        drop(self.bring_to(0, &scale, 0.5));
        drop(self.add_constant(0.25));
        drop(self.mul_constant(f64::MAX, &scale));
        self.negate();
        if set.switches() {
            drop((self.relinearise(&set.relin()), self.relinearise_rescale(&set.relin())));
        }
        let share = set.secret.to_share();
        if let Ok(partial) = share.partial(&self, &set.smudging, &mut rng()) {
            let one = ActiveSet::new(&[1]).expect("ascending");
            drop(PartialDecryption::combine(&self, &one, &[partial]));
        }
    }
}

impl Object for SeededCiphertext {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let m = Plaintext::from_integers(&set.params, &[1, -2], &set.params.scale()).expect("small values");
        vec![set.secret.encrypt_under(&m, &set.common, &mut rng()).expect("the same set").to_bytes()]
    }

    fn exercise(self, set: &Set) {
        drop(self.clone().expand_with(&set.common));
        for dropped in [0, 13, u32::MAX] {
            if let Ok(live) = self.clone().into_live(3, dropped) {
                live.exercise(set);
            }
        }
        self.expand().exercise(set);
    }
}

impl Object for PublicKey {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        vec![Self::generate(&set.secret, &mut rng()).to_bytes()]
    }

    fn exercise(self, set: &Set) {
        let m = Plaintext::from_integers(&set.params, &[1], &set.params.scale()).expect("small values");
        self.encrypt(&m, 0, &mut rng()).expect("the same set").exercise(set);
    }
}

impl Object for RelinKey {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        if !set.switches() {
            return Vec::new();
        }
        let secrets = [&set.secret];
        let mut rng = rng();
        let ceremonies =
            secrets.map(|s| RelinCeremony::new(s, Seed([1; 32]), &mut rng).expect("a special prime"));
        let firsts = ceremonies.each_ref().map(|c| c.first(&mut rng));
        let seconds = ceremonies.each_ref().map(|c| c.second(&firsts, &mut rng).expect("one ceremony"));
        let collective = Self::collective(&firsts, &seconds).expect("one ceremony");
        vec![set.relin().to_bytes(), collective.to_bytes()]
    }

    fn exercise(self, set: &Set) {
        drop(set.fresh.square_rescale(&self));
    }
}

impl Object for GaloisKey {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let which =
            if set.switches() { vec![Automorphism::Rotation(-1), Automorphism::Conjugation] } else { vec![] };
        let key = |a| Self::generate(&set.secret, a, &mut rng()).expect("a special prime");
        which.into_iter().map(|a| key(a).to_bytes()).collect()
    }

    fn exercise(self, set: &Set) {
        let automorphism = self.automorphism();
        let keys = GaloisKeys::from_iter([self]);
        let out = match automorphism {
            Automorphism::Rotation(k) => set.fresh.rotate(k, &keys),
            Automorphism::Conjugation => set.fresh.conjugate(&keys),
        };
        out.expect("its own key is there");
    }
}

impl Object for LiveCiphertext {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let m = Plaintext::from_integers(&set.params, &[1, -2], &set.params.scale()).expect("small values");
        let live = |live, dropped| {
            set.secret.encrypt_live(&m, &set.common, live, dropped, &mut rng()).expect("few values")
        };
        vec![live(7, 13).to_bytes(), live(1, 0).to_bytes()]
    }

    fn exercise(self, set: &Set) {
        let mut sum = self.clone();
        sum.add_assign(&self).expect("itself");
        let shares = set.secret.share(&set.members, &mut rng());
        let partials = shares.iter().map(|share| {
            let share = share.expand();
            share.partial_live(&set.common, sum.live(), sum.dropped(), &set.smudging, &mut rng())
        });
        if let Ok(partials) = partials.collect::<Result<Vec<_>, _>>() {
            drop(combine_live(&sum, &set.members, &partials));
        }
    }
}

impl Object for DealtShare {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        set.secret.share(&set.members, &mut rng()).iter().map(Wire::to_bytes).collect()
    }

    fn exercise(self, set: &Set) {
        let mut share = self.expand();
        share.add_assign(&set.secret.to_share()).expect("the same set");
        share.partial(&set.fresh, &set.smudging, &mut rng()).expect("two parts").exercise(set);
    }
}

impl Object for PartialDecryption {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let partial = set.secret.to_share().partial(&set.fresh, &set.smudging, &mut rng());
        vec![partial.expect("two parts").to_bytes()]
    }

    fn exercise(self, set: &Set) {
        if let Ok(raw) = Self::combine(&set.fresh, &set.members, &[self.clone(), self]) {
            drop(raw.decode_public(20));
        }
    }
}

impl Object for LivePartial {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let share = set.secret.to_share();
        let partial =
            |live, dropped| share.partial_live(&set.common, live, dropped, &set.smudging, &mut rng());
        [partial(7, 13), partial(1, 0)].map(|p| p.expect("few values").to_bytes()).to_vec()
    }

    fn exercise(self, set: &Set) {
        let m = Plaintext::from_integers(&set.params, &[1, -2], &set.params.scale()).expect("small values");
        let sum = set.secret.encrypt_live(&m, &set.common, self.live(), 13, &mut rng());
        drop(combine_live(&sum.expect("few values"), &set.members, &[self.clone(), self]));
    }
}

impl Object for KeyShare {
    fn good(set: &Set) -> Vec<Vec<u8>> {
        let (secret, seed, mut rng) = (&set.secret, Seed([2; 32]), rng());
        let mut out = vec![Self::public(secret, seed, &mut rng).to_bytes()];
        if set.switches() {
            let galois = Self::galois(secret, Automorphism::Conjugation, seed, &mut rng);
            let ceremony = RelinCeremony::new(secret, seed, &mut rng).expect("a special prime");
            let first = ceremony.first(&mut rng);
            let second = ceremony.second(std::slice::from_ref(&first), &mut rng).expect("one ceremony");
            out.extend([galois.expect("a special prime"), first, second].map(|share| share.to_bytes()));
        }
        out
    }

    fn exercise(self, set: &Set) {
        let both = [self.clone(), self];
        drop((PublicKey::collective(&both), RelinKey::collective(&both, &both)));
        drop(GaloisKey::collective(Automorphism::Rotation(1), &both));
        if set.switches() {
            let mut rng = rng();
            let ceremony = RelinCeremony::new(&set.secret, Seed([2; 32]), &mut rng).expect("a special prime");
            drop(ceremony.second(&both, &mut rng));
        }
    }
}
