//! Mode `sum` from end to end, without a network: keys are dealt, loads encrypted, added and opened; and attacked.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test file: small numbers, and a panic is the report"
)]

use std::collections::BTreeMap;

use ckks::{CommonPart, LiveCiphertext, LivePartial, Params, Plaintext, SecretKey, Seed, Wire};
use grid::sum::{
    GridKey, KeyShares, Layout, Loads, OpenError, Statistics, SumsError, Total, Vector, open, params,
};
use protocol::release::result::Pieces;
use protocol::roster::Roster;
use protocol::shamir::Point;
use protocol::unit::{Slot, SlotRange};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

#[path = "sum/rosters.rs"]
mod rosters;

/// A day of quarter-hours.
fn day() -> SlotRange {
    SlotRange::new(Slot(96 * 20_000), Slot(96 * 20_001)).unwrap()
}

/// A group of meters whose keys are dealt.
struct Group {
    roster: Roster,
    keys: Vec<GridKey>,
    seeds: Vec<Zeroizing<[u8; 32]>>,
    loads: Vec<Vec<i64>>,
    vectors: Vec<Vec<u8>>,
    shares: BTreeMap<Point, KeyShares>,
    rng: ChaCha20Rng,
}

impl Group {
    fn new(n: usize, t: usize, members: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let roster = rosters::roster(n, t);
        let mut shares: BTreeMap<Point, KeyShares> =
            roster.points().into_iter().map(|point| (point, KeyShares::zero(&roster, point))).collect();
        let (mut keys, mut seeds) = (Vec::new(), Vec::new());
        let (mut loads, mut vectors) = (Vec::new(), Vec::new());
        for _ in 0..members {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *seed);
            let key = GridKey::from_seed(&seed);
            for (point, dealt) in roster.points().into_iter().zip(key.deal(&roster, &mut rng)) {
                shares.get_mut(&point).unwrap().add(&KeyShares::parse(&dealt, &roster, point).unwrap());
            }
            let of_slots: Vec<i64> = (0..96).map(|_| rng.random_range(0..4_000)).collect();
            vectors.push(key.encrypt(&Loads::new(of_slots.clone(), 7).unwrap(), day(), &roster, &mut rng));
            loads.push(of_slots);
            keys.push(key);
            seeds.push(seed);
        }
        Self { roster, keys, seeds, loads, vectors, shares, rng }
    }

    /// Every aggregator's pieces.
    fn pieces(&mut self) -> BTreeMap<Point, Pieces> {
        let mut total = Total::default();
        for bytes in &self.vectors {
            total.add(&Vector::parse(bytes, day(), &self.roster).unwrap()).unwrap();
        }
        let (roster, rng) = (&self.roster, &mut self.rng);
        self.shares
            .iter()
            .map(|(point, shares)| (*point, shares.pieces(&total, day(), roster, rng).unwrap()))
            .collect()
    }

    /// The sums of the plaintext.
    fn energies(&self) -> Vec<i64> {
        (0..96).map(|t| self.loads.iter().map(|of_slots| of_slots[t]).sum()).collect()
    }
}

/// Sums are exact, whoever is away, as long as a quorum is there; statistics are those of the plaintext.
#[test]
fn sums_are_exact() {
    for (n, t, members) in [(4, 2, 13), (5, 3, 3), (7, 3, 2), (2, 2, 2), (3, 2, 1)] {
        let mut group = Group::new(n, t, members, 1);
        let (energies, squares): (Vec<i64>, Vec<i64>) = (
            group.energies(),
            (0..96).map(|t| group.loads.iter().map(|of_slots| of_slots[t] * of_slots[t]).sum()).collect(),
        );
        assert!(group.vectors.iter().all(|bytes| bytes.len() <= 226 * 9 + 96));
        let all = group.pieces();
        let away: Vec<Point> = all.keys().take(n - group.roster.q()).copied().collect();
        for missing in 0..=away.len() {
            let mut pieces = all.clone();
            pieces.retain(|point, _| !away[..missing].contains(point));
            let opened = open(&pieces, day(), &group.roster).unwrap();
            assert_eq!(opened.faulty, []);
            let sums = Layout::new(96).take_apart(&opened.values, members).unwrap();
            assert_eq!((&sums.energies, &sums.squares), (&energies, &squares), "n = {n}, {missing} away");
            let statistics = Statistics::of(&sums);
            for (t, slot) in statistics.slots.iter().enumerate() {
                let m = members as f64;
                let mean = energies[t] as f64 / m;
                let direct = group.loads.iter().map(|x| (x[t] as f64 - mean).powi(2)).sum::<f64>() / m;
                assert!((slot.variance - direct).abs() <= 1e-6 * direct, "slot {t}");
            }
        }
        let mut pieces = all;
        pieces.retain(|point, _| !away.contains(point));
        pieces.pop_first();
        assert!(matches!(open(&pieces, day(), &group.roster), Err(OpenError::TooFew { .. })));
    }
}

