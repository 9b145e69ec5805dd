//! Computing on ciphertexts.
//!
//! Every operation is exact about levels and scales: operands that do not match are refused with
//! both values, and nothing is rescaled or dropped behind the caller's back.

mod align;
mod linear;
mod matrix;
mod multiply;
mod polynomial;
mod rotate;
mod sign;
mod statistics;

pub use matrix::PlainMatrix;
pub use polynomial::Polynomial;
pub use sign::Sign;
pub use statistics::{mean, variance};
