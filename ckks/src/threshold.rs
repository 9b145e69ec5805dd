//! Opening ciphertexts with shares of a key.
//!
//! The sharing is additive and *independent for every active set*: for each set of `t` of the `n`
//! parties the key is split afresh into `t` uniform polynomials that add up to it. That costs
//! `C(n, t)` small deals, and buys what Shamir shares with Lagrange weights cannot give: a ciphertext
//! may be opened by one set after another without the answers of the two sets together saying
//! anything about the key.
//!
//! A partial decryption carries *smudging* noise that drowns what it would say about the noise of
//! the ciphertext, hence about the key ([`Smudging`]). For one ciphertext and one set a party must
//! give the same bytes again, not a fresh answer: fresh noise averages out.

mod collective;
mod mean;
mod partial;
mod share;
mod smudging;

pub use collective::{Commitment, KeyShare, RelinCeremony, joint_seed};
pub use mean::MeanPartial;
pub use partial::{LivePartial, PartialDecryption, combine_live};
pub use share::{ActiveSet, DealtShare, SecretShare, ThresholdError};
pub use smudging::Smudging;
