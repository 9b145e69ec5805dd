//! wattveil's meter agent.
//!
//! A reading's way: [`source`] gives [`measurement`]s, live or replayed; [`register`] decides which of them can be believed;
//! [`feed`] is the path between the two, and hands each slot's [`reading`] to [`meter`], the role: what a meter does with a
//! reading, a receipt and the passing of time, without sockets, files or clocks. [`service`] drives all of it. [`config`] is
//! its file, [`command`] its flags; [`dry_run`] and [`rebase`] are what else it does.

pub mod command;
pub mod config;
pub mod dry_run;
pub mod feed;
pub mod measurement;
pub mod meter;
pub mod reading;
pub mod rebase;
pub mod register;
pub mod service;
pub mod source;
