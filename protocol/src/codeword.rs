//! The codeword check: names a meter that deals badly, at intake, without a second message from it.
//!
//! With r_j = H(rid, j) aggregator i publishes c_i = Σ r_j·share_i\[j\] + share_i\[ρ\] in its receipt. The r_j are
//! fixed only once the boxes are (rid covers their hashes), so a dealer can't aim at them; honest c_i lie on one
//! polynomial of degree t − 1; and ρ, uniform and used once, makes that polynomial independent of the readings.
//! A vector that is off any polynomial passes with probability 1/p.
//!
//! # What check values prove
//!
//! Aggregators may lie too, and some may not have answered. Let m of n values be known, and let at most f aggregators lie
//! ([`Roster::liars`](crate::roster::Roster::liars)). A set L of aggregators *explains* a record if its values without those
//! of L lie on one polynomial of degree < t. Were the meter honest, then those who lie would explain it, for what the others
//! say lies on the polynomial that it dealt. So:
//!
//! 1. **No f aggregators explain it: the meter dealt badly**, whoever lies ([`Verdict::Bad`]). And only then: if L explains it,
//!    a meter that dealt the polynomial of the others, and aggregators L that lie, say just this.
//! 2. **Some do, and all of them have aggregator p among them:** the meter dealt badly, or p lies ([`Verdict::Odd`]). Which of
//!    the two is open, and stays open: p alone knows what it was dealt.
//! 3. **Some do, and they have nobody in common:** a value is wrong, and it is open whose ([`Verdict::Unclear`]).
//!
//! *Missing answers change nothing in 1 and 2.* Who explains a word explains every part of it, so with each answer explanations
//! are lost and none is gained: what none explains none will explain, and who is in all stays in all.
//!
//! *How many answers it takes.* Any t values lie on some polynomial, so that any m − t aggregators explain a word: below
//! m = t + f + 1 nothing is proved. Of n = 4, t = 2, f = 1 all four values are needed. Three of them that don't lie on a line are
//! explained by each of the three: one that lies looks like a meter that deals badly, while the fourth is away.
//!
//! *Several records of one meter* are explained by L if each of them is: an honest meter's liars explain all of them at once.
//! Two records that are odd at different aggregators prove the dealer bad where f = 1, though each by itself does not
//! ([`explained`]).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::decode::{is_codeword, subsets};
use crate::field::Fe;
use crate::id::Rid;
use crate::shamir::Point;

/// An aggregator's check value c_i for a record: safe to publish.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Check(Fe);

impl Check {
    /// c_i of the shares `[x_0 … x_{B−1}, R_close, ρ]` of record `rid`; 0 for no shares.
    pub fn of(rid: &Rid, shares: &[Fe]) -> Self {
        let Some((mask, values)) = shares.split_last() else { return Self(Fe::ZERO) };
        let sum =
            values.iter().zip(0_u32..).fold(Fe::ZERO, |sum, (&share, j)| sum + challenge(rid, j) * share);
        Self(sum + *mask)
    }

    /// Its residue, in `0..p`.
    pub fn to_canonical(self) -> u64 {
        self.0.to_canonical()
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.to_canonical())
    }
}

impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Fe::from_canonical(value).map(Self).ok_or_else(|| de::Error::custom("a check value is not below p"))
    }
}

/// r_j = the first 64 bits of SHA-256(`"wv/1 check" ‖ rid ‖ j`), reduced.
fn challenge(rid: &Rid, j: u32) -> Fe {
    let digest = Sha256::new()
        .chain_update(crate::PROTOCOL)
        .chain_update(" check")
        .chain_update(rid.as_bytes())
        .chain_update(j.to_be_bytes())
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Fe::from_u64(u64::from_le_bytes(first))
}

/// The check values of one record, one an aggregator.
pub type Word = Vec<(Point, Check)>;

