//! The lab: the only place that knows all parties' secrets.
//!
//! [`demo`] runs a whole town before your eyes, [`mod@bench`] says what it costs, [`levelled`] plays mode `levelled` in memory,
//! [`account`] counts what roles do.

pub mod account;
pub mod bench;
pub mod demo;
pub mod levelled;
