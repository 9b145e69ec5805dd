//! Mode `sum`: every meter encrypts under a key of its own, with a public part that all have in common.
//!
//! ```text
//! a_I           = uniform from SHA-256(roster, interval)                   nobody chooses it
//! b_m           = -a_I·s_m + e_m + Δ·v_m                                   a meter, once an interval
//! Σ b_m                                                                   anybody adds
//! h_{T,i}       = a_I·Σ_m s_{m,T,i} + E_{T,i}     i ∈ T                    an aggregator, for each active set T
//! (Σ b_m + Σ_{i ∈ T} h_{T,i}) / Δ = Σ v_m                                  the utility, exactly
//! ```
//!
//! v_m are integers in coefficients ([`Layout`]), so that sums are exact. Only the coefficients that carry one travel, and of
//! those the high bits: 9 bytes a value. A meter can send no `a` part at all, so a crafted ciphertext spoils the
//! sum it is in and reads nobody's key. Each active set has an independent additive sharing of every s_m
//! ([`GridKey::deal`]): what several sets answer about one sum adds up to the same sum and to nothing else, so all
//! answer at once, and the utility decodes around whoever is away or lies ([`open`]).

use std::sync::OnceLock;

use ckks::{ActiveSet, CommonPart, Params, Seed, Smudging};
use protocol::certificate::deployment_context;
use protocol::roster::Roster;
use protocol::shamir::Point;
use protocol::signature::hash;
use protocol::unit::SlotRange;

mod key;
mod layout;
mod opening;
mod piece;
mod statistics;
mod vector;

pub use self::key::GridKey;
pub use self::layout::{BINS, EDGES, Layout, Loads, Sums, SumsError};
pub use self::opening::{OpenError, Opened, attempt_alone, open};
pub use self::piece::{KeyShares, KeySharesError};
pub use self::statistics::{Quantiles, SlotStatistics, Statistics, bin_name};
pub use self::vector::{Total, Vector, VectorError};

/// The low bits of each value that do not travel: noise covers them.
const DROPPED: u32 = 28;

/// The most members of a group that the noise is sized for.
pub const MAX_MEMBERS: u64 = 1 << 14;

/// log2 of the openings that a key is good for, and the statistical security of each in bits: see [`Smudging`].
const LOG_OPENINGS: u32 = 20;
const STATISTICAL_BITS: u32 = 40;

/// The parameters: N = 4096, Q of 100 bits, Δ = 2^46.
pub fn params() -> &'static Params {
    static PARAMS: OnceLock<Params> = OnceLock::new();
    PARAMS.get_or_init(Params::sums_4096)
}

/// The noise on each partial decryption.
fn smudging() -> Smudging {
    Smudging::for_sums(MAX_MEMBERS, LOG_OPENINGS, STATISTICAL_BITS).expect("these numbers give 2^40.5")
}

/// log2 of a bound on the probability that some value of an opening is off, for so many members.
#[expect(clippy::cast_precision_loss, reason = "N is 4096")]
pub fn log_failure(members: u64, threshold: usize) -> f64 {
    let of_one = smudging().log_failure(params(), &params().scale(), threshold, members, DROPPED);
    of_one + (params().n() as f64).log2()
}

/// The seed of an interval's common part: bound to the deployment, chosen by nobody. Not to the roster: members of one sum may
/// have encrypted under one roster and under its successor.
fn seed(roster: &Roster, interval: SlotRange) -> Seed {
    let (start, end) = (interval.start().0.to_be_bytes(), interval.end().0.to_be_bytes());
    let deployment = deployment_context(&roster.document().deployment);
    Seed(*hash("grid common part", &[deployment.as_bytes(), &start, &end]).as_bytes())
}

/// An interval's common part.
fn common(roster: &Roster, interval: SlotRange) -> CommonPart {
    CommonPart::new(params(), seed(roster, interval), params().max_level())
}

/// The active sets of a roster, by the places of the aggregators in it, from 1.
fn sets(roster: &Roster) -> Vec<ActiveSet> {
    let of = |number: usize| u8::try_from(number).expect("a roster has at most 10 aggregators");
    ActiveSet::all(of(roster.n()), of(roster.t())).expect("a roster has 1 ≤ t ≤ n")
}

/// An aggregator's place in its roster, from 1.
fn place(roster: &Roster, point: Point) -> Option<u8> {
    let index = roster.points().iter().position(|other| *other == point)?;
    u8::try_from(index + 1).ok()
}
