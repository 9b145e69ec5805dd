//! Every party a process of its own, on loopback: killed, stopped, started again, misconfigured.
//!
//! Each town has 13 real homes, 4 aggregators of which any 2 give a value and 3 must agree, a utility and a broker, and
//! ends in bills and a load curve that equal the plaintext's.

// So that lints know the helpers as tests too.
#![cfg(test)]

mod alone;
mod any_broker;
mod crashes;
mod disk;
mod levelled;
mod mistakes;
mod observer;
mod operation;
mod oracle;
mod process;
mod rotation;
mod stops;
mod town;
mod upkeep;
