//! wattveil: the command, and the only place that knows all parties.
//!
//! [`deployment`] makes a whole deployment at once, [`demo`] runs one before your eyes, [`mod@bench`] says what it costs;
//! [`analytics`] shows what the grid path released,
//! [`tap`] what the broker carries, [`levelled`] plays analytics under encryption in memory.

pub mod analytics;
pub mod bench;
pub mod demo;
pub mod deployment;
pub mod levelled;
pub mod tap;
