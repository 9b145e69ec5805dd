//! The deliveries that wait to be acknowledged.

use std::collections::VecDeque;

/// Says which delivery is acknowledged.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Token {
    connection: u64,
    number: u64,
}

/// The deliveries of the present connection that are not yet acknowledged to the broker, in the order of receipt,
/// which is the only order that rumqttd takes acknowledgements in.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    connection: u64,
    /// The number of the first delivery that waits.
    first: u64,
    /// Their identifiers (0 for those that want no acknowledgement), and whether the consumer is done with them.
    waiting: VecDeque<(u16, bool)>,
}

impl Inbox {
    /// A new connection: what was not acknowledged comes again.
    pub(super) fn restart(&mut self) {
        *self = Self { connection: self.connection + 1, ..Self::default() };
    }

    /// Takes a delivery in.
    pub(super) fn received(&mut self, identifier: u16) -> Token {
        let number = self.first + self.waiting.len() as u64;
        self.waiting.push_back((identifier, false));
        Token { connection: self.connection, number }
    }

    /// The consumer is done with a delivery. Ignores those of earlier connections.
    pub(super) fn done(&mut self, token: &Token) {
        let place = token.number.checked_sub(self.first).filter(|_| token.connection == self.connection);
        if let Some(entry) = place.and_then(|place| self.waiting.get_mut(usize::try_from(place).ok()?)) {
            entry.1 = true;
        }
    }

    /// The identifier that is to be acknowledged next, if the consumer is done with it.
    pub(super) fn next(&self) -> Option<u16> {
        self.waiting.front().and_then(|(identifier, done)| done.then_some(*identifier))
    }

    /// It was acknowledged.
    pub(super) fn advance(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(inbox: &mut Inbox) -> Vec<u16> {
        let mut identifiers = Vec::new();
        while let Some(identifier) = inbox.next() {
            identifiers.push(identifier);
            inbox.advance();
        }
        identifiers
    }

    #[test]
    fn acknowledgements_leave_in_the_order_of_receipt() {
        let mut inbox = Inbox::default();
        let [one, two, three] = [7, 8, 9].map(|identifier| inbox.received(identifier));
        inbox.done(&three);
        inbox.done(&two);
        assert!(acknowledged(&mut inbox).is_empty());
        inbox.done(&one);
        assert_eq!(acknowledged(&mut inbox), [7, 8, 9]);
        let four = inbox.received(7);
        inbox.done(&three);
        assert!(acknowledged(&mut inbox).is_empty(), "an old number");
        inbox.done(&four);
        assert_eq!(acknowledged(&mut inbox), [7]);
    }

    #[test]
    fn those_of_an_earlier_connection_are_ignored() {
        let mut inbox = Inbox::default();
        let old = inbox.received(1);
        inbox.restart();
        let new = inbox.received(1);
        inbox.done(&old);
        assert!(acknowledged(&mut inbox).is_empty());
        inbox.done(&new);
        assert_eq!(acknowledged(&mut inbox), [1]);
    }
}
