//! Computing on ciphertexts.
//!
//! Every operation is exact about levels and scales: operands that do not match are refused with
//! both values, and nothing is rescaled or dropped behind the caller's back.

mod linear;
mod multiply;
mod rotate;
