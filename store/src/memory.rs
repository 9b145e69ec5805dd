//! The store that lives in memory, for simulations and tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use crate::overlay::{Overlay, bounds};
use crate::{Entry, Store, StoreError, Table};

/// Each table's rows, by key.
type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A store in memory with the promises of a file: [`crash`](Self::crash) drops what was not committed, and nothing
/// else.
#[derive(Clone, Default)]
pub struct MemoryStore {
    /// Shared, so that a copy of the store costs nothing until one of them commits.
    committed: Arc<Tables>,
    overlay: Overlay,
    commits: u64,
    fail_next: bool,
    stopped: bool,
}

impl MemoryStore {
    /// What a crash of the process and a start from the disk would do: drops what was not committed, and accepts
    /// work again if a commit had failed.
    pub fn crash(&mut self) {
        self.overlay = Overlay::default();
        self.fail_next = false;
        self.stopped = false;
    }

    /// How many commits wrote something: the fsyncs a file would have cost.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Makes the next commit fail: its writes are lost, and all further work is refused until a
    /// [`crash`](Self::crash).
    pub fn fail_next_commit(&mut self) {
        self.fail_next = true;
    }

    fn running(&self) -> Result<(), StoreError> {
        if self.stopped { Err(StoreError::Stopped) } else { Ok(()) }
    }
}

impl Store for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.running()?;
        Ok(match self.overlay.get(table, key) {
            Some(write) => write.as_ref().map(|value| value.to_vec()),
            None => self.committed.get(&table).and_then(|entries| entries.get(key)).cloned(),
        })
    }

    fn range(&self, table: Table, range: Range<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.running()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let inside = bounds(range.clone());
        let below = self
            .committed
            .get(&table)
            .into_iter()
            .flat_map(|entries| entries.range::<[u8], _>(inside))
            .map(|(key, value)| Ok::<_, Infallible>((key.clone(), value.clone())));
        let Ok(merged) = self.overlay.merge(table, range, limit, below);
        Ok(merged)
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.running()?;
        self.overlay.set(table, key, Some(value));
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        self.running()?;
        self.overlay.set(table, key, None);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.running()?;
        if mem::take(&mut self.fail_next) {
            self.stopped = true;
            return Err(StoreError::Injected);
        }
        if self.overlay.is_empty() {
            return Ok(());
        }
        let committed = Arc::make_mut(&mut self.committed);
        for (table, writes) in mem::take(&mut self.overlay) {
            let entries = committed.entry(table).or_default();
            for (key, write) in writes {
                match write {
                    Some(mut value) => drop(entries.insert(key, mem::take(&mut *value))),
                    None => drop(entries.remove(&key)),
                }
            }
        }
        self.commits += 1;
        Ok(())
    }

    fn pending(&self) -> usize {
        self.overlay.len()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("commits", &self.commits)
            .field("pending", &self.pending())
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table("table");

    #[test]
    fn a_crash_drops_what_was_not_committed_and_nothing_else() {
        let mut store = MemoryStore::default();
        store.put(TABLE, b"kept", b"1").unwrap();
        store.commit().unwrap();
        store.put(TABLE, b"lost", b"2").unwrap();
        store.remove(TABLE, b"kept").unwrap();
        assert_eq!(store.pending(), 2);
        store.crash();
        assert_eq!(store.pending(), 0);
        assert_eq!(store.get(TABLE, b"kept").unwrap(), Some(b"1".to_vec()));
        assert_eq!(store.get(TABLE, b"lost").unwrap(), None);
    }

    #[test]
    fn after_a_failed_commit_everything_is_refused_until_the_crash() {
        let mut store = MemoryStore::default();
        store.put(TABLE, b"key", b"1").unwrap();
        store.fail_next_commit();
        assert!(matches!(store.commit(), Err(StoreError::Injected)));
        assert!(matches!(store.get(TABLE, b"key"), Err(StoreError::Stopped)));
        assert!(matches!(store.range(TABLE, &[][..]..&[9][..], 9), Err(StoreError::Stopped)));
        assert!(matches!(store.put(TABLE, b"key", b"2"), Err(StoreError::Stopped)));
        assert!(matches!(store.remove(TABLE, b"key"), Err(StoreError::Stopped)));
        assert!(matches!(store.commit(), Err(StoreError::Stopped)));
        store.crash();
        assert_eq!(store.get(TABLE, b"key").unwrap(), None);
        assert_eq!(store.commits(), 0);
    }

    #[test]
    fn an_empty_commit_costs_nothing() {
        let mut store = MemoryStore::default();
        store.commit().unwrap();
        assert_eq!(store.commits(), 0);
    }

    #[test]
    fn prints_no_contents() {
        let mut store = MemoryStore::default();
        store.put(TABLE, b"name", b"secret").unwrap();
        store.commit().unwrap();
        store.put(TABLE, b"name", b"secret").unwrap();
        let printed = format!("{store:?}");
        assert!(
            !printed.contains("name") && !printed.contains("115") && printed.contains("pending: 1"),
            "{printed}"
        );
    }
}
