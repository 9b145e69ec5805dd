//! How large a modulus a ring dimension may carry.

use std::fmt;

/// A table of the largest `log2(QP)` for 128-bit security with a ternary secret and σ ≈ 3.2.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Security {
    /// Classical attackers, 128 bits: *Security Guidelines for Implementing Homomorphic Encryption*
    /// (eprint 2024/463). The default, and the strictest of the classical tables.
    #[default]
    Classical2024,
    /// Classical attackers, 128 bits: the 2018 *Homomorphic Encryption Standard*, which SEAL uses.
    Classical2018,
    /// Quantum attackers, 128 bits, of the 2018 standard.
    Quantum2018,
    /// Quantum attackers, 128 bits, of the 2024 guidelines.
    Quantum2024,
}

impl Security {
    /// The largest `log2(QP)` for `N = 2^log_n`; `None` outside 1024 to 32768.
    pub fn max_log_qp(self, log_n: u32) -> Option<u32> {
        let row: [u32; 6] = match self {
            Self::Classical2024 => [26, 53, 106, 214, 430, 868],
            Self::Classical2018 => [27, 54, 109, 218, 438, 881],
            Self::Quantum2018 => [25, 51, 101, 202, 411, 827],
            Self::Quantum2024 => [20, 40, 80, 161, 322, 644],
        };
        row.get(log_n.checked_sub(10)? as usize).copied()
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classical2024 => "the 2024 guidelines (classical, 128 bits)",
            Self::Classical2018 => "the 2018 standard (classical, 128 bits)",
            Self::Quantum2018 => "the 2018 standard (quantum, 128 bits)",
            Self::Quantum2024 => "the 2024 guidelines (quantum, 128 bits)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_ordered_and_bounded() {
        for log_n in 10..=15 {
            let [strict, loose] =
                [Security::Classical2024, Security::Classical2018].map(|s| s.max_log_qp(log_n).unwrap());
            assert!(strict < loose);
        }
        assert_eq!(Security::Classical2024.max_log_qp(13), Some(214));
        assert_eq!(Security::Classical2024.max_log_qp(9), None);
        assert_eq!(Security::Classical2024.max_log_qp(16), None);
    }
}