/// An aggregator that gives a false sum, false partial decryptions or none that can be read is found out and named.
#[test]
fn liars_are_named() {
    for (n, t) in [(4, 2), (5, 3)] {
        let mut group = Group::new(n, t, 3, 2);
        let honest = group.pieces();
        let values = open(&honest, day(), &group.roster).unwrap().values;
        for liar in group.roster.points() {
            let other = Group::new(n, t, 3, 3).pieces().remove(&liar).unwrap();
            let truth = &honest[&liar];
            let lies = [
                Pieces { sum: other.sum.clone(), ..truth.clone() },
                Pieces { partials: other.partials.clone(), ..truth.clone() },
                Pieces { partials: truth.partials[1..].to_vec(), ..truth.clone() },
                Pieces { partials: vec![ByteBuf::new(); truth.partials.len()], ..truth.clone() },
            ];
            for (number, lie) in lies.into_iter().enumerate() {
                let mut pieces = honest.clone();
                pieces.insert(liar, lie.clone());
                let opened = open(&pieces, day(), &group.roster);
                let opened =
                    opened.unwrap_or_else(|error| panic!("n = {n}, lie {number} of {liar}: {error}"));
                assert_eq!((opened.values, opened.faulty), (values.clone(), vec![liar]), "lie {number}");
                // With another one away it is noticed, and nothing is guessed.
                let away = group.roster.points().into_iter().find(|point| *point != liar).unwrap();
                pieces.remove(&away);
                assert!(open(&pieces, day(), &group.roster).is_err(), "lie {number} with {away} away");
            }
        }
    }
}

/// Who lies to one active set only could be either of its members: the sum is right, and nobody is framed.
#[test]
fn a_lie_to_one_set_frames_nobody() {
    let mut group = Group::new(4, 2, 3, 10);
    let mut pieces = group.pieces();
    let values = open(&pieces, day(), &group.roster).unwrap().values;
    let first = pieces.values_mut().next().unwrap();
    *first.partials[0].last_mut().unwrap() ^= 0x40;
    let opened = open(&pieces, day(), &group.roster).unwrap();
    assert_eq!((opened.values, opened.faulty), (values, Vec::new()));
}

/// A shift that a liar makes the same in all its answers does not pass for the truth either.
#[test]
fn a_consistent_lie_is_found_out() {
    let mut group = Group::new(4, 2, 3, 4);
    let honest = group.pieces();
    let values = open(&honest, day(), &group.roster).unwrap().values;
    // The liar answers for another sum: every set with it opens to the same false value.
    let mut total = Total::default();
    for bytes in group.vectors.iter().chain(&group.vectors[..1]) {
        total.add(&Vector::parse(bytes, day(), &group.roster).unwrap()).unwrap();
    }
    let liar = *group.shares.keys().last().unwrap();
    let mut doubled = group.shares[&liar].clone();
    doubled.add(&group.shares[&liar]);
    let lie = doubled.pieces(&total, day(), &group.roster, &mut group.rng).unwrap();
    let mut pieces = honest.clone();
    pieces.insert(liar, Pieces { sum: honest[&liar].sum.clone(), ..lie });
    let opened = open(&pieces, day(), &group.roster).unwrap();
    assert_eq!((opened.values, opened.faulty), (values, vec![liar]));
}

/// What is no load vector of the interval is refused: transparent, foreign, too long, too short, of another interval.
#[test]
fn foreign_ciphertexts_are_refused() {
    let group = Group::new(4, 2, 1, 5);
    let (roster, good) = (&group.roster, &group.vectors[0]);
    assert!(Vector::parse(good, day(), roster).is_ok());
    let next = SlotRange::new(day().end(), Slot(day().end().0 + 96)).unwrap();
    assert!(Vector::parse(good, next, roster).is_err(), "a replay for another day");
    assert!(Vector::parse(good, day(), &rosters::roster_of("other", 4, 2)).is_err(), "another deployment's");
    assert!(
        Vector::parse(good, day(), &rosters::roster(5, 3)).is_ok(),
        "members may be under several rosters"
    );
    let half = SlotRange::new(day().start(), Slot(day().start().0 + 48)).unwrap();
    assert!(Vector::parse(good, half, roster).is_err(), "too many values");
    for len in 0..good.len() {
        assert!(Vector::parse(&good[..len], day(), roster).is_err(), "cut at {len}");
    }
    assert!(Vector::parse(&[&good[..], &[0]].concat(), day(), roster).is_err(), "longer");
    // Another parameter set, with as many values.
    let foreign = Params::sums_2048();
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let secret = SecretKey::generate(&foreign, &mut rng);
    let plaintext = Plaintext::from_integers(&foreign, &[1; 226], &foreign.scale()).unwrap();
    let common = CommonPart::new(&foreign, Seed([0; 32]), foreign.max_level());
    let bytes = secret.encrypt_live(&plaintext, &common, 226, 0, &mut rng).unwrap().to_bytes();
    assert!(Vector::parse(&bytes, day(), roster).is_err(), "foreign parameters");
    assert!(KeyShares::parse(&[0x80], roster, roster.points()[0]).is_err(), "a deal of no shares");
}

