//! Everything as processes: parties that are killed, stopped, started again and misconfigured, what people type, and what the
//! documents show.
//!
//! Each town has 13 real homes, 4 aggregators of which any 2 give a value and 3 must agree, a utility and a broker, and
//! ends in bills and a load curve that equal the plaintext's. One such town runs at a time; everything else runs beside it.

// So that lints know the helpers as tests too.
#![cfg(test)]

mod closing;
mod crashes;
mod demo;
mod disk;
mod documents;
mod levelled;
mod manual;
mod mistakes;
mod observer;
mod operation;
mod oracle;
mod packaging;
mod people;
mod process;
mod rotation;
mod shell;
mod stops;
mod town;
mod upkeep;
