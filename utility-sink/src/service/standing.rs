//! How far what the configuration asks for has come, for people: what it waits for, or why nothing will come of it.

use std::fmt;

use protocol::id::QueryId;
use protocol::rule::{Refusal, Rule};
use store::{Store, StoreError};

use crate::sink::Sink;

/// A configured release or question, and how far it has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Its name in the configuration.
    pub name: String,
    /// How far it has come.
    pub state: State,
}

/// How far a configured release or question has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It has ended.
    Ended,
    /// It was not asked: the rules do not allow it.
    NotAsked(Refusal),
    /// It was asked, and given up: so many aggregators refuse it that nothing will come of it. Nothing was released by it.
    GivenUp(Rule),
    /// It was asked, and so many aggregators do not vote for it that no quorum is left. It stays, and goes on once they vote.
    Blocked(Rule),
    /// It waits for this.
    Waiting(String),
}

impl State {
    /// How far a query has come.
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

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, state } = self;
        match state {
            State::Ended => write!(f, "`{name}` has ended"),
            State::NotAsked(refusal) => {
                write!(f, "`{name}` was not asked, by rule {}: {}", refusal.rule, refusal.detail)
            }
            State::GivenUp(rule) => {
                write!(
                    f,
                    "`{name}` was given up, since the aggregators refuse it by rule {rule}: {}",
                    rule.meaning()
                )
            }
            State::Blocked(rule) => write!(
                f,
                "`{name}` has no quorum, since aggregators do not vote for it by rule {rule}: {} It stays, and goes on if they do",
                rule.meaning()
            ),
            State::Waiting(what) => write!(f, "`{name}` waits for {what}"),
        }
    }
}
