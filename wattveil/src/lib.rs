//! wattveil: the command, and the only place that knows all parties.
//!
//! [`deployment`] makes a whole deployment at once, [`demo`] runs one before your eyes.

pub mod demo;
pub mod deployment;
