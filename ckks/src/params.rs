//! Parameters: a [`Literal`] that anyone may write, and the checked [`Params`] that everything takes.

mod security;
mod sets;

pub use security::Security;

use crate::modulus::Modulus;
use crate::ntt::Ntt;
use crate::prime;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Parameters as one writes them down.
///
/// Level 0 is the base, which holds the result; each further level is what one rescaling drops, and
/// may consist of one prime or of several (composite scaling, eprint 2023/1462).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Literal {
    /// `log2 N`, 10 to 15.
    pub log_n: u32,
    /// For each level from the base up, the lengths of its primes in bits (at most 30).
    pub levels: Vec<Vec<u32>>,
    /// The lengths of the special primes that key switching divides by; empty for none.
    pub special: Vec<u32>,
    /// `log2` of the default scale.
    pub log_scale: u32,
    /// The table that bounds `log2(QP)`.
    pub security: Security,
}

/// Why a [`Literal`] was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParamsError {
    /// The ring dimension is not one that the security tables cover.
    #[error("log N is {0}, and has to be 10 to 15")]
    Dimension(u32),
    /// There is no base level, or a level without primes.
    #[error("level {0} has no primes")]
    EmptyLevel(usize),
    /// A prime would not be below `2^30`, or could not be `≡ 1 mod 2N`.
    #[error("a prime of {bits} bits was asked for; the range is {min} to 30 for this ring")]
    PrimeLength {
        /// The length asked for.
        bits: u32,
        /// The shortest length that may exist.
        min: u32,
    },
    /// There are not enough primes of a length.
    #[error("there is no further prime of {0} bits for this ring")]
    NoPrime(u32),
    /// The modulus is too large for the ring.
    #[error("log2(QP) is {found:.1}, and {table} allow {max} for this ring")]
    Insecure {
        /// `log2(QP)` of the literal.
        found: f64,
        /// The largest allowed.
        max: u32,
        /// The table that says so.
        table: Security,
    },
    /// The scale leaves no room for a message in the base.
    #[error("a scale of 2^{log_scale} leaves no room in a base of {base:.1} bits")]
    Scale {
        /// `log2` of the scale asked for.
        log_scale: u32,
        /// `log2` of the base modulus.
        base: f64,
    },
    /// More primes than the exact conversions are proved for.
    #[error("{0} primes are more than the 64 that one chain may have")]
    TooManyPrimes(usize),
}

/// Checked parameters, with every table that the arithmetic needs. Cloning shares them.
#[derive(Clone)]
pub struct Params(Arc<Inner>);

struct Inner {
    literal: Literal,
    /// Q's primes from the base up, then the special primes.
    moduli: Vec<Modulus>,
    ntts: Vec<Ntt>,
    /// Rows of each level.
    levels: Vec<Range<usize>>,
    /// Rows of each key-switching digit; each product is at most P.
    digits: Vec<Range<usize>>,
    q_len: usize,
    /// `inverses[i][j] = q_i^-1 mod q_j`.
    inverses: Vec<Vec<u32>>,
    hash: [u8; 16],
    fft: crate::encode::Fft,
}

impl Params {
    /// Checks a literal and builds its tables.
    ///
    /// # Errors
    ///
    /// [`ParamsError`]; above all when `log2(QP)` exceeds what the literal's table allows.
    pub fn new(literal: Literal) -> Result<Self, ParamsError> {
        let max = literal.security.max_log_qp(literal.log_n).ok_or(ParamsError::Dimension(literal.log_n))?;
        let params = Self::build(literal)?;
        let found = params.log_qp();
        if found > f64::from(max) {
            let table = params.0.literal.security;
            return Err(ParamsError::Insecure { found, max, table });
        }
        Ok(params)
    }

