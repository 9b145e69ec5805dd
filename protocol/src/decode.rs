//! Reed–Solomon decoding of shared values: the answers of aggregators, some of which may lie.
//!
//! The answers (x_i, y_i) are a word of the code of polynomials of degree < t. With m answers up to
//! e = ⌊(m − t)/2⌋ wrong ones are corrected and named, and up to m − t are detected. For m ≤ 10 trying all
//! t-subsets is the simplest decoder that is obviously right; it is tested against Berlekamp–Welch.

use zeroize::Zeroizing;

use crate::field::Fe;
use crate::shamir::{Point, lagrange_weights};

/// What a word decodes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decoded<T> {
    /// The shared value: the polynomial at 0.
    pub value: T,
    /// The points whose answers do not lie on the polynomial, ascending.
    pub faulty: Vec<Point>,
}

/// Why no value is returned. More answers may mend either.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer answers than coefficients.
    #[error("{found} answers, at least {wanted} are needed")]
    TooFew {
        /// Answers given.
        found: usize,
        /// The threshold t.
        wanted: usize,
    },
    /// Too many answers disagree to tell who is right.
    #[error(
        "{answers} answers disagree and only {correctable} wrong ones can be corrected: waiting for more"
    )]
    Ambiguous {
        /// Answers given.
        answers: usize,
        /// e = ⌊(m − t)/2⌋.
        correctable: usize,
    },
    /// The answers are not vectors of one length.
    #[error("answer of aggregator {point} has {found} elements, {wanted} were asked for")]
    Length {
        /// The aggregator whose answer has another length.
        point: Point,
        /// Its length.
        found: usize,
        /// The length asked for.
        wanted: usize,
    },
}

/// How many wrong answers among `answers` can be corrected at threshold `t`: ⌊(m − t)/2⌋.
pub fn correctable(answers: usize, t: usize) -> usize {
    answers.saturating_sub(t) / 2
}

/// Decodes one value.
///
/// # Errors
///
/// [`DecodeError::TooFew`], [`DecodeError::Ambiguous`].
pub fn decode(answers: &[(Point, Fe)], t: usize) -> Result<Decoded<Fe>, DecodeError> {
    let (points, values): (Vec<Point>, Vec<Fe>) = answers.iter().copied().unzip();
    decoder(points, t).decode(&values)
}

/// Decodes a vector element by element and names everyone who was wrong in any of them.
///
/// Weights are computed once; an element costs t · (m − t + 1) multiplications while the same answers are right.
///
/// # Errors
///
/// As [`decode`], and [`DecodeError::Length`] for an answer of another length than `len`.
pub fn decode_vector(
    answers: &[(Point, Zeroizing<Vec<Fe>>)],
    t: usize,
    len: usize,
) -> Result<Decoded<Vec<Fe>>, DecodeError> {
    if let Some((point, answer)) = answers.iter().find(|(_, answer)| answer.len() != len) {
        return Err(DecodeError::Length { point: *point, found: answer.len(), wanted: len });
    }
    let mut decoder = decoder(answers.iter().map(|(point, _)| *point).collect(), t);
    let mut decoded = Decoded { value: Vec::with_capacity(len), faulty: Vec::new() };
    let mut values = Zeroizing::new(vec![Fe::ZERO; answers.len()]);
    for j in 0..len {
        for (value, (_, answer)) in values.iter_mut().zip(answers) {
            *value = answer[j];
        }
        let element = decoder.decode(&values)?;
        decoded.value.push(element.value);
        decoded.faulty.extend(element.faulty);
    }
    decoded.faulty.sort_unstable();
    decoded.faulty.dedup();
    Ok(decoded)
}

/// Decodes words of one set of points. At most one polynomial agrees with m − e of them, so it does not matter which
/// t-subset finds it: the one that found the last is tried first.
struct Decoder<S> {
    points: Vec<Point>,
    t: usize,
    /// The subsets tried so far, in front the one that was right last.
    tried: Vec<Interpolation>,
    untried: S,
}

