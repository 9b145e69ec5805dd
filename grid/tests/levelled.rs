//! The whole mathematics of mode `levelled` without messages: four aggregators make a key, meters encrypt, anybody evaluates,
//! every active set opens, and plaintext oracles agree.

#![expect(
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test file: a panic is the report, and energies are small"
)]

use grid::levelled::accuracy::{Accuracy, Extent};
use grid::levelled::encryptor::{EncryptError, Encryptor};
use grid::levelled::evaluator::Evaluator;
use grid::levelled::maker::Maker;
use grid::levelled::opening::{self, Values};
use grid::levelled::setup::{CiphertextError, Setup, SetupError};
use grid::levelled::trustee::Trustee;
use protocol::id::{Hash, QueryId};
use protocol::levelled::blob::Blob;
use protocol::levelled::function::Function;
use protocol::levelled::plan::{Plan, Profile};
use protocol::shamir::Point;
use protocol::unit::WattHours;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zeroize::Zeroizing;

const FULL: f64 = 8_192.0;

fn borrowed(all: &[(Point, Vec<u8>)]) -> Vec<(Point, &[u8])> {
    all.iter().map(|(point, bytes)| (*point, &bytes[..])).collect()
}

struct Town {
    setup: Setup,
    encryptor: Encryptor,
    evaluator: Evaluator,
    trustees: Vec<(Point, Trustee)>,
    sets: Vec<Vec<Point>>,
    rng: StdRng,
}

fn plan(profile: Profile, window: u16) -> Plan {
    Plan {
        nonce: QueryId::from([1; 16]),
        profile,
        full_scale: 8_192,
        window,
        k: 2,
        log_openings: 10,
        smudging_bits: 40,
    }
}

impl Town {
    fn new(profile: Profile, n: usize, t: usize) -> Self {
        let setup = Setup::new(&plan(profile, 96)).unwrap();
        let (key, points) = (Hash::from([9; 32]), Point::first(n));
        let maker = |point: &Point| Maker::new(setup.clone(), key, Zeroizing::new([u8::from(*point); 32]));
        let makers: Vec<Maker> = points.iter().map(maker).collect();
        let revealed = |all: Vec<Vec<u8>>| points.iter().copied().zip(all).collect::<Vec<_>>();
        let seeds = revealed(makers.iter().map(Maker::seed).collect());
        let firsts = revealed(makers.iter().map(|m| m.first(&borrowed(&seeds)).unwrap()).collect());
        let public = makers[0].public_key(&borrowed(&firsts)).unwrap();
        let relin = setup.multiplies().then(|| {
            let second = |m: &Maker| m.second(&borrowed(&seeds), &borrowed(&firsts)).unwrap();
            let seconds = revealed(makers.iter().map(second).collect());
            makers[1].relin_key(&borrowed(&firsts), &borrowed(&seconds)).unwrap()
        });
        let trustee = |point: &Point| (*point, Trustee::new(setup.clone(), *point, &points, t).unwrap());
        let mut trustees: Vec<_> = points.iter().map(trustee).collect();
        for maker in &makers {
            for (to, dealt) in maker.deals(&points, t).unwrap() {
                trustees.iter_mut().find(|(point, _)| *point == to).unwrap().1.add(&dealt).unwrap();
            }
        }
        let sets = Point::sets(&points, t);
        Self {
            encryptor: Encryptor::new(setup.clone(), &public).unwrap(),
            evaluator: Evaluator::new(setup.clone(), relin.as_deref()).unwrap(),
            setup,
            trustees,
            sets,
            rng: StdRng::seed_from_u64(5),
        }
    }

