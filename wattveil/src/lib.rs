//! The commands that people install: every operator's command.
//!
//! [`init`] makes a deployment's directory and [`run`] starts all its roles on this machine. [`enrol`] and [`adopt`] add a meter,
//! [`revoke`] ends one, [`rotate`] gives everybody the next roster. [`check`] says what is wrong and what to type, [`explain`] who can
//! learn what, [`status`] who is up. [`bill`] closes a period and [`ask`] requests functions of mode `levelled`; [`statistics`] shows
//! what was released, [`tap`] what the broker carries.

pub mod adopt;
pub mod ask;
pub mod bill;
pub mod check;
pub mod enrol;
pub mod explain;
mod export;
pub mod init;
mod line;
mod release;
pub mod revoke;
pub mod rotate;
pub mod run;
pub mod statistics;
pub mod status;
pub mod tap;