/// The weights that give a polynomial's other values from those at a t-subset of the points.
struct Interpolation {
    subset: Vec<usize>,
    at_zero: Vec<Fe>,
    at_others: Vec<(usize, Vec<Fe>)>,
}

fn decoder(points: Vec<Point>, t: usize) -> Decoder<impl Iterator<Item = Vec<usize>>> {
    let untried = subsets(points.len(), t);
    Decoder { points, t, tried: Vec::new(), untried }
}

impl<S: Iterator<Item = Vec<usize>>> Decoder<S> {
    fn decode(&mut self, values: &[Fe]) -> Result<Decoded<Fe>, DecodeError> {
        let found = self.points.len();
        if found < self.t {
            return Err(DecodeError::TooFew { found, wanted: self.t });
        }
        let correctable = correctable(found, self.t);
        let mut next = 0;
        loop {
            if next == self.tried.len() {
                let subset =
                    self.untried.next().ok_or(DecodeError::Ambiguous { answers: found, correctable })?;
                self.tried.push(Interpolation::through(subset, &self.points));
            }
            if let Some(faulty) = self.tried[next].disagreeing(values, correctable) {
                let value = self.tried[next].value_at_zero(values);
                self.tried.swap(0, next);
                let mut faulty: Vec<Point> = faulty.into_iter().map(|i| self.points[i]).collect();
                faulty.sort_unstable();
                return Ok(Decoded { value, faulty });
            }
            next += 1;
        }
    }
}

impl Interpolation {
    fn through(subset: Vec<usize>, points: &[Point]) -> Self {
        let chosen: Vec<Point> = subset.iter().map(|&i| points[i]).collect();
        let others = (0..points.len()).filter(|i| !subset.contains(i));
        let at_others = others.map(|i| (i, lagrange_weights(&chosen, points[i].to_fe()))).collect();
        Self { at_zero: lagrange_weights(&chosen, Fe::ZERO), at_others, subset }
    }

    fn value_at_zero(&self, values: &[Fe]) -> Fe {
        self.combined(&self.at_zero, values)
    }

    /// The answers that are off the polynomial, unless they are more than `most`.
    fn disagreeing(&self, values: &[Fe], most: usize) -> Option<Vec<usize>> {
        let mut faulty = Vec::new();
        for (i, weights) in &self.at_others {
            if self.combined(weights, values) != values[*i] {
                if faulty.len() == most {
                    return None;
                }
                faulty.push(*i);
            }
        }
        Some(faulty)
    }

    fn combined(&self, weights: &[Fe], values: &[Fe]) -> Fe {
        weights.iter().zip(&self.subset).fold(Fe::ZERO, |sum, (&w, &i)| sum + w * values[i])
    }
}

/// Whether all answers lie on one polynomial of degree < t, as any t do.
pub(crate) fn is_codeword(answers: &[(Point, Fe)], t: usize) -> bool {
    let (points, values): (Vec<Point>, Vec<Fe>) = answers.iter().copied().unzip();
    points.len() <= t || Interpolation::through((0..t).collect(), &points).disagreeing(&values, 0).is_some()
}