    /// Homes' windows as batches of so many slots.
    fn encrypt(&mut self, homes: &[Vec<i64>], batch: usize) -> Vec<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for home in homes {
            let mut uploads = Vec::new();
            for (index, energies) in home.chunks(batch).enumerate() {
                let energies: Vec<WattHours> = energies.iter().map(|e| WattHours(*e)).collect();
                let bytes = self.encryptor.encrypt(index * batch, &energies, &mut self.rng).unwrap();
                assert!(self.setup.fits(&Blob::of(&bytes)));
                uploads.push(bytes);
            }
            all.push(uploads);
        }
        all
    }

    fn evaluate(&self, function: &Function, subjects: &[&[Vec<Vec<u8>>]], backwards: bool) -> Vec<u8> {
        let mut evaluation = self.evaluator.begin(function).unwrap();
        for (index, subject) in subjects.iter().enumerate() {
            let mut members: Vec<_> = subject.iter().collect();
            if backwards {
                members.reverse();
            }
            for member in members {
                evaluation.add(index, member).unwrap();
            }
        }
        evaluation.finish().unwrap()
    }

    /// Opens with one active set.
    fn open(&mut self, function: &Function, extents: &[Extent], result: &[u8], set: &[Point]) -> Values {
        let mut partials = Vec::new();
        for point in set {
            let trustee = &self.trustees.iter().find(|(of, _)| of == point).unwrap().1;
            partials.push((*point, trustee.open(function, extents, result, set, &mut self.rng).unwrap()));
        }
        opening::open(&self.setup, function, extents, result, &partials).unwrap()
    }
}

fn extents(subjects: &[&[Vec<Vec<u8>>]]) -> Vec<Extent> {
    let of = |subject: &&[Vec<Vec<u8>>]| {
        let mut extent = Extent::default();
        subject.iter().for_each(|member| extent.add(member.len()));
        extent
    };
    subjects.iter().map(of).collect()
}

fn homes(count: usize, rng: &mut StdRng) -> Vec<Vec<i64>> {
    (0..count).map(|_| (0..96).map(|_| rng.random_range(0..4_000)).collect()).collect()
}

fn curve(homes: &[Vec<i64>]) -> Vec<f64> {
    (0..96).map(|t| homes.iter().map(|home| home[t] as f64).sum()).collect()
}

fn moments(values: &[f64]) -> [f64; 2] {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    [mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64]
}

fn oracle(function: &Function, subjects: &[&[Vec<i64>]]) -> Vec<f64> {
    let sum = curve(subjects[0]);
    let count = subjects[0].len() as f64;
    let pairs = || sum.iter().copied().zip(curve(subjects[1]));
    match function {
        Function::Sum => sum,
        Function::Mean => sum.iter().map(|s| s / count).collect(),
        Function::Variance => (0..96)
            .map(|t| moments(&subjects[0].iter().map(|home| home[t] as f64).collect::<Vec<_>>())[1])
            .collect(),
        Function::TimeVariance => moments(&sum).to_vec(),
        Function::Max => pairs().map(|(a, b)| a.max(b)).collect(),
        Function::Min => pairs().map(|(a, b)| a.min(b)).collect(),
        Function::Weighted(weights) => {
            vec![sum.iter().zip(weights).map(|(s, w)| s * f64::from(*w)).sum()]
        }
        Function::Forecast(weights) => {
            vec![sum.iter().zip(weights).map(|(s, w)| s * f64::from(*w) / 65_536.0).sum()]
        }
    }
}

fn linear() -> [Function; 2] {
    let prices = (0..96).map(|t| if (64..84).contains(&t) { 50_000 } else { 30_000 }).collect();
    [Function::Weighted(prices), Function::Forecast((0..96).map(|t: i32| t * 137 % 4_001 - 500).collect())]
}

