//! wattveil's meter agent.
//!
//! [`meter`] is the role: what a meter does with a reading, a receipt and the passing of time, without sockets, files
//! or clocks. [`source`] gives readings, [`service`] drives the role, [`config`] is its file, [`command`] its flags.

pub mod command;
pub mod config;
pub mod meter;
pub mod service;
pub mod source;
