//! The messages on their way to the broker.

use std::collections::VecDeque;

use super::Message;

/// The messages that were taken from the queue and are not yet acknowledged, oldest first.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    message: Message,
    /// Under which identifier it was sent on the present connection; 0, which is none, while it was not.
    identifier: u16,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, message: Message) {
        self.0.push_back(Entry { message, identifier: 0 });
    }

    /// On a new connection: forgets the identifiers, and gives all messages to be sent again.
    pub(super) fn restart(&mut self) -> impl Iterator<Item = &Message> {
        for entry in &mut self.0 {
            entry.identifier = 0;
        }
        self.0.iter().map(|entry| &entry.message)
    }

    /// The oldest message that was not yet sent was sent under this identifier.
    pub(super) fn sent(&mut self, identifier: u16) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.identifier == 0) {
            entry.identifier = identifier;
        }
    }

    /// The message that was sent under this identifier is acknowledged; `false` when there is none.
    pub(super) fn acknowledged(&mut self, identifier: u16) -> bool {
        // brokers acknowledge in order, so that it is the first one
        let place = self.0.iter().position(|entry| entry.identifier == identifier && identifier != 0);
        place.and_then(|place| self.0.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u8) -> Message {
        Message { topic: "topic".into(), payload: vec![number], retain: false }
    }

    fn rest(window: &mut Window) -> Vec<u8> {
        window.restart().map(|message| message.payload[0]).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_in_order() {
        let mut window = Window::default();
        for number in 1..=4 {
            window.push(message(number));
        }
        for identifier in [1, 2, 3] {
            window.sent(identifier);
        }
        assert!(window.acknowledged(2), "out of order");
        assert!(!window.acknowledged(2), "twice");
        assert!(!window.acknowledged(0), "4 was not sent");
        assert_eq!(rest(&mut window), [1, 3, 4]);
        // on the new connection identifiers start again
        window.sent(1);
        assert!(!window.acknowledged(3), "of the old connection");
        assert!(window.acknowledged(1));
        assert_eq!(rest(&mut window), [3, 4]);
    }
}
