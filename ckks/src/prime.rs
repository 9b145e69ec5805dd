//! Primes below 2^32: primality, and the scalar arithmetic modulo one of them.
//!
//! These are the slow, obvious forms. They compute constants and serve as oracles for
//! [`crate::kernel`]; no loop over coefficients uses them.

/// `a·b mod q`.
pub(crate) fn mul(a: u32, b: u32, q: u32) -> u32 {
    (u64::from(a) * u64::from(b) % u64::from(q)) as u32
}

/// `a + b mod q`, for `a, b < q`.
pub(crate) fn add(a: u32, b: u32, q: u32) -> u32 {
    ((u64::from(a) + u64::from(b)) % u64::from(q)) as u32
}

/// `a^e mod q`.
pub(crate) fn pow(a: u32, mut e: u64, q: u32) -> u32 {
    let (mut base, mut out) = (a % q, 1 % q);
    while e > 0 {
        if e & 1 == 1 {
            out = mul(out, base, q);
        }
        base = mul(base, base, q);
        e >>= 1;
    }
    out
}

/// `a^-1 mod q` for a prime `q` that does not divide `a` (Fermat).
pub(crate) fn inverse(a: u32, q: u32) -> u32 {
    pow(a, u64::from(q) - 2, q)
}

/// `⌊w·2^32/q⌋`, the quotient that makes multiplication by the constant `w < q` cheap (Shoup).
pub(crate) fn shoup(w: u32, q: u32) -> u32 {
    ((u64::from(w) << 32) / u64::from(q)) as u32
}

/// Whether `n` is prime: Miller–Rabin with the bases 2, 7 and 61, exact below 4,759,123,141.
pub(crate) fn is_prime(n: u32) -> bool {
    if n < 2 {
        return false;
    }
    for p in [2, 3, 5, 7, 61] {
        if n.is_multiple_of(p) {
            return n == p;
        }
    }
    let twos = (n - 1).trailing_zeros();
    let odd = (n - 1) >> twos;
    [2, 7, 61].into_iter().all(|base| {
        let mut x = pow(base, u64::from(odd), n);
        if x == 1 || x == n - 1 {
            return true;
        }
        for _ in 1..twos {
            x = mul(x, x, n);
            if x == n - 1 {
                return true;
            }
        }
        false
    })
}

/// The primes `≡ 1 mod step` below `bound`, from the top down.
pub(crate) fn descending(step: u32, bound: u32) -> impl Iterator<Item = u32> {
    let first = (bound.saturating_sub(2)) / step * step + 1;
    (1..=first).rev().step_by(step as usize).filter(|&q| is_prime(q))
}

/// The primes `≡ 1 mod step` in `from..bound`, upwards.
#[cfg(test)]
pub(crate) fn ascending(step: u32, from: u32, bound: u32) -> impl Iterator<Item = u32> {
    let first = from.saturating_sub(1).div_ceil(step) * step + 1;
    (first..bound).step_by(step as usize).filter(|&q| is_prime(q))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Miller–Rabin agrees with trial division.
    #[test]
    fn primality_is_trial_division() {
        for n in 0..5000u32 {
            let slow = n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0);
            assert_eq!(is_prime(n), slow, "{n}");
        }
    }

    #[test]
    fn searches_find_every_prime_of_the_class() {
        let down: Vec<_> = descending(2048, 1 << 20).collect();
        let mut up: Vec<_> = ascending(2048, 2, 1 << 20).collect();
        up.reverse();
        assert_eq!(down, up);
        assert!(down.iter().all(|q| q % 2048 == 1 && *q < 1 << 20));
    }

    #[test]
    fn inverse_inverts() {
        for q in [40961, 1_073_692_673] {
            for a in [1, 2, q / 2, q - 1] {
                assert_eq!(mul(a, inverse(a, q), q), 1);
            }
        }
    }
}
