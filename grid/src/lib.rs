//! The grid path: a group's load curve and statistics, computed on ciphertexts.
//!
//! Here the lattice ([`ckks`]) meets the protocol's messages ([`protocol::grid`]): which values a meter encrypts, under
//! which parameters, what an aggregator adds, what it gives towards an opening, and what the utility makes of the pieces.
//! Everything is a pure function; the parties' crates store and send.

pub mod sum;