/// Every function of a profile, by every active set, within the estimate; whatever the order of members, the same bytes.
fn holds(profile: Profile, count: usize, batch: usize) {
    let mut town = Town::new(profile, 4, 2);
    let homes = homes(count, &mut town.rng);
    let uploads = town.encrypt(&homes, batch);
    let mut functions = vec![Function::Sum, Function::Mean, Function::Variance, Function::TimeVariance];
    functions.extend(linear());
    functions.retain(|function| town.setup.allows(function));
    for function in &functions {
        let result = town.evaluate(function, &[&uploads], false);
        assert_eq!(result, town.evaluate(function, &[&uploads], true), "{}", function.name());
        let wanted = oracle(function, &[&homes]);
        let extents = extents(&[&uploads]);
        for set in town.sets.clone() {
            let Values { values, error, .. } = town.open(function, &extents, &result, &set);
            assert_eq!(values.len(), wanted.len());
            let worst = values.iter().zip(&wanted).map(|(v, w)| (v - w).abs()).fold(0.0, f64::max);
            let (name, profile) = (function.name(), profile.name());
            println!(
                "{profile} {count} homes, batch {batch}: {name} {set:?} worst {worst:.3e} of {error:.3e}, first {:.3}",
                wanted[0]
            );
            // six deviations of the estimate; the variance over time has the error of a squared mean beside
            let beside = if *function == Function::TimeVariance { 2.0 * wanted[0] } else { 1.0 };
            assert!(worst < 6.0 * error * beside, "{name}: {worst} of {error}");
            // and the estimate is no excuse
            let usual = wanted.iter().map(|w| w.abs()).fold(0.0, f64::max);
            assert!(6.0 * error * beside < usual / 50.0, "{name}: {error} of {usual}");
        }
    }
    assert!(town.evaluator.begin(&Function::Max).is_err());
}

#[test]
fn light_sums() {
    holds(Profile::Light, 16, 20);
}

#[test]
fn medium_computes() {
    holds(Profile::Medium, 16, 20);
}

#[test]
fn strong_computes() {
    holds(Profile::Strong, 5, 96);
}

/// One comparison of two groups' curves, within 2^-8 of full scale.
#[test]
fn largest_compares() {
    let mut town = Town::new(Profile::Largest, 3, 2);
    let (one, other) = (homes(3, &mut town.rng), homes(3, &mut town.rng));
    let (of_one, of_other) = (town.encrypt(&one, 96), town.encrypt(&other, 96));
    for function in [Function::Max, Function::Min] {
        let subjects: [&[_]; 2] = [&of_one, &of_other];
        let result = town.evaluate(&function, &subjects, false);
        let wanted = oracle(&function, &[&one, &other]);
        let set = town.sets[1].clone();
        let Values { values, error, .. } = town.open(&function, &extents(&subjects), &result, &set);
        let worst = values.iter().zip(&wanted).map(|(v, w)| (v - w).abs()).fold(0.0, f64::max);
        let full = 4.0 * FULL;
        println!("{} worst 2^{:.2} of full scale, noise {error:.3e}", function.name(), (worst / full).log2());
        assert!(worst < full / 256.0);
    }
}

/// Plans and batches that can't work are refused before anything is made of them.
#[test]
fn refuses_what_does_not_fit() {
    let refused = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan(Profile::Light, 96);
        change(&mut plan);
        Setup::new(&plan).expect_err("refused")
    };
    assert_eq!(refused(&|p| p.window = 2_049), SetupError::Window { found: 2_049, max: 2_048 });
    assert_eq!(refused(&|p| p.full_scale = 0), SetupError::FullScale(0));
    assert_eq!(refused(&|p| p.k = 1), SetupError::K(1));
    assert!(matches!(refused(&|p| p.smudging_bits = 5), SetupError::Smudging { .. }));
    let mut town = Town::new(Profile::Light, 2, 2);
    let energies = |e: &[i64]| e.iter().map(|e| WattHours(*e)).collect::<Vec<_>>();
    let encrypt =
        |town: &mut Town, offset, e: &[i64]| town.encryptor.encrypt(offset, &energies(e), &mut town.rng);
    assert!(matches!(encrypt(&mut town, 95, &[1, 2]), Err(EncryptError::Window { .. })));
    assert_eq!(encrypt(&mut town, 0, &[-1]), Err(EncryptError::Negative(0)));
    // whether there is a ciphertext, and how long it is, says nothing of what was used
    let lengths = [1, 8_192, 8_193, 32_767].map(|energy| encrypt(&mut town, 0, &[energy]).unwrap().len());
    assert!(lengths.iter().all(|len| *len == lengths[0]), "{lengths:?}");
    let good = encrypt(&mut town, 0, &[8_192]).unwrap();
    let foreign = Setup::new(&plan(Profile::Medium, 96)).unwrap();
    assert!(town.setup.read_ciphertext(&good).is_ok());
    assert!(foreign.read_ciphertext(&good).is_err() && !foreign.fits(&Blob::of(&good)));
    // the second part of a transparent ciphertext is zero
    let mut transparent = good;
    let part = 4_096 * (19 + 18 + 30) / 8;
    let second = transparent.len() - part;
    transparent[second..].fill(0);
    let error = town.setup.read_ciphertext(&transparent).unwrap_err();
    assert_eq!(error, CiphertextError::Wire(ckks::WireError::Transparent));
}

