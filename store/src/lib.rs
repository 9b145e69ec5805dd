//! A durable, ordered key-value store with group commit.
//!
//! Every party writes down what it must not forget before it says so to another one. One fsync costs
//! milliseconds whatever the engine, so the way to be both safe and fast is to put many writes under one
//! [`Store::commit`] and to acknowledge them together afterwards.
//!
//! The store knows keys and bytes and no message. There are two of them: [`FileStore`], one file with one owner,
//! and [`MemoryStore`], which forgets what was not committed when told to crash.
//!
//! What must stay true:
//! * reads see the writes that are not yet committed;
//! * a commit is all or nothing, also when the process or the machine dies in the middle of it;
//! * after a commit that failed nothing more is accepted: what is on the disk is then unknown, and the only way
//!   to know it again is to open the file anew.
//!
//! ```
//! use store::{MemoryStore, Store, Table};
//!
//! const READINGS: Table = Table("readings");
//!
//! # fn main() -> Result<(), store::StoreError> {
//! let mut store = MemoryStore::default();
//! store.put(READINGS, b"home-1/0001", b"420")?;
//! store.put(READINGS, b"home-1/0002", b"180")?;
//! store.commit()?; // one fsync for both
//! assert_eq!(store.range(READINGS, b"home-1/".as_slice()..b"home-10".as_slice(), 10)?.len(), 2);
//! # Ok(())
//! # }
//! ```

mod error;
mod file;
mod memory;
mod overlay;

use std::ops::Range;

pub use error::StoreError;
pub use file::FileStore;
pub use memory::MemoryStore;

/// The name of one keyspace; a table exists as soon as something is put into it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Table(pub &'static str);

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Ordered bytes that survive a crash once they are committed.
pub trait Store {
    /// The value under `key`, also when it is not yet committed.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be read, or after a commit that failed.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The entries with `range.start <= key < range.end` in the order of their keys, at most `limit` of them, also
    /// those not yet committed. A range that ends before it starts is empty.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be read, or after a commit that failed.
    fn range(&self, table: Table, range: Range<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// Sets the value under `key`, to be durable with the next [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// [`StoreError::Stopped`] after a commit that failed.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes what is under `key`, if anything, with the next [`commit`](Self::commit).
    ///
    /// # Errors
    ///
    /// [`StoreError::Stopped`] after a commit that failed.
    fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StoreError>;

    /// Makes everything put or removed so far durable, all of it or nothing, with one fsync (about 4 ms on an SSD,
    /// none if nothing is pending).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the disk refused. It is then unknown whether the writes survived: this store refuses all
    /// further work, and the process is to stop and start again from the file.
    fn commit(&mut self) -> Result<(), StoreError>;

    /// How many keys were put or removed since the last commit.
    fn pending(&self) -> usize;
}

/// Rows read at once.
const PAGE: usize = 4_096;

/// Every entry of a table whose keys are shorter than 64 bytes, in their order.
///
/// # Errors
///
/// As [`Store::range`].
pub fn entries(table: Table, store: &dyn Store) -> Result<Vec<Entry>, StoreError> {
    entries_within(table, &[], &[0xff; 64], store)
}

/// Every entry with `start <= key < end`, in the order of their keys, read in pages.
///
/// # Errors
///
/// As [`Store::range`].
pub fn entries_within(
    table: Table,
    start: &[u8],
    end: &[u8],
    store: &dyn Store,
) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    pages(table, start..end, store, |page| {
        entries.extend(page);
        Ok::<(), StoreError>(())
    })?;
    Ok(entries)
}

/// Shows every entry of a table whose keys are shorter than 64 bytes to `look`, in the order of their keys; for tables that
/// need not fit into memory.
///
/// # Errors
///
/// As [`Store::range`], and whatever `look` returns.
pub fn visit<E: From<StoreError>>(
    table: Table,
    store: &dyn Store,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    pages(table, &[]..&[0xff; 64], store, |page| page.iter().try_for_each(|(key, value)| look(key, value)))
}

fn pages<E: From<StoreError>>(
    table: Table,
    range: Range<&[u8]>,
    store: &dyn Store,
    mut take: impl FnMut(Vec<Entry>) -> Result<(), E>,
) -> Result<(), E> {
    let mut from = range.start.to_vec();
    loop {
        let page = store.range(table, &from[..]..range.end, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = [last, &[0][..]].concat();
        take(page)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reading page by page shows each entry once, in order, and stops where the reader does.
    #[test]
    fn pages_are_one_table() {
        const TABLE: Table = Table("rows");
        let rows = u32::try_from(2 * PAGE + 3).unwrap();
        let mut store = MemoryStore::default();
        for row in 0..rows {
            store.put(TABLE, &row.to_be_bytes(), b"value").unwrap();
        }
        let mut seen = Vec::new();
        visit(TABLE, &store, |key, value| {
            assert_eq!(value, b"value");
            seen.push(u32::from_be_bytes(key.try_into().unwrap()));
            Ok::<(), StoreError>(())
        })
        .unwrap();
        assert!(seen.into_iter().eq(0..rows));
        let (start, end) = (5_u32.to_be_bytes(), (rows - 1).to_be_bytes());
        let within = entries_within(TABLE, &start, &end, &store).unwrap();
        assert_eq!(within.len(), rows as usize - 6);
        assert_eq!(
            (&within[0].0[..], &within[within.len() - 1].0[..]),
            (&start[..], &(rows - 2).to_be_bytes()[..])
        );
        let mut count = 0;
        let stopped = visit(TABLE, &store, |_, _| {
            count += 1;
            if count == 2 { Err(StoreError::Stopped) } else { Ok(()) }
        });
        assert!(matches!(stopped, Err(StoreError::Stopped)) && count == 2);
    }
}
