//! Which vector instructions the kernels run on.

use std::sync::OnceLock;

/// Vector instructions, narrowest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Vectors {
    /// Plain integers and floats, as the compiler arranges them.
    Plain,
    /// AVX2, 8 residues at a time.
    Avx2,
    /// AVX-512, 16 residues at a time.
    Avx512,
}

/// The vectors of this process, with the proof that the processor has them.
#[derive(Clone, Copy)]
pub(super) enum Width {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    Pair,
}

static WIDTH: OnceLock<Width> = OnceLock::new();

/// Limits this process to vectors no wider than these, and says which it uses.
///
/// Every width gives the same bits, so this changes times only: it is for measuring, and for testing that
/// very claim. Without it the widest that the processor has are used. What the first operation of
/// a process runs on (making parameters is one) stays, so a limit set later has no effect, which the
/// answer shows. The transform has its own choice of instructions and is not limited.
///
/// ```
/// use ckks::{Vectors, limit_vectors};
/// assert!(limit_vectors(Vectors::Avx2) <= Vectors::Avx2);
/// ```
pub fn limit_vectors(widest: Vectors) -> Vectors {
    match WIDTH.get_or_init(|| detect(widest)) {
        #[cfg(target_arch = "x86_64")]
        Width::Avx512(_) => Vectors::Avx512,
        #[cfg(target_arch = "x86_64")]
        Width::Avx2(_) => Vectors::Avx2,
        Width::Pair => Vectors::Plain,
    }
}

/// The vectors in use.
pub(super) fn width() -> Width {
    *WIDTH.get_or_init(|| detect(Vectors::Avx512))
}

#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "there is one width elsewhere"))]
fn detect(widest: Vectors) -> Width {
    #[cfg(target_arch = "x86_64")]
    {
        let wide = || pulp::x86::V4::try_new().map(Width::Avx512);
        let narrow = || pulp::x86::V3::try_new().map(Width::Avx2);
        let found = match widest {
            Vectors::Plain => None,
            Vectors::Avx2 => narrow(),
            Vectors::Avx512 => wide().or_else(narrow),
        };
        if let Some(found) = found {
            return found;
        }
    }
    Width::Pair
}