/// What the check values of one record say; see [the module](self) for why.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// Fewer than t + 1 values, which lie on some polynomial whatever was dealt.
    TooFew,
    /// All lie on one polynomial of degree t − 1.
    Consistent,
    /// They don't, and who is wrong is open: more values may tell.
    Unclear,
    /// These do not lie on the polynomial of the others, whoever lies: the meter dealt to them badly, or they say so.
    Odd(Vec<Point>),
    /// The meter dealt badly, whoever lies.
    Bad,
}

impl Verdict {
    /// Whether a value is wrong.
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Unclear | Self::Odd(_) | Self::Bad)
    }
}

/// Judges the check values of one record at threshold `t`, at most `liars` of the aggregators lying.
///
/// An interpolation while all is well; else one for each set of `liars` among each m − 1 of the values.
pub fn judge(word: &[(Point, Check)], t: usize, liars: usize) -> Verdict {
    if word.len() <= t {
        return Verdict::TooFew;
    }
    if fits(word, &[], t) {
        return Verdict::Consistent;
    }
    let words = &[word.to_vec()];
    let points: Vec<Point> = word.iter().map(|(point, _)| *point).collect();
    if !explained(words, &points, t, liars) {
        return Verdict::Bad;
    }
    let others = |point: &Point| points.iter().copied().filter(|other| other != point).collect::<Vec<_>>();
    let odd: Vec<Point> =
        points.iter().copied().filter(|point| !explained(words, &others(point), t, liars)).collect();
    if odd.is_empty() { Verdict::Unclear } else { Verdict::Odd(odd) }
}

/// Whether some `liars` of the aggregators at `points` explain all `words`, the check values of records of one meter. If
/// none do of all aggregators, the meter dealt badly.
pub fn explained(words: &[Word], points: &[Point], t: usize, liars: usize) -> bool {
    // Whoever explains it does so together with others, so that sets of one size are enough.
    subsets(points.len(), liars.min(points.len())).any(|subset| {
        let lying: Vec<Point> = subset.into_iter().map(|i| points[i]).collect();
        words.iter().all(|word| fits(word, &lying, t))
    })
}

