//! The grid path: a group's load curve and statistics, computed on ciphertexts.
//!
//! Here the lattice ([`ckks`]) meets the protocol's messages ([`protocol::grid`], [`protocol::levelled`]): which values a meter
//! encrypts, under which parameters, what aggregators add or evaluate, what they give towards an opening, and what the
//! utility makes of the pieces. Bytes in, bytes out: the parties' crates store and send.
//!
//! * [`sum`]: every meter has a key of its own; sums only, exact, and a meter that lies spoils no more than its sum;
//! * [`levelled`]: a collective key, and more than sums; for meters that are trusted to encrypt honestly.

pub mod levelled;
pub mod sum;
