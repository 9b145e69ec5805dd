//! Mode `levelled` with real roles: key ceremony, uploads, releases; under faults and attacks.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a test file: a panic is the report, and energies are small"
)]

mod attacks;
mod faults;
mod functions;
mod world;