/// Whether the values of a word without those of some aggregators lie on one polynomial of degree < t.
fn fits(word: &[(Point, Check)], without: &[Point], t: usize) -> bool {
    let rest: Vec<(Point, Fe)> = word
        .iter()
        .filter(|(point, _)| !without.contains(point))
        .map(|(point, check)| (*point, check.0))
        .collect();
    is_codeword(&rest, t)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::shamir::split;

    fn dealt(rng: &mut ChaCha20Rng) -> (Rid, Vec<zeroize::Zeroizing<Vec<Fe>>>) {
        let secrets: Vec<Fe> = [831, 835, 0, 12, 4_711, 99].map(Fe::from_u64).to_vec();
        (Rid::from([7; 32]), split(&secrets, 2, &Point::first(4), rng))
    }

    fn checks(rid: &Rid, shares: &[zeroize::Zeroizing<Vec<Fe>>]) -> Word {
        Point::first(4).into_iter().zip(shares.iter().map(|s| Check::of(rid, s))).collect()
    }

    /// Honest shares are consistent; one bad element to one aggregator is named in 200 of 200 trials; two bad
    /// vectors are noticed.
    #[test]
    fn names_a_bad_dealer() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for trial in 0_usize..200 {
            let (rid, mut shares) = dealt(&mut rng);
            assert_eq!(judge(&checks(&rid, &shares), 2, 1), Verdict::Consistent);
            shares[trial % 4][trial % 6] += Fe::ONE;
            assert_eq!(judge(&checks(&rid, &shares), 2, 1), Verdict::Odd(vec![Point::first(4)[trial % 4]]));
            shares[(trial + 1) % 4][trial % 5] += Fe::random(&mut rng) * Fe::from_u64(2) + Fe::ONE;
            let word = checks(&rid, &shares);
            assert_eq!(judge(&word, 2, 1), Verdict::Bad);
            assert_eq!(judge(&word[..3], 2, 1), Verdict::Unclear);
            assert_eq!(judge(&word[..2], 2, 1), Verdict::TooFew);
        }
    }

    /// Every word that is off a polynomial of degree < t by 0, 1 or 2 at the points of `mask`.
    fn words_off(polynomial: &[Fe], mask: u32) -> impl Iterator<Item = Word> {
        let points: Vec<Point> = Point::first(5)
            .into_iter()
            .enumerate()
            .filter(|(i, _)| mask >> i & 1 == 1)
            .map(|(_, p)| p)
            .collect();
        let on: Word = points.iter().map(|point| (*point, Check(value_at(polynomial, *point)))).collect();
        (0..3_u64.pow(u32::try_from(on.len()).unwrap())).map(move |code| {
            let off = |i: usize| Fe::from_u64(code / 3_u64.pow(u32::try_from(i).unwrap()) % 3);
            on.iter().enumerate().map(|(i, (point, check))| (*point, Check(check.0 + off(i)))).collect()
        })
    }

    fn value_at(polynomial: &[Fe], point: Point) -> Fe {
        polynomial.iter().rev().fold(Fe::ZERO, |value, c| value * point.to_fe() + *c)
    }

    /// The liars of each history that says just this word: the meter is honest, and at most `liars` lie, whose dealt values
    /// are found by trying every polynomial through t of the values. `None` stands for any t values being too few to tell.
    fn histories(word: &Word, t: usize, liars: usize) -> Option<Vec<Vec<Point>>> {
        // The values of an honest meter's honest aggregators are t or more, or else they could be any.
        if word.len() < t + liars {
            return None;
        }
        let mut found = Vec::new();
        for subset in subsets(word.len(), t) {
            let chosen: Vec<Point> = subset.iter().map(|i| word[*i].0).collect();
            let on = |point: Point| {
                let weights = crate::shamir::lagrange_weights(&chosen, point.to_fe());
                weights.iter().zip(&subset).fold(Fe::ZERO, |sum, (w, i)| sum + *w * word[*i].1.0)
            };
            let lying: Vec<Point> =
                word.iter().filter(|(point, check)| on(*point) != check.0).map(|(point, _)| *point).collect();
            if lying.len() <= liars {
                found.push(lying);
            }
        }
        Some(found)
    }

    /// For every n and t up to 5, up to 2 liars, every set of answers and every pattern of wrong ones: the dealer is called bad
    /// just if no history with an honest one says the same, an aggregator odd just if it lies in all of them, and no further
    /// answer, true or false, takes that back.
    #[test]
    fn verdicts_are_decided_whatever_is_missing() {
        let (mut bad, mut odd, mut unclear) = (0, 0, 0);
        for (n, t, liars) in
            (1..=5_u32).flat_map(|n| (1..=n as usize).flat_map(move |t| (0..=2).map(move |f| (n, t, f))))
        {
            let polynomial: Vec<Fe> = [831, 4_711, 99, 12, 7].into_iter().take(t).map(Fe::from_u64).collect();
            for word in (0..1_u32 << n).flat_map(|mask| words_off(&polynomial, mask)) {
                let verdict = judge(&word, t, liars);
                let context = format!("n = {n}, t = {t}, f = {liars}: {word:?}");
                let histories = histories(&word, t, liars);
                let guilty = |point: &Point| histories.iter().flatten().all(|lying| lying.contains(point));
                match &verdict {
                    Verdict::TooFew => assert!(word.len() <= t, "{context}"),
                    Verdict::Consistent => {
                        assert!(
                            word.len() > t && histories.is_none_or(|of| of.contains(&Vec::new())),
                            "{context}"
                        );
                    }
                    Verdict::Bad => assert_eq!(histories, Some(Vec::new()), "{context}"),
                    Verdict::Odd(points) => {
                        assert!(histories.as_ref().is_some_and(|of| !of.is_empty()), "{context}");
                        assert!(
                            word.iter().all(|(point, _)| points.contains(point) == guilty(point)),
                            "{context}"
                        );
                    }
                    Verdict::Unclear => {
                        assert!(histories.as_ref().is_none_or(|of| !of.is_empty()), "{context}");
                        assert!(
                            histories.is_none() || !word.iter().any(|(point, _)| guilty(point)),
                            "{context}"
                        );
                    }
                }
                bad += u32::from(verdict == Verdict::Bad);
                odd += u32::from(matches!(verdict, Verdict::Odd(_)));
                unclear += u32::from(verdict == Verdict::Unclear);
                for next in
                    Point::first(n as usize).into_iter().filter(|next| word.iter().all(|(p, _)| p != next))
                {
                    for value in (0..3).map(|off| value_at(&polynomial, next) + Fe::from_u64(off)) {
                        let more = judge(&[&word[..], &[(next, Check(value))]].concat(), t, liars);
                        let stays = match (&verdict, &more) {
                            (Verdict::Bad, more) => *more == Verdict::Bad,
                            (Verdict::Odd(_), Verdict::Bad) => true,
                            (Verdict::Odd(points), Verdict::Odd(now)) => {
                                points.iter().all(|p| now.contains(p))
                            }
                            (Verdict::Odd(_), _) => false,
                            (before, more) => before.is_off() <= more.is_off(),
                        };
                        assert!(stays, "{context}, then {more:?}");
                    }
                }
            }
        }
        assert!(bad > 1_000 && odd > 1_000 && unclear > 1_000, "{bad} bad, {odd} odd, {unclear} unclear");
    }

    /// An honest meter is never called bad, nor an honest aggregator odd, by as many liars as are assumed, whoever else is away.
    #[test]
    fn liars_frame_nobody() {
        for (n, t) in (1..=5_usize).flat_map(|n| (1..=n).map(move |t| (n, t))) {
            let liars = crate::roster::tolerated_liars(n, t);
            let polynomial: Vec<Fe> = [831, 4_711, 99, 12, 7].into_iter().take(t).map(Fe::from_u64).collect();
            for word in (0..1_u32 << n).flat_map(|mask| words_off(&polynomial, mask)) {
                let lying: Vec<Point> = word
                    .iter()
                    .filter(|(point, check)| check.0 != value_at(&polynomial, *point))
                    .map(|(point, _)| *point)
                    .collect();
                if lying.len() <= liars {
                    match judge(&word, t, liars) {
                        Verdict::Bad => panic!("n = {n}, t = {t}: {lying:?} frame a meter by {word:?}"),
                        Verdict::Odd(points) => assert!(points.iter().all(|point| lying.contains(point))),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Records that are odd at more aggregators than may lie prove their dealer bad together, and not one by one.
    #[test]
    fn records_prove_together() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let word = |bad: usize, rng: &mut ChaCha20Rng| {
            let (rid, mut shares) = dealt(rng);
            shares[bad][0] += Fe::ONE;
            checks(&rid, &shares)
        };
        let (one, same, other) = (word(1, &mut rng), word(1, &mut rng), word(2, &mut rng));
        let all = Point::first(4);
        assert!(explained(&[one.clone(), same], &all, 2, 1));
        assert!(!explained(&[one, other], &all, 2, 1));
    }

    /// The opened check is uniform whatever the readings are: chi-square over 16 cells at the 1e-6 point.
    #[test]
    fn reveals_nothing() {
        let rid = Rid::from([9; 32]);
        let mut counts = [0_u32; 16];
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        for _ in 0..16_000 {
            let opened = Check::of(&rid, &[Fe::from_u64(831), Fe::from_u64(4_711), Fe::random(&mut rng)]);
            counts[usize::try_from(opened.to_canonical() >> 60).unwrap()] += 1;
        }
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 58.0, "chi-square {chi} with 15 degrees of freedom");
    }
}