/// All `size`-subsets of `0..n`, in lexicographic order.
pub(crate) fn subsets(n: usize, size: usize) -> impl Iterator<Item = Vec<usize>> {
    let mut next: Option<Vec<usize>> = (size <= n).then(|| (0..size).collect());
    std::iter::from_fn(move || {
        let current = next.take()?;
        next = (0..size).rev().find(|&i| current[i] < n - size + i).map(|i| {
            let mut successor = current.clone();
            successor[i] += 1;
            for j in i + 1..size {
                successor[j] = successor[j - 1] + 1;
            }
            successor
        });
        Some(current)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::shamir::split;

    /// Berlekamp–Welch: finds E (monic, degree e) and N (degree < t + e) with N(x_i) = y_i·E(x_i); f = N/E.
    fn berlekamp_welch(answers: &[(Point, Fe)], t: usize) -> Option<Fe> {
        for e in (0..=correctable(answers.len(), t)).rev() {
            let unknowns = t + 2 * e;
            let mut rows: Vec<Vec<Fe>> = answers
                .iter()
                .map(|&(point, y)| {
                    let x = point.to_fe();
                    let mut row: Vec<Fe> = (0..t + e).map(|k| x.pow(k as u64)).collect();
                    row.extend((0..e).map(|k| -(y * x.pow(k as u64))));
                    row.push(y * x.pow(e as u64));
                    row
                })
                .collect();
            if let Some(solution) = solve(&mut rows, unknowns) {
                let numerator = &solution[..t + e];
                let mut divisor = solution[t + e..].to_vec();
                divisor.push(Fe::ONE);
                if let Some(f) = divide(numerator, &divisor) {
                    let wrong = answers
                        .iter()
                        .filter(|(p, y)| f.iter().rev().fold(Fe::ZERO, |v, &c| v * p.to_fe() + c) != *y)
                        .count();
                    if wrong <= correctable(answers.len(), t) && f.len() <= t {
                        return Some(f.first().copied().unwrap_or(Fe::ZERO));
                    }
                }
            }
        }
        None
    }

    fn solve(rows: &mut [Vec<Fe>], unknowns: usize) -> Option<Vec<Fe>> {
        let mut pivots = Vec::new();
        let mut rank = 0;
        for column in 0..unknowns {
            let Some(row) = (rank..rows.len()).find(|&r| rows[r][column] != Fe::ZERO) else { continue };
            rows.swap(rank, row);
            let inverse = rows[rank][column].inverse()?;
            for value in &mut rows[rank] {
                *value = *value * inverse;
            }
            for r in 0..rows.len() {
                if r != rank {
                    let factor = rows[r][column];
                    let pivot = rows[rank].clone();
                    for (value, less) in rows[r].iter_mut().zip(pivot) {
                        *value -= factor * less;
                    }
                }
            }
            pivots.push(column);
            rank += 1;
        }
        if rows[rank..].iter().any(|row| row[unknowns] != Fe::ZERO) {
            return None;
        }
        let mut solution = vec![Fe::ZERO; unknowns];
        for (row, column) in pivots.into_iter().enumerate() {
            solution[column] = rows[row][unknowns];
        }
        Some(solution)
    }

    fn divide(numerator: &[Fe], divisor: &[Fe]) -> Option<Vec<Fe>> {
        let mut rest = numerator.to_vec();
        let Some(degree) = numerator.len().checked_sub(divisor.len()) else {
            return rest.iter().all(|c| *c == Fe::ZERO).then(Vec::new);
        };
        let mut quotient = vec![Fe::ZERO; degree + 1];
        for k in (0..=degree).rev() {
            quotient[k] = rest[k + divisor.len() - 1];
            for (i, &d) in divisor.iter().enumerate() {
                let less = quotient[k] * d;
                rest[k + i] -= less;
            }
        }
        while quotient.last() == Some(&Fe::ZERO) {
            quotient.pop();
        }
        rest.iter().all(|c| *c == Fe::ZERO).then_some(quotient)
    }

    proptest! {
        /// Up to e wrong answers are corrected and named, whoever they are.
        #[test]
        fn corrects_and_names_up_to_e(
            n in 1_usize..=10, t in 1_usize..=10, secret: u64, seed: u64,
            wrong in prop::collection::btree_map(0_usize..10, 1..crate::field::MODULUS, 0..4),
        ) {
            prop_assume!(t <= n);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let points = Point::first(n);
            let secret = Fe::from_u64(secret);
            let shares = split(&[secret], t, &points, &mut rng);
            let mut word: Vec<(Point, Fe)> = points.iter().copied().zip(shares.iter().map(|s| s[0])).collect();
            let liars: Vec<_> = wrong.into_iter().filter(|(i, _)| *i < n).take(correctable(n, t)).collect();
            for &(i, error) in &liars {
                word[i].1 += Fe::from_u64(error);
            }
            let decoded = decode(&word, t).unwrap();
            prop_assert!(decoded.value == secret);
            prop_assert_eq!(decoded.faulty, liars.iter().map(|(i, _)| points[*i]).collect::<Vec<_>>());
        }

        /// Arbitrary words decode exactly when, and to what, Berlekamp–Welch decodes them.
        #[test]
        fn agrees_with_berlekamp_welch(
            n in 1_usize..=8, t in 1_usize..=8, secret: u64, seed: u64,
            errors in prop::collection::vec(prop_oneof![3 => Just(0), 2 => 1..50_u64], 8),
        ) {
            prop_assume!(t <= n);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let points = Point::first(n);
            let shares = split(&[Fe::from_u64(secret)], t, &points, &mut rng);
            let word: Vec<(Point, Fe)> = points.iter().copied()
                .zip(shares.iter().zip(&errors).map(|(s, e)| s[0] + Fe::from_u64(*e))).collect();
            let ours = decode(&word, t).ok().map(|d| d.value.to_canonical());
            prop_assert_eq!(ours, berlekamp_welch(&word, t).map(Fe::to_canonical));
        }

        /// Up to m − t wrong answers never yield a wrong value silently: without redundancy left the word is
        /// refused, or somebody is named.
        #[test]
        fn detects_up_to_n_minus_t(n in 2_usize..=7, t in 1_usize..=6, seed: u64, wrong in 1_usize..7) {
            prop_assume!(t < n);
            let wrong = wrong.min(n - t);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let points = Point::first(n);
            let shares = split(&[Fe::from_u64(831)], t, &points, &mut rng);
            let mut word: Vec<(Point, Fe)> = points.iter().copied().zip(shares.iter().map(|s| s[0])).collect();
            for entry in word.iter_mut().take(wrong) {
                entry.1 += Fe::random(&mut rng) * Fe::from_u64(2) + Fe::ONE;
            }
            if let Ok(decoded) = decode(&word, t) {
                prop_assert!(!decoded.faulty.is_empty());
            }
        }
    }

    proptest! {
        /// A vector decodes to what its elements decode to one by one, whoever is wrong where.
        #[test]
        fn vectors_are_their_elements(
            n in 1_usize..=8, t in 1_usize..=8, seed: u64,
            errors in prop::collection::vec((0_usize..12, 0_usize..8, 1..50_u64), 0..9),
        ) {
            prop_assume!(t <= n);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let secrets: Vec<Fe> = (0..12).map(|_| Fe::random(&mut rng)).collect();
            let points = Point::first(n);
            let mut answers: Vec<(Point, Zeroizing<Vec<Fe>>)> =
                points.iter().copied().zip(split(&secrets, t, &points, &mut rng)).collect();
            answers.rotate_left(usize::try_from(seed % 8).unwrap() % n);
            for (j, i, error) in errors {
                answers[i % n].1[j] += Fe::from_u64(error);
            }
            let mut expected = Ok(Decoded { value: Vec::new(), faulty: Vec::new() });
            for j in 0..secrets.len() {
                let word: Vec<(Point, Fe)> = answers.iter().map(|(point, answer)| (*point, answer[j])).collect();
                match (decode(&word, t), &mut expected) {
                    (Ok(element), Ok(whole)) => {
                        whole.value.push(element.value);
                        whole.faulty.extend(element.faulty);
                        whole.faulty.sort_unstable();
                        whole.faulty.dedup();
                    }
                    (Err(error), Ok(_)) => expected = Err(error),
                    (_, Err(_)) => (),
                }
            }
            prop_assert_eq!(decode_vector(&answers, t, secrets.len()), expected);
        }
    }

    /// With too few answers the decoder waits.
    #[test]
    fn too_few_answers_wait() {
        let word = [(Point::first(1)[0], Fe::ONE)];
        assert_eq!(decode(&word, 2), Err(DecodeError::TooFew { found: 1, wanted: 2 }));
    }

    /// 4 choose 2 subsets, each once, in order.
    #[test]
    fn subsets_are_complete() {
        assert_eq!(
            subsets(4, 2).collect::<Vec<_>>(),
            [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]].map(Vec::from)
        );
        assert_eq!(subsets(3, 3).count(), 1);
        assert_eq!(subsets(2, 3).count(), 0);
    }
}
