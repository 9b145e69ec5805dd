//! A slot's registers: what the register hands to the meter role, once it believes them.

use std::fmt;

use protocol::unit::{Register, Slot};

/// The cumulative registers at the start of a slot. It does not print them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Reading {
    /// The slot that begins when the registers are read.
    pub at: Slot,
    /// The import register, which is billed.
    pub register: Register,
    /// The export register, if the meter reports it and it is believed. It goes into load vectors, never into a bill.
    pub export: Option<Register>,
    /// The reading does not continue the last one: an operator stated what lies between, or the clock was wrong before.
    pub anew: bool,
}

impl Reading {
    /// A reading of the import register that continues the last one.
    pub fn new(at: Slot, register: Register) -> Self {
        Self { at, register, export: None, anew: false }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("at", &self.at).finish_non_exhaustive()
    }
}