    /// Parameters without the security check, `log N` from 5: for tests of the arithmetic only.
    ///
    /// # Errors
    ///
    /// [`ParamsError`], except [`ParamsError::Insecure`].
    #[doc(hidden)]
    pub fn insecure_for_tests(literal: Literal) -> Result<Self, ParamsError> {
        Self::build(literal)
    }

    fn build(literal: Literal) -> Result<Self, ParamsError> {
        if !(5..=15).contains(&literal.log_n) {
            return Err(ParamsError::Dimension(literal.log_n));
        }
        if literal.levels.is_empty() {
            return Err(ParamsError::EmptyLevel(0));
        }
        if let Some(empty) = literal.levels.iter().position(Vec::is_empty) {
            return Err(ParamsError::EmptyLevel(empty));
        }
        let count = literal.levels.iter().map(Vec::len).sum::<usize>() + literal.special.len();
        if count > 64 {
            return Err(ParamsError::TooManyPrimes(count));
        }
        let (q, special) = choose_primes(&literal)?;
        let mut levels = Vec::new();
        let mut row = 0;
        for level in &literal.levels {
            levels.push(row..row + level.len());
            row += level.len();
        }
        let base = log2_product(&q[levels[0].clone()]);
        if f64::from(literal.log_scale) + 2.0 > base || literal.log_scale < 4 {
            let log_scale = literal.log_scale;
            return Err(ParamsError::Scale { log_scale, base });
        }
        let digits = group_digits(&q, log2_product(&special));
        let n = 1usize << literal.log_n;
        let moduli: Vec<_> = q.iter().chain(&special).map(|&q| Modulus::new(q)).collect();
        let inverse = |a: &Modulus, m: &Modulus| {
            if a == m { 0 } else { prime::inverse(a.q % m.q, m.q) }
        };
        Ok(Self(Arc::new(Inner {
            hash: hash(&literal, &moduli),
            ntts: moduli.iter().map(|&m| Ntt::new(n, m)).collect(),
            inverses: moduli.iter().map(|a| moduli.iter().map(|m| inverse(a, m)).collect()).collect(),
            fft: crate::encode::Fft::new(n),
            moduli,
            levels,
            digits,
            q_len: q.len(),
            literal,
        })))
    }

    /// The literal these parameters were built from.
    pub fn literal(&self) -> &Literal {
        &self.0.literal
    }

    /// The ring dimension `N`: polynomials have `N` coefficients.
    pub fn n(&self) -> usize {
        1 << self.0.literal.log_n
    }

    /// `log2 N`.
    pub fn log_n(&self) -> u32 {
        self.0.literal.log_n
    }

    /// How many slots a plaintext has: `N/2`.
    pub fn slots(&self) -> usize {
        self.n() / 2
    }

    /// The highest level, which is how many rescalings a fresh ciphertext can take.
    pub fn max_level(&self) -> usize {
        self.0.levels.len() - 1
    }

    /// `log2` of the default scale.
    pub fn log_scale(&self) -> u32 {
        self.0.literal.log_scale
    }

    /// How many primes of Q a ciphertext at `level` has.
    pub fn primes_at(&self, level: usize) -> usize {
        self.0.levels[level].end
    }

    /// Prime `index` of the chain: Q's from the base up, then the special ones.
    pub fn prime(&self, index: usize) -> u32 {
        self.0.moduli[index].q
    }

    /// How many special primes there are; none means no key switching.
    pub fn special_primes(&self) -> usize {
        self.0.moduli.len() - self.0.q_len
    }

    /// How many digits key switching decomposes into at the top level (dnum).
    pub fn digits(&self) -> usize {
        self.0.digits.len()
    }

    /// `log2` of Q at `level`.
    pub fn log_q(&self, level: usize) -> f64 {
        self.0.moduli[..self.primes_at(level)].iter().map(|m| f64::from(m.q).log2()).sum()
    }

    /// `log2` of the special modulus P; 0 when there is none.
    pub fn log_p(&self) -> f64 {
        self.0.moduli[self.0.q_len..].iter().map(|m| f64::from(m.q).log2()).sum()
    }

