//! What the router may be made to remember: it gives nothing of it back, so that it is bounded here.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Identity, Refusal};
use crate::Config;

/// What all clients together have made the router remember.
#[derive(Debug)]
pub(crate) struct Budget {
    config: Config,
    /// Topics are known by their hashes, so that they are not kept twice.
    hasher: RandomState,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    /// Every filter that was ever subscribed to; the router keeps a log for each.
    filters: HashSet<String>,
    queue_bytes: u64,
    users: HashMap<Arc<str>, Memory>,
}

/// What one user has made the router remember.
#[derive(Debug, Default)]
struct Memory {
    topics: HashSet<u64>,
    filters: HashSet<u64>,
}

impl Budget {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, hasher: RandomState::new(), used: Mutex::default() }
    }

    pub(super) fn hash(&self, topic: &[u8]) -> u64 {
        self.hasher.hash_one(topic)
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user publishes to a topic that it may publish to.
    pub(super) fn topic(&self, identity: &Identity, topic: u64) -> Result<(), Refusal> {
        let mut used = self.used();
        let topics = &mut used.users.entry(Arc::clone(&identity.user)).or_default().topics;
        if topics.len() < identity.role().topics || topics.contains(&topic) {
            topics.insert(topic);
            Ok(())
        } else {
            Err(Refusal::Topics)
        }
    }

    /// A filter is subscribed to; whether it is the first time that anybody does.
    pub(super) fn filter(&self, identity: Option<&Identity>, filter: &str) -> Result<bool, Refusal> {
        let hash = self.hash(filter.as_bytes());
        let mut used = self.used();
        if let Some(identity) = identity {
            let filters = &mut used.users.entry(Arc::clone(&identity.user)).or_default().filters;
            if filters.len() >= identity.role().filters && !filters.contains(&hash) {
                return Err(Refusal::Filters);
            }
            filters.insert(hash);
        }
        if used.filters.contains(filter) {
            return Ok(false);
        }
        let queue = self.config.queue_of(filter).most(self.config.max_packet_bytes);
        if used.queue_bytes.saturating_add(queue) > self.config.max_queue_bytes {
            return Err(Refusal::Filters);
        }
        used.queue_bytes += queue;
        used.filters.insert(filter.to_owned());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueSize;
    use crate::config::Role;
    use crate::packet_filter::Grant;

    fn identity(topics: usize, filters: usize) -> Identity {
        let role = Role { name: "r".into(), topics, filters, ..Role::default() };
        Identity::new("u".into(), Grant::new(&role, None).unwrap().into())
    }

    #[test]
    fn a_user_has_so_many_topics_and_filters() {
        let budget = Budget::new(Config::default());
        let user = identity(2, 1);
        for topic in [1, 2, 1] {
            budget.topic(&user, topic).unwrap();
        }
        assert!(matches!(budget.topic(&user, 3), Err(Refusal::Topics)));
        assert!(budget.filter(Some(&user), "a").unwrap());
        assert!(!budget.filter(Some(&user), "a").unwrap());
        assert!(matches!(budget.filter(Some(&user), "b"), Err(Refusal::Filters)));
        assert!(budget.filter(None, "b").unwrap(), "nobody's");
    }

    #[test]
    fn all_logs_together_are_bounded() {
        let queue = QueueSize { segment_bytes: 1024, segments: 2 };
        let most = queue.most(1000);
        let budget = Budget::new(Config {
            queue,
            max_packet_bytes: 1000,
            max_queue_bytes: 2 * most,
            ..Config::default()
        });
        assert!(budget.filter(None, "a").unwrap() && budget.filter(None, "b").unwrap());
        assert!(!budget.filter(None, "a").unwrap(), "it is there already");
        assert!(matches!(budget.filter(None, "c"), Err(Refusal::Filters)));
    }
}
