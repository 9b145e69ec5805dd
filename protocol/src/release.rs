//! A release: from the utility's query to its outcome.
//!
//! ```text
//! sink  ── query ───▶ aggregators     what is asked: bills of meters, or a group's curve, over a period
//!       ◀─ inventory ── each          which records it holds; what it refuses, and by which rule
//! sink  ── cut ─────▶                 which inventories count; the records follow from them, nobody chooses
//!       ◀─ vote ─────── each          signed, written to its ledger first, final; or an objection: why there is none yet
//! sink  ── votes ───▶                 the certificate: a quorum of votes for one cut
//!       ◀─ result ───── each          its share of the released values, sealed to the sink, stored first
//! sink  ── outcome ─▶                 who was used, who answered wrongly; signed
//! ```

pub mod answer;
pub mod cut;
pub mod exclusion;
pub mod inventory;
pub mod objection;
pub mod outcome;
pub mod query;
pub mod result;
pub mod selection;
pub mod vote;
