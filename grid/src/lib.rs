//! The grid path: what joins the lattice ([`ckks`]) and the protocol ([`protocol`]). Pure: bytes in, bytes out; no topic, no
//! store, no clock.

pub mod levelled;
