//! The messages on their way to the broker.

use std::collections::VecDeque;

use super::Message;

/// The messages that were taken from the queue and are not yet acknowledged, oldest first, each under an identifier of
/// the present connection.
#[derive(Debug, Default)]
pub(super) struct Window {
    entries: VecDeque<(Message, u16)>,
    last: u16,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a message in, and gives the identifier that it is to be sent under.
    pub(super) fn push(&mut self, message: Message) -> u16 {
        let identifier = self.free();
        self.entries.push_back((message, identifier));
        identifier
    }

    /// The message that was pushed last.
    pub(super) fn last(&self) -> Option<&Message> {
        self.entries.back().map(|(message, _)| message)
    }

    /// On a new connection: gives all messages new identifiers, to be sent again.
    pub(super) fn restart(&mut self) -> impl Iterator<Item = (&Message, u16)> {
        self.last = 0;
        for (_, identifier) in &mut self.entries {
            self.last += 1;
            *identifier = self.last;
        }
        self.entries.iter().map(|(message, identifier)| (message, *identifier))
    }

    /// The message that was sent under this identifier is acknowledged; `false` when there is none.
    pub(super) fn acknowledged(&mut self, identifier: u16) -> bool {
        // brokers acknowledge in order, so that it is the first one
        let place = self.entries.iter().position(|entry| entry.1 == identifier);
        place.and_then(|place| self.entries.remove(place)).is_some()
    }

    /// An identifier that no message has; there are more of them than messages on their way.
    fn free(&mut self) -> u16 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if !self.entries.iter().any(|(_, identifier)| *identifier == self.last) {
                return self.last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8) -> Message {
        Message { topic: "topic".into(), payload: vec![number], retain: false }
    }

    fn rest(window: &mut Window) -> Vec<(u8, u16)> {
        window.restart().map(|(message, identifier)| (message.payload[0], identifier)).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_in_order() {
        let mut window = Window::default();
        assert_eq!([1, 2, 3, 4].map(|number| window.push(message(number))), [1, 2, 3, 4]);
        assert!(window.acknowledged(2), "out of order");
        assert!(!window.acknowledged(2), "twice");
        assert!(!window.acknowledged(0) && !window.acknowledged(5), "none was sent under it");
        // on the new connection identifiers start again
        assert_eq!(rest(&mut window), [(1, 1), (3, 2), (4, 3)]);
        assert!(!window.acknowledged(4), "of the old connection");
        assert!(window.acknowledged(1));
        assert_eq!(window.push(message(5)), 4);
        assert_eq!(rest(&mut window), [(3, 1), (4, 2), (5, 3)]);
    }

    #[test]
    fn identifiers_in_use_are_passed_over() {
        let mut window = Window::default();
        window.push(message(1));
        for _ in 0..65_534 {
            let identifier = window.push(message(2));
            assert!(window.acknowledged(identifier));
        }
        assert_eq!(window.push(message(3)), 2, "after 65,535 comes 1, which is in use");
    }
}
