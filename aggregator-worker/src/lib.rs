//! wattveil's aggregator worker.
//!
//! [`aggregator`] is the role: what an aggregator does with shares, queries, cuts and votes, without sockets, files or
//! clocks. [`service`] drives it, [`config`] is its file, [`command`] its flags.

pub mod aggregator;
pub mod command;
pub mod config;
pub mod service;
