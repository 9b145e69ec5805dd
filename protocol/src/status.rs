//! Status: what a role says of itself, for operators; nothing depends on it.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::topic::{Outgoing, Topic};
use crate::unit::{Moment, Timestamp};
use crate::wire::{self, DecodeError};

/// A role's status.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Status {
    /// `up`, or `down` in a last will.
    pub state: String,
    /// The program's version.
    pub version: String,
    /// The roster epoch it works under.
    pub roster_epoch: u32,
    /// Messages or records waiting.
    pub backlog: u64,
    /// When it said so, by its own clock.
    pub at: Timestamp,
}

impl Status {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Takes a status apart.
    ///
    /// # Errors
    ///
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        wire::decode(bytes)
    }
}

/// A status, and where it is said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The role's own topic.
    pub topic: Topic,
    /// What it says.
    pub status: Status,
}

impl Report {
    /// The message, retained.
    pub fn outgoing(&self) -> Outgoing {
        Outgoing::new(self.topic.clone(), self.status.encode()).retained()
    }
}

/// Decides when a role says its status: at once on every connection, when its state or its roster is another and when the
/// clock was set back, else a pause after the last time if it differs, and now and then if it does not.
#[derive(Clone, Debug)]
pub struct Beat {
    /// Milliseconds before a backlog that has changed is said.
    pause: u64,
    /// Milliseconds before the same is said again.
    every: u64,
    /// What was said last, on the so-manieth connection, and when.
    said: Option<(Status, u64, Moment)>,
}

impl Beat {
    /// The pauses, in milliseconds: before a backlog that has changed is said, and before the same is said again.
    pub fn new(pause: u64, every: u64) -> Self {
        Self { pause, every, said: None }
    }

    /// The message to send now, if one is due; `connection` is another number on every connection.
    pub fn say(&mut self, report: &Report, connection: u64, now: Moment) -> Option<Outgoing> {
        let status = &report.status;
        let due = self.said.as_ref().is_none_or(|(said, on, at)| {
            let waited = now.since(*at);
            let another = said.state != status.state || said.roster_epoch != status.roster_epoch;
            let differs = said.backlog != status.backlog;
            // what was said by a clock that was ahead is wrong until it is said again
            let set_back = now < *at;
            set_back
                || *on != connection
                || another
                || waited >= self.every
                || (differs && waited >= self.pause)
        });
        due.then(|| {
            self.said = Some((status.clone(), connection, now));
            report.outgoing()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{Channel, Role};

    fn report(state: &str, roster_epoch: u32, backlog: u64) -> Report {
        let topic = Channel::Status(Role::Sink, "utility".to_owned()).of(&"town".parse().unwrap());
        let (state, version) = (state.to_owned(), "0.1.0".to_owned());
        Report { topic, status: Status { state, version, roster_epoch, backlog, at: Timestamp(0) } }
    }

    /// A connection, a state and a roster are said at once, a backlog after a pause, the same now and then.
    #[test]
    fn what_is_new_is_said() {
        let mut beat = Beat::new(10, 60);
        let mut says = |report: Report, connection, now| beat.say(&report, connection, Moment(now)).is_some();
        assert!(says(report("up", 1, 0), 0, 0));
        assert!(!says(report("up", 1, 0), 0, 59) && says(report("up", 1, 0), 0, 60));
        assert!(says(report("up", 1, 0), 1, 61), "another connection");
        assert!(!says(report("up", 1, 5), 1, 70) && says(report("up", 1, 5), 1, 71), "another backlog");
        assert!(says(report("revoked", 1, 5), 1, 72) && says(report("revoked", 2, 5), 1, 73));
        assert!(says(report("revoked", 2, 5), 1, 20), "the clock was set back");
        assert!(!says(report("revoked", 2, 5), 1, 21));
    }
}
