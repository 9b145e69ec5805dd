//! wattveil's utility sink.
//!
//! [`sink`] is the role: it asks for releases, follows them to their end and keeps what they gave, without sockets,
//! files or clocks. [`tariff_file`] makes signed tariffs of a person's file, [`agenda`] asks for what its
//! configuration ([`config`]) names, [`service`] runs the role, [`command`] has its flags.

pub mod agenda;
pub mod command;
pub mod config;
pub mod service;
pub mod sink;
pub mod tariff_file;
