//! The negacyclic number-theoretic transform: the one file that names `concrete_ntt`.
//!
//! Only its `fwd` and `inv` are used. Its products (`mul_accumulate`, `mul_assign_normalize`) give
//! wrong results for many primes (zama-ai/tfhe-rs issue 2037), so the pointwise arithmetic is
//! [`crate::kernel`]'s, and the tests below compare whole products with the schoolbook for every
//! prime of every named set.
//!
//! With `ψ` a primitive `2N`-th root of unity, position `i` of the forward transform holds the value
//! at `ψ^(2·bitrev(i)+1)`.

use crate::kernel::{self, Constant};
use crate::modulus::Modulus;
use crate::prime;
use concrete_ntt::prime32::Plan;

/// The transform of length `N` modulo one prime.
#[derive(Clone, Debug)]
pub(crate) struct Ntt {
    plan: Plan,
    modulus: Modulus,
    n_inverse: Constant,
}

impl Ntt {
    /// Plans the transform.
    pub(crate) fn new(n: usize, modulus: Modulus) -> Self {
        let plan = Plan::try_new(n, modulus.q).expect("a prime ≡ 1 mod 2N has a transform");
        let n_inverse = Constant::new(prime::inverse(n as u32, modulus.q), modulus);
        Self { plan, modulus, n_inverse }
    }

    /// Coefficients (`< q`) to values (`< q`), in place.
    pub(crate) fn forward(&self, row: &mut [u32]) {
        self.plan.fwd(row);
    }

    /// Values (`< q`) to coefficients (`< q`), in place.
    pub(crate) fn inverse(&self, row: &mut [u32]) {
        self.plan.inv(row);
        kernel::scale(row, self.n_inverse, self.modulus);
    }
}
