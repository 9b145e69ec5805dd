//! The progress of each configured release and question, as a person reads it.

use std::fmt;

use protocol::id::QueryId;
use protocol::rule::{Refusal, Rule};
use store::{Store, StoreError};

use crate::sink::Sink;

/// The progress of a configured release or question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Its name in the configuration.
    pub name: String,
    /// Its state.
    pub state: State,
}

/// The state of a configured release or question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It has ended.
    Ended,
    /// It was not asked: the rules do not allow it.
    NotAsked(Refusal),
    /// Too many aggregators reject its query. It was given up, and it released nothing.
    GivenUp(Rule),
    /// Too many aggregators vote against it, so no quorum is left. It continues once they vote for it.
    Blocked(Rule),
    /// It waits for this.
    Waiting(String),
}

impl State {
    /// The state of a query.
    pub(super) fn of(id: QueryId, sink: &Sink, store: &dyn Store) -> Result<Self, StoreError> {
        if sink.has_ended(id, store)? {
            return Ok(Self::Ended);
        }
        if let Some(rule) = sink.given_up(id, store)? {
            return Ok(Self::GivenUp(rule));
        }
        let release = sink.release(id);
        Ok(release.map_or_else(
            || Self::Waiting("its query".to_owned()),
            |release| match release.blocked(sink.roster()) {
                Some(rule) => Self::Blocked(rule),
                None => Self::Waiting(release.stage(sink.roster())),
            },
        ))
    }

    /// Whether there is nothing to wait for.
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting(_))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, state } = self;
        match state {
            State::Ended => write!(f, "`{name}` has ended"),
            State::NotAsked(refusal) => {
                write!(f, "`{name}` was not asked (rule {}): {}", refusal.rule, refusal.detail)
            }
            State::GivenUp(rule) => {
                write!(
                    f,
                    "`{name}` was given up because aggregators rejected it (rule {rule}): {}",
                    rule.meaning()
                )
            }
            State::Blocked(rule) => write!(
                f,
                "`{name}` has no quorum because aggregators vote against it (rule {rule}): {} It continues once they vote for it",
                rule.meaning()
            ),
            State::Waiting(what) => write!(f, "`{name}` waits for {what}"),
        }
    }
}
