//! The names that the broker itself connects by.

/// The topic of the watchdog's messages, which no other client sees.
pub(crate) const TOPIC: &str = "broker/watchdog";

/// The watchdog's user name, which no user of the configuration can have.
pub(crate) const USER: &str = "broker:watchdog";
