//! The lab: the only place that knows all parties' secrets.
//!
//! [`world`] is the simulated world: roles, a network and a clock in memory; [`levelled`] plays mode `levelled` in it. [`town`] is the
//! town of real processes. [`demo`] runs a whole town before your eyes, [`mod@bench`] says what it costs, [`account`] counts what
//! roles do; the system tests play in the same world and town.

pub mod account;
pub mod bench;
pub mod demo;
pub mod levelled;
pub mod town;
pub mod world;