/// A thousand homes: what the estimate says of a medium key.
#[test]
fn a_thousand_homes_have_room() {
    let setup = Setup::new(&plan(Profile::Medium, 96)).unwrap();
    let extent = Extent { members: 1_000, uploads: 5_000, most: 5 };
    for function in [Function::Sum, Function::Variance, Function::TimeVariance].iter().chain(&linear()) {
        let accuracy = Accuracy::of(&setup, function, &[extent]).unwrap();
        for output in accuracy.outputs() {
            println!("{}: ±{:.3e}, {} bits", function.name(), output.error(), output.bits());
        }
    }
}

/// The noise of a comparison, measured with the secret at hand, is within what [`Accuracy`] reckons with.
#[test]
fn comparisons_are_as_quiet_as_estimated() {
    use ckks::{Ciphertext, PublicKey, RelinKey, SecretKey, Sign, Wire};
    use serde_bytes::ByteBuf;
    let setup = Setup::new(&plan(Profile::Largest, 96)).unwrap();
    let mut rng = StdRng::seed_from_u64(8);
    let secret = SecretKey::generate(setup.params(), &mut rng);
    let public = PublicKey::generate(&secret, &mut rng).to_bytes();
    let relin = RelinKey::generate(&secret, &mut rng).unwrap().to_bytes();
    let encryptor = Encryptor::new(setup.clone(), &public).unwrap();
    let evaluator = Evaluator::new(setup.clone(), Some(&relin)).unwrap();
    let homes = homes(2, &mut rng);
    let mut evaluation = evaluator.begin(&Function::Max).unwrap();
    for (subject, home) in homes.iter().enumerate() {
        let energies: Vec<WattHours> = home.iter().map(|e| WattHours(*e)).collect();
        evaluation.add(subject, &[encryptor.encrypt(0, &energies, &mut rng).unwrap()]).unwrap();
    }
    let result = evaluation.finish().unwrap();
    let result: Vec<ByteBuf> = protocol::wire::decode_own(&result).unwrap();
    let result = Ciphertext::from_bytes(setup.params(), &result[0]).unwrap();
    let slots = secret.decrypt_raw(&result).unwrap().real_slots_raw();
    let sign = Sign::medium();
    let mut square = 0.0;
    for (t, slot) in slots.iter().enumerate() {
        let [a, b] = [0, 1].map(|home: usize| homes[home].get(t).map_or(0.0, |e| *e as f64 / FULL));
        let wanted = f64::midpoint(a, b) + (a - b) / 2.0 * sign.value(a - b);
        square += (slot - wanted).powi(2);
    }
    // For noise the embedding is √N times an isometry; real parts have half of it.
    let sigma = (2.0 * square / (slots.len() * setup.params().n()) as f64).sqrt()
        * result.scale().value(setup.params());
    let extent = Extent { members: 1, uploads: 1, most: 1 };
    let accuracy = Accuracy::of(&setup, &Function::Max, &[extent; 2]).unwrap();
    let estimate = accuracy.outputs()[0].sigma();
    println!("comparison: 2^{:.2} measured, 2^{:.2} reckoned with", sigma.log2(), estimate.log2());
    assert!(sigma < estimate && sigma > estimate / 64.0);
}