/// A meter that encrypts what it likes changes the sum by as much, is noticed where no members could have it, and reads nothing:
/// the common part is nobody's choice, and there is no place for another one in its message.
#[test]
fn a_crafted_vector_spoils_its_sum_only() {
    let mut group = Group::new(4, 2, 15, 7);
    let truth = group.energies();
    // Values far outside of what a meter can have, under its own key: what a collective key would be read with.
    let encrypt = |secret: &SecretKey, genuine: &[u8], rng: &mut ChaCha20Rng| {
        let genuine = LiveCiphertext::from_bytes(params(), genuine).unwrap();
        let common = CommonPart::new(params(), genuine.seed(), genuine.level());
        let huge = Plaintext::from_integers(params(), &vec![1 << 46; 226], &params().scale()).unwrap();
        secret.encrypt_live(&huge, &common, 226, genuine.dropped(), rng).unwrap().to_bytes()
    };
    let own = SecretKey::from_seed(params(), &group.seeds[14]);
    let crafted = encrypt(&own, &group.vectors[14], &mut group.rng);
    let honest = std::mem::replace(&mut group.vectors[14], crafted);
    let opened = open(&group.pieces(), day(), &group.roster).unwrap();
    let layout = Layout::new(96);
    assert!(layout.take_apart(&opened.values, 15).is_err(), "no members make these values");
    // Under a key that was not dealt, the sum opens to nothing.
    let stranger = SecretKey::generate(params(), &mut group.rng);
    group.vectors[14] = encrypt(&stranger, &honest, &mut group.rng);
    let refused = open(&group.pieces(), day(), &group.roster);
    assert_eq!(refused, Err(OpenError::Contradiction { found: 4 }));
    // The next sum is right again: nothing but this one was spoilt.
    group.vectors[14] = honest;
    let opened = open(&group.pieces(), day(), &group.roster).unwrap();
    assert_eq!(layout.take_apart(&opened.values, 15).unwrap().energies, truth);
    // A lie within what a meter can have changes this sum by just that, for the shares' curve to contradict.
    let lie = Loads::new(vec![32_000; 96], 0).unwrap();
    let (key, roster) = (&group.keys[0], &group.roster);
    group.vectors[0] = key.encrypt(&lie, day(), roster, &mut group.rng);
    let opened = open(&group.pieces(), day(), &group.roster).unwrap();
    let sums = layout.take_apart(&opened.values, 15).unwrap();
    let shifted: Vec<i64> = truth.iter().zip(&group.loads[0]).map(|(sum, x)| sum - x + 32_000).collect();
    assert_eq!(sums.energies, shifted);
    // A vector of histograms that count nobody is no vector of loads.
    let mut hollow: Vec<i128> = opened.values;
    hollow[192..208].fill(0);
    assert_eq!(layout.take_apart(&hollow, 15), Err(SumsError::Histogram { index: 192 }));
}

/// Answers of several active sets about one sum differ by noise alone: whoever asks again learns nothing of a share, as it
/// would where one sharing served all sets.
#[test]
fn another_active_set_reveals_nothing() {
    let mut group = Group::new(4, 2, 2, 8);
    let pieces = group.pieces();
    // The last aggregator's answers for the sets {1,4}, {2,4}, {3,4}. Were they of one share they would differ by noise, in
    // their low bits. They are of independent shares, so their difference is uniform modulo Q in every bit.
    let last = pieces.values().last().unwrap();
    let parsed: Vec<Vec<u8>> = last.partials.iter().map(|bytes| bytes.to_vec()).collect();
    assert_eq!(parsed.len(), 3);
    for pair in [(0, 1), (0, 2), (1, 2)] {
        let same =
            parsed[pair.0].iter().zip(&parsed[pair.1]).rev().take(2_000).filter(|(a, b)| a == b).count();
        // Bytes of independent uniform values agree in one of 256 places: 7.8 ± 2.8 of 2,000.
        assert!(same < 30, "{same} of 2000 bytes agree");
    }
    assert!(parsed.iter().all(|bytes| LivePartial::from_bytes(params(), bytes).is_ok()));
    // And what they add up to with the other member's is one sum, exactly.
    let opened = open(&pieces, day(), &group.roster).unwrap();
    assert_eq!(opened.values[..96], group.energies().iter().map(|x| i128::from(*x)).collect::<Vec<_>>());
}

/// The noise of an opening does not show in what is opened: two openings of one sum give the same integers.
#[test]
fn opened_values_carry_no_noise() {
    let mut group = Group::new(4, 2, 3, 9);
    let (first, second) = (group.pieces(), group.pieces());
    assert_ne!(first, second);
    assert_eq!(open(&first, day(), &group.roster), open(&second, day(), &group.roster));
    assert!(grid::sum::log_failure(1 << 14, 3) < -40.0);
}
