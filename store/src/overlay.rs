//! The writes since the last commit, laid over what is committed.

use std::collections::BTreeMap;
use std::collections::btree_map::IntoIter;
use std::fmt;
use std::ops::{Bound, Range};

use zeroize::Zeroizing;

use crate::{Entry, Table};

/// What is to happen to a key: a new value, or `None` to remove it. Wiped when dropped.
pub(crate) type Write = Option<Zeroizing<Vec<u8>>>;

/// The writes of one table, by key.
pub(crate) type Writes = BTreeMap<Vec<u8>, Write>;

/// The writes since the last commit, in key order, so that they reach the disk near-sequentially.
#[derive(Clone, Default)]
pub(crate) struct Overlay(BTreeMap<Table, Writes>);

impl Overlay {
    pub(crate) fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        let write = value.map(|value| Zeroizing::new(value.to_vec()));
        self.0.entry(table).or_default().insert(key.to_vec(), write);
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<&Write> {
        self.0.get(&table)?.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Merges the committed entries of `range`, which `below` gives in key order, with the writes in it.
    /// The range must not end before it starts.
    pub(crate) fn merge<E>(
        &self,
        table: Table,
        range: Range<&[u8]>,
        limit: usize,
        below: impl Iterator<Item = Result<Entry, E>>,
    ) -> Result<Vec<Entry>, E> {
        let mut writes = self
            .0
            .get(&table)
            .into_iter()
            .flat_map(|writes| writes.range::<[u8], _>(bounds(range.clone())))
            .peekable();
        let mut below = below.peekable();
        let mut merged = Vec::new();
        while merged.len() < limit {
            let committed_first = match (below.peek(), writes.peek()) {
                (None, None) => break,
                (Some(Ok((key, _))), Some((written, _))) => key < *written,
                (Some(_), _) => true,
                (None, Some(_)) => false,
            };
            if committed_first {
                merged.extend(below.next().transpose()?);
            } else if let Some((key, write)) = writes.next() {
                // the write hides what is committed under the same key
                below.next_if(|entry| matches!(entry, Ok((committed, _)) if committed == key)).transpose()?;
                merged.extend(write.as_ref().map(|value| (key.clone(), value.to_vec())));
            }
        }
        Ok(merged)
    }
}

/// `Range<&T>` is a range of `T` to the standard library for sized `T` only.
pub(crate) fn bounds(range: Range<&[u8]>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(range.start), Bound::Excluded(range.end))
}

impl IntoIterator for Overlay {
    type Item = (Table, Writes);
    type IntoIter = IntoIter<Table, Writes>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("writes", &self.len()).finish_non_exhaustive()
    }
}
