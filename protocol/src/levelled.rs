//! Mode `levelled` (mode `levelled`): its messages and rules. Pure, and without a lattice: keys and
//! ciphertexts are byte strings here.
//!
//! For deployments whose meters are trusted to encrypt honestly ([`CAUTION`]). The order of things:
//!
//! ```text
//! utility      ── plan ──▶ aggregators, meters       which parameters, which windows, how many openings
//! aggregators  ◀─ contributions ─▶ each other        commit, then reveal, three times; shares dealt for every active set
//! utility      ── collective key ──▶ meters          the plan, and all n aggregators' word for one public key
//! meters       ── uploads ──▶ aggregators            signed ciphertexts; `taken` comes back
//! utility      ── ask ──▶ aggregators                one function of one or two (group, window)s
//!              ◀─ holdings ─┘
//!              ── cut ──▶                            the exact ciphertexts
//!              ◀─ vote ─┘                            by whoever holds them all and finds no rule against it
//!              ── open ──▶                           the certificate, and which t aggregators are to open the result
//!              ◀─ answer ─┘                          the result each computed itself, and its part in opening it
//! ```
//!
//! # What may be released: the rule
//!
//! 1. A window is an aligned, fixed stretch of slots; windows never overlap. A group is what certificates say; groups never
//!    overlap. **One (group, window) has one member set, for ever**: the first cut that an aggregator votes for fixes it, down to
//!    the ciphertexts, and no later cut with another set gets its vote. Two quorums share an honest aggregator, so two sets
//!    M and M∖{m} are never both opened and there is nothing to subtract.
//! 2. A member is in a set only with the whole window: in no slot are there fewer members than in another.
//! 3. A set has at least k members (the larger of the plan's and the roster's k).
//! 4. Each function is released once for its subjects. All functions but the variance across meters are functions of groups'
//!    curves Σ_m x_m\[t\], so any number of them tells no more than the curves. The variance adds Σ_m x_m\[t\]², the second of
//!    k or more power sums.
//! 5. A service point's slots enter one release of groups, ever, on whichever path: windows that were levelled are taken for
//!    curves, and the reverse, with the same ledger rows; and a bill that would tell something beside a curve is refused as
//!    before.
//! 6. A result is opened by one active set after another at most once each, with stored, repeated bytes; the openings of a key
//!    are counted, and end where its smudging was sized for.

pub mod blob;
pub mod contribution;
pub mod direction;
pub mod function;
pub mod key;
pub mod plan;
pub mod reply;
pub mod upload;

/// What whoever turns this mode on has to know.
pub const CAUTION: &str = "mode levelled trusts meters to encrypt honestly: under a collective key one crafted ciphertext inside an \
     honest sum can read the aggregators' secret through their answers, whatever the smudging; use it only \
     with meters whose software you control, and use the share path for bills and curves otherwise";