    /// `log2(QP)`, which the security table bounds.
    pub fn log_qp(&self) -> f64 {
        self.log_q(self.max_level()) + self.log_p()
    }

    /// What identifies these parameters in every serialised object: the first half of a SHA-256.
    pub fn hash(&self) -> [u8; 16] {
        self.0.hash
    }

    /// The rows that rescaling from `level` drops.
    pub(crate) fn level_rows(&self, level: usize) -> Range<usize> {
        self.0.levels[level].clone()
    }

    /// The rows of the special primes.
    pub(crate) fn special_rows(&self) -> Range<usize> {
        self.0.q_len..self.0.moduli.len()
    }

    /// How many primes Q has.
    pub(crate) fn q_len(&self) -> usize {
        self.0.q_len
    }

    pub(crate) fn modulus(&self, row: usize) -> Modulus {
        self.0.moduli[row]
    }

    pub(crate) fn ntt(&self, row: usize) -> &Ntt {
        &self.0.ntts[row]
    }

    /// `q_i^-1 mod q_j`.
    pub(crate) fn inverse(&self, i: usize, j: usize) -> u32 {
        self.0.inverses[i][j]
    }

    pub(crate) fn fft(&self) -> &crate::encode::Fft {
        &self.0.fft
    }

    /// The digits that a ciphertext with `primes` rows has, the last one possibly cut.
    pub(crate) fn digit_rows(&self, primes: usize) -> impl Iterator<Item = Range<usize>> {
        self.0.digits.iter().take_while(move |d| d.start < primes).map(move |d| d.start..d.end.min(primes))
    }

    /// `Π q_i mod q_row` over some rows.
    pub(crate) fn product_mod(&self, rows: impl Iterator<Item = usize>, row: usize) -> u32 {
        let q = self.prime(row);
        rows.fold(1, |w, i| prime::mul(w, self.prime(i) % q, q))
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash
    }
}

impl Eq for Params {}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("n", &self.n())
            .field("log_qp", &self.log_qp())
            .field("levels", &self.0.literal.levels)
            .field("special", &self.0.literal.special)
            .field("log_scale", &self.log_scale())
            .finish_non_exhaustive()
    }
}

fn log2_product(primes: &[u32]) -> f64 {
    primes.iter().map(|&q| f64::from(q).log2()).sum()
}

/// Q's primes and the special ones.
///
/// The special primes come first, from the top of their range, so that no digit exceeds them; the
/// last prime of every level but the base is the one that brings the level nearest to the scale.
fn choose_primes(literal: &Literal) -> Result<(Vec<u32>, Vec<u32>), ParamsError> {
    let step = 2u32 << literal.log_n;
    let mut taken: Vec<u32> = Vec::new();
    let mut top = |bits: u32, wanted: Option<f64>| -> Result<u32, ParamsError> {
        let min = literal.log_n + 2;
        if bits < min || bits > Modulus::MAX_BITS {
            return Err(ParamsError::PrimeLength { bits, min });
        }
        let mut free = prime::descending(step, 1 << bits).filter(|q| !taken.contains(q));
        let chosen = match wanted {
            None => free.next(),
            Some(wanted) => {
                let distance = |q: &u32| (f64::from(*q).log2() - wanted).abs();
                free.min_by(|a, b| distance(a).total_cmp(&distance(b)))
            }
        };
        let q = chosen.ok_or(ParamsError::NoPrime(bits))?;
        taken.push(q);
        Ok(q)
    };
    let special: Vec<u32> = literal.special.iter().map(|&bits| top(bits, None)).collect::<Result<_, _>>()?;
    let mut q = Vec::new();
    for (index, level) in literal.levels.iter().enumerate() {
        let start = q.len();
        for (i, &bits) in level.iter().enumerate() {
            let last = index > 0 && i + 1 == level.len();
            let wanted = f64::from(literal.log_scale) - log2_product(&q[start..]);
            q.push(top(bits, last.then_some(wanted))?);
        }
    }
    Ok((q, special))
}

