//! What is retained: each topic's last such message, for whoever subscribes later.
//!
//! What must stay true: **a message is here before the router gets it.** So whoever has a live message of a topic in its output finds
//! that one or a newer one here, and never an older one: what is written to a client is read from here at that moment, into the same
//! output. The other way round a client may get the newest message twice, once as retained and once live, with live ones in between that
//! are older: then the newest comes last. Of two clients that publish to one topic at the same moment, the router may have the other
//! one last, since it takes messages from each client's own queue.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use rumqttd::protocol::{QoS, matches};

use super::Refusal;

/// What a message takes besides its payload and its topic, which is there twice: about a map's entry and three allocations.
const ENTRY: usize = 150;
/// How many topics that do not fit are looked at in one go, so that nobody waits for long.
const LOOKED_AT: usize = 256;

/// What is retained for all clients, in the order of the topics.
#[derive(Debug)]
pub(crate) struct Retained {
    most: u64,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: BTreeMap<Arc<str>, Message>,
    bytes: u64,
}

/// A message as it was published.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
}

/// What comes next for a filter.
#[derive(Debug)]
pub(super) enum Next {
    Message(Arc<str>, Message),
    /// Up to this topic nothing fits; to be asked again.
    NotYet(Arc<str>),
    End,
}

impl Kept {
    /// How much there would be with this in the place of the topic's last.
    fn with(&self, topic: &str, payload: usize, most: u64) -> Result<u64, Refusal> {
        let size = |payload: usize| (2 * topic.len() + payload + ENTRY) as u64;
        let before = self.messages.get(topic).map_or(0, |message| size(message.payload.len()));
        let after = if payload == 0 { 0 } else { size(payload) };
        let all = self.bytes - before + after;
        if after > before && all > most { Err(Refusal::Retained) } else { Ok(all) }
    }
}

impl Retained {
    /// Nothing is retained, and never more than `most` bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, kept: RwLock::default() }
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for a message now.
    pub(super) fn has_room(&self, topic: &[u8], payload: &[u8]) -> Result<(), Refusal> {
        self.kept().with(text(topic)?, payload.len(), self.most).map(drop)
    }

    /// Retains a message in the place of the topic's last; an empty one only takes that back.
    ///
    /// # Errors
    ///
    /// [`Refusal::Retained`] when there is no room for it, and the topic's last stays.
    pub(crate) fn keep(&self, topic: &[u8], payload: Bytes, qos: QoS) -> Result<(), Refusal> {
        let topic = text(topic)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.bytes = kept.with(topic, payload.len(), self.most)?;
        if payload.is_empty() {
            kept.messages.remove(topic);
        } else if let Some(message) = kept.messages.get_mut(topic) {
            *message = Message { payload, qos };
        } else {
            kept.messages.insert(topic.into(), Message { payload, qos });
        }
        Ok(())
    }

    /// The first message that fits a filter, of the topics behind `after`, if there is one. Looks at those topics only that begin as
    /// the filter does before its first wildcard.
    pub(super) fn next(&self, filter: &str, after: Option<&str>) -> Next {
        let kept = self.kept();
        let stem = &filter[..filter.find(['+', '#']).unwrap_or(filter.len())];
        // `a/#` is `a` too, between which and `a/` there may be many others
        let parent = filter.strip_suffix("/#").filter(|parent| parent.len() + 1 == stem.len());
        let alone = if stem == filter { Some(filter) } else { parent };
        if after.is_none()
            && let Some((topic, message)) = alone.and_then(|topic| kept.messages.get_key_value(topic))
        {
            return Next::Message(Arc::clone(topic), message.clone());
        }
        if stem == filter {
            return Next::End;
        }
        let from = match after {
            Some(after) if after >= stem => Bound::Excluded(after),
            _ => Bound::Included(stem),
        };
        let below = kept.messages.range::<str, _>((from, Bound::Unbounded));
        for (others, (topic, message)) in below.take_while(|(topic, _)| topic.starts_with(stem)).enumerate() {
            if matches(topic, filter) {
                return Next::Message(Arc::clone(topic), message.clone());
            }
            if others + 1 == LOOKED_AT {
                return Next::NotYet(Arc::clone(topic));
            }
        }
        Next::End
    }
}

