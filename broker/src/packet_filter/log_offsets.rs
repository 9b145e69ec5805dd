//! How far a client has come in the logs of its filters, to see what it will never get.

use rumqttd::protocol::matches;

use super::Identity;
use super::retained_replay::ReplayCursor;

/// What is known of a client's session.
#[derive(Debug, Default)]
pub(crate) struct LogOffsets {
    /// Its filters, and the number of the message in each log that is to come next, where that is known.
    filters: Vec<(String, Option<u64>)>,
    /// What is retained and it is still to get; of a session that is away.
    walks: Vec<ReplayCursor>,
}

impl LogOffsets {
    /// Whether its user may have all of its filters, or it is nobody's in particular.
    pub(crate) fn is_allowed(&self, identity: Option<&Identity>) -> bool {
        let allowed = |(filter, _): &(String, Option<u64>)| {
            identity.is_none_or(|identity| identity.may_subscribe(filter))
        };
        self.filters.iter().all(allowed)
    }

    /// What is retained and it is still to get.
    pub(super) fn take_walks(&mut self) -> Vec<ReplayCursor> {
        std::mem::take(&mut self.walks)
    }

    /// The client is away, and there is this much for it still to get.
    pub(super) fn left(self, walks: Vec<ReplayCursor>) -> Self {
        Self { walks, ..self }
    }

    /// It has subscribed; `first` when nobody had before, so that the log begins now.
    pub(super) fn subscribed(&mut self, filter: &str, first: bool) {
        if !self.knows(filter) {
            self.filters.push((filter.to_owned(), first.then_some(0)));
        }
    }

    /// Whether a topic is one of its filters'.
    pub(super) fn leads_to(&self, topic: &str) -> bool {
        self.filters.iter().any(|(filter, _)| matches(topic, filter))
    }

    /// Whether it is subscribed to a filter.
    pub(super) fn knows(&self, filter: &str) -> bool {
        self.filters.iter().any(|(known, _)| known == filter)
    }

    pub(super) fn unsubscribed(&mut self, filter: &str) {
        self.filters.retain(|(known, _)| known != filter);
    }

    /// A message is on its way to the client, under its number in some filter's log; how many were skipped.
    pub(super) fn sent(&mut self, topic: &str, number: u64) -> u64 {
        let next = if let [(_, next)] = &mut self.filters[..] {
            next
        } else {
            let mut fitting = self.filters.iter_mut().filter(|(filter, _)| matches(topic, filter));
            match (fitting.next(), fitting.next()) {
                (Some((_, next)), None) => next,
                // which of them it is of cannot be told
                _ => return 0,
            }
        };
        let expected = next.unwrap_or(number);
        *next = Some(expected.max(number + 1));
        number.saturating_sub(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_counted_once() {
        let mut log_offsets = LogOffsets::default();
        log_offsets.subscribed("a/#", true);
        log_offsets.subscribed("b", false);
        assert_eq!([0, 1].map(|number| log_offsets.sent("a/x", number)), [0, 0]);
        assert_eq!(log_offsets.sent("b", 70), 0, "where it begins is not known");
        assert_eq!(log_offsets.sent("b", 73), 2);
        assert_eq!(log_offsets.sent("a/y", 10), 8);
        // again after a lost connection
        assert_eq!([9, 10, 11].map(|number| log_offsets.sent("a/x", number)), [0, 0, 0]);
        log_offsets.subscribed("+/x", true);
        assert_eq!(log_offsets.sent("a/x", 100), 0, "of one or the other");
        log_offsets.unsubscribed("+/x");
        log_offsets.subscribed("a/#", false);
        assert_eq!(log_offsets.sent("a/x", 13), 1);
    }
}