/// Consecutive primes into as few digits as P allows.
fn group_digits(q: &[u32], log_p: f64) -> Vec<Range<usize>> {
    let mut digits = Vec::new();
    if log_p == 0.0 {
        return digits;
    }
    let mut start = 0;
    for end in 1..=q.len() {
        let full = end == q.len() || log2_product(&q[start..=end]) > log_p + 1e-9;
        if full {
            digits.push(start..end);
            start = end;
        }
    }
    digits
}

fn hash(literal: &Literal, moduli: &[Modulus]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"ckks parameters 1");
    hash.update(literal.log_n.to_le_bytes());
    hash.update(literal.log_scale.to_le_bytes());
    for level in &literal.levels {
        hash.update((level.len() as u32).to_le_bytes());
    }
    hash.update((literal.special.len() as u32).to_le_bytes());
    for m in moduli {
        hash.update(m.q.to_le_bytes());
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hash.finalize()[..16]);
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ring small enough for slow oracles: two-prime levels, two special primes.
    pub(crate) fn insecure_small() -> Params {
        Params::insecure_for_tests(Literal {
            log_n: 6,
            levels: vec![vec![30, 30], vec![20, 21], vec![20, 21], vec![20, 21]],
            special: vec![30, 30],
            log_scale: 40,
            security: Security::Classical2024,
        })
        .unwrap()
    }

    fn literal() -> Literal {
        Literal {
            log_n: 12,
            levels: vec![vec![30, 30], vec![30]],
            special: vec![],
            log_scale: 30,
            security: Security::Classical2024,
        }
    }

    #[test]
    fn refuses_what_the_table_refuses() {
        assert!(Params::new(literal()).is_ok());
        let mut large = literal();
        large.special = vec![30];
        let error = Params::new(large.clone()).unwrap_err();
        assert!(matches!(error, ParamsError::Insecure { max: 106, .. }), "{error}");
        large.security = Security::Classical2018;
        assert!(Params::new(large).is_err());
    }

    #[test]
    fn refuses_nonsense() {
        let with = |change: &dyn Fn(&mut Literal)| {
            let mut l = literal();
            change(&mut l);
            Params::new(l).unwrap_err()
        };
        assert_eq!(with(&|l| l.log_n = 9), ParamsError::Dimension(9));
        assert_eq!(with(&|l| l.log_n = 40), ParamsError::Dimension(40));
        assert_eq!(with(&|l| l.levels.clear()), ParamsError::EmptyLevel(0));
        assert_eq!(with(&|l| l.levels[1].clear()), ParamsError::EmptyLevel(1));
        assert_eq!(with(&|l| l.levels[1][0] = 31), ParamsError::PrimeLength { bits: 31, min: 14 });
        assert_eq!(with(&|l| l.levels[1] = vec![14; 9]), ParamsError::NoPrime(14));
        assert!(matches!(with(&|l| l.log_scale = 60), ParamsError::Scale { .. }));
        assert_eq!(with(&|l| l.levels[1] = vec![20; 70]), ParamsError::TooManyPrimes(72));
    }

    /// Digits cover Q, in order, and none exceeds P.
    #[test]
    fn digits_fit_the_special_modulus() {
        for params in Params::all() {
            let rows: Vec<_> = params.digit_rows(params.q_len()).collect();
            if params.special_primes() == 0 {
                assert!(rows.is_empty());
                continue;
            }
            assert_eq!(
                rows.iter().cloned().flatten().collect::<Vec<_>>(),
                (0..params.q_len()).collect::<Vec<_>>()
            );
            for digit in rows {
                let bits: f64 = digit.map(|i| f64::from(params.prime(i)).log2()).sum();
                assert!(bits <= params.log_p() + 1e-6);
            }
        }
    }
}
