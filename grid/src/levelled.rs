//! Mode `levelled`: functions of homes' energies computed under encryption, and opened by t of n aggregators to the utility
//! alone. For meters that are trusted to encrypt honestly ([`protocol::levelled::CAUTION`]).
//!
//! One party's part a file: [`maker`] (an aggregator's part in making the key) → [`encryptor`] (a meter) → [`evaluator`]
//! (anybody) → [`trustee`] (an aggregator's part in opening a result) → [`opening`] (the utility). [`setup`] is what a plan
//! means, [`accuracy`] how much noise each opening has and needs.
//!
//! # How it computes
//!
//! * **A window is a vector.** Slot i of a ciphertext holds the energy of slot i of the window, in units of the plan's full
//!   scale; a batch has zeros outside its own slots. So a member's batches add up to its window, and members' windows to the
//!   group's curve.
//! * **Sizes are read, not computed.** Where values could reach 2^k they are read at 2^k times the scale, which costs nothing.
//! * **Results are opened at the lowest level**, at the largest scale that fits it: smudging drowns noise by 2^27 for 2^10
//!   openings at 40 bits, so scale is what precision is made of. The raise is by a power of two, exact.
//! * **A sum over slots needs no rotation.** It is N/2 times the constant coefficient, and members answer for that coefficient
//!   alone ([`ckks::SecretShare::partial_mean`]): weighted sums, forecasts and moments over time open one number each, no slot,
//!   and no Galois key is ever made.
//! * **Evaluation is deterministic.** Sums are exact and commute; what is rounded is rounded by the same program from the same
//!   numbers. Aggregators compute results themselves and compare hashes, so they have to run the same version.

pub mod accuracy;
pub mod encryptor;
pub mod evaluator;
pub mod maker;
pub mod opening;
pub mod setup;
pub mod trustee;
