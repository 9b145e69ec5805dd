//! How far a client has come in the logs of its filters, to see what it will never get.

use rumqttd::protocol::matches;

/// The filters of a client, and the number of the message in each log that is to come next, where that is known.
#[derive(Debug, Default)]
pub(crate) struct Trail(Vec<(String, Option<u64>)>);

impl Trail {
    /// It has subscribed; `first` when nobody had before, so that the log begins now.
    pub(super) fn subscribed(&mut self, filter: &str, first: bool) {
        if !self.0.iter().any(|(known, _)| known == filter) {
            self.0.push((filter.to_owned(), first.then_some(0)));
        }
    }

    pub(super) fn unsubscribed(&mut self, filter: &str) {
        self.0.retain(|(known, _)| known != filter);
    }

    /// A message is on its way to the client, under its number in some filter's log; how many were skipped.
    pub(super) fn sent(&mut self, topic: &str, number: u64) -> u64 {
        let next = if let [(_, next)] = &mut self.0[..] {
            next
        } else {
            let mut fitting = self.0.iter_mut().filter(|(filter, _)| matches(topic, filter));
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
        let mut trail = Trail::default();
        trail.subscribed("a/#", true);
        trail.subscribed("b", false);
        assert_eq!([0, 1].map(|number| trail.sent("a/x", number)), [0, 0]);
        assert_eq!(trail.sent("b", 70), 0, "where it begins is not known");
        assert_eq!(trail.sent("b", 73), 2);
        assert_eq!(trail.sent("a/y", 10), 8);
        // again after a lost connection
        assert_eq!([9, 10, 11].map(|number| trail.sent("a/x", number)), [0, 0, 0]);
        trail.subscribed("+/x", true);
        assert_eq!(trail.sent("a/x", 100), 0, "of one or the other");
        trail.unsubscribed("+/x");
        trail.subscribed("a/#", false);
        assert_eq!(trail.sent("a/x", 13), 1);
    }
}