fn text(topic: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(topic).map_err(|_| Refusal::Topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(topics: impl IntoIterator<Item = impl AsRef<str>>) -> Retained {
        let retained = Retained::new(1 << 20);
        for topic in topics {
            let topic = topic.as_ref().as_bytes();
            retained.keep(topic, Bytes::copy_from_slice(topic), QoS::AtLeastOnce).unwrap();
        }
        retained
    }

    /// All that fits, and how often it was asked for.
    fn all(retained: &Retained, filter: &str) -> (Vec<String>, usize) {
        let (mut found, mut after, mut asked) = (Vec::new(), None, 0);
        loop {
            asked += 1;
            match retained.next(filter, after.as_deref()) {
                Next::Message(topic, message) => {
                    assert_eq!(message.payload, topic.as_bytes());
                    found.push((*topic).to_owned());
                    after = Some(topic);
                }
                Next::NotYet(topic) => after = Some(topic),
                Next::End => return (found, asked),
            }
        }
    }

    #[test]
    fn what_is_retained_is_bounded_and_given_back() {
        let size = |payload: usize| (2 + payload + ENTRY) as u64;
        let retained = Retained::new(size(50) + size(10));
        let keep = |topic: &str, payload: usize| {
            let payload = Bytes::from(vec![7; payload]);
            assert_eq!(
                retained.has_room(topic.as_bytes(), &payload).is_ok(),
                retained.keep(topic.as_bytes(), payload, QoS::AtMostOnce).is_ok()
            );
            let kept = retained.kept();
            let bytes: u64 = kept.messages.values().map(|message| size(message.payload.len())).sum();
            assert_eq!(kept.bytes, bytes);
            (kept.messages.len(), kept.bytes)
        };
        assert_eq!(keep("a", 50), (1, size(50)));
        assert_eq!(keep("b", 50), (1, size(50)), "no room");
        assert_eq!(keep("a", 10), (1, size(10)));
        assert_eq!(keep("b", 50), (2, size(50) + size(10)));
        assert_eq!(keep("a", 11), (2, size(50) + size(10)), "no room, and what was there stays");
        assert_eq!(keep("c", 0), (2, size(50) + size(10)));
        assert_eq!(keep("b", 0), (1, size(10)));
        assert_eq!(keep("a", 0), (0, 0));
    }

    /// Brute force over a small alphabet, against the definition.
    #[test]
    fn a_filter_finds_what_it_matches_in_order() {
        let words = |alphabet: &[&str]| {
            let mut words: Vec<String> = alphabet.iter().map(|&level| level.to_owned()).collect();
            for _ in 0..2 {
                let longer = words
                    .iter()
                    .flat_map(|start| alphabet.iter().map(move |level| format!("{start}/{level}")));
                words = words.iter().cloned().chain(longer).collect();
            }
            words.sort_unstable();
            words.dedup();
            words
        };
        // a space comes before `/`, and a letter behind it
        let topics = words(&["a", "a b", "ab", ""]);
        let topics = topics.iter().filter(|topic| !topic.is_empty());
        let retained = retained(topics.clone());
        let filters = words(&["a", "ab", "", "+", "#"]);
        let placed = |filter: &&String| super::super::topic::admit_filter(filter).is_ok();
        for filter in filters.iter().filter(placed) {
            let fitting: Vec<_> = topics.clone().filter(|topic| matches(topic, filter)).cloned().collect();
            assert_eq!(all(&retained, filter).0, fitting, "{filter}");
        }
    }

    /// No more than a filter's beginning allows is looked at.
    #[test]
    fn others_are_not_looked_at() {
        let town = (0..1000).map(|number| format!("town/{number:03}/x"));
        let retained = retained(town.chain(["city".to_owned(), "city/1".to_owned()]));
        assert_eq!(all(&retained, "town/007/x"), (vec!["town/007/x".to_owned()], 2));
        assert_eq!(all(&retained, "city/#"), (vec!["city".to_owned(), "city/1".to_owned()], 3));
        assert_eq!(all(&retained, "tow/+"), (vec![], 1));
        assert_eq!(all(&retained, "town/008/+").0.len(), 1);
        // in pieces
        assert_eq!(all(&retained, "town/+/y"), (vec![], 1 + 1000 / LOOKED_AT));
        assert_eq!(all(&retained, "+/1"), (vec!["city/1".to_owned()], 2 + 1000 / LOOKED_AT));
        assert_eq!(all(&retained, "#").0.len(), 1002);
    }

    /// No client can retain such a topic; should one be there, no wildcard finds it.
    #[test]
    fn a_wildcard_does_not_stand_for_a_level_with_dollar() {
        let retained = retained(["$SYS/a", "$SYS/b"]);
        for filter in ["#", "+/a", "+/#"] {
            assert!(all(&retained, filter).0.is_empty(), "{filter}");
        }
    }
}
