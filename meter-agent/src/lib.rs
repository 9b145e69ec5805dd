//! wattveil's meter agent.
//!
//! A reading's way: [`source`] hears what a meter tells, a [`measurement`]; [`register`] decides what of it can be believed;
//! [`feed`] hands slots' registers to [`meter`], the role: what a meter does with a reading, a receipt and the passing of
//! time, without sockets, files or clocks. [`service`] drives it all, [`config`] is its file, [`command`] its flags,
//! [`dry_run`] and [`rebase`] are what else it does.

pub mod command;
pub mod config;
pub mod dry_run;
pub mod feed;
pub mod measurement;
pub mod meter;
pub mod rebase;
pub mod register;
pub mod service;
pub mod source;
