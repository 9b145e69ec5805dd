//! The protocol's laws, bytes and attacks, from outside: only what the crate shows may be used.

// `cfg(test)` on each, so that lints know their helpers as tests too.
#[cfg(test)]
mod bad_messages;
#[cfg(test)]
mod deployment;
#[cfg(test)]
mod known_answers;
#[cfg(test)]
mod release;
#[cfg(test)]
mod roster;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod topics_document;
