//! The store in one file.

#[cfg(test)]
mod disk;

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process;

use redb::backends::FileBackend;
use redb::{
    Builder, CommitError, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase,
    ReadableTable, StorageBackend, StorageError, TableDefinition, TableError,
};

use crate::overlay::Overlay;
use crate::{Entry, Store, StoreError, Table};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Committed = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A store in one file with one owner.
pub struct FileStore {
    path: PathBuf,
    database: Database,
    overlay: Overlay,
    /// A commit failed: the kernel may have dropped the dirty pages and say "written" the next time it is asked, so
    /// neither memory nor disk can be trusted before the file is opened anew.
    stopped: bool,
}

impl FileStore {
    /// Opens the file, which is created for its owner alone (mode 0600) when there is none, and reads it once from
    /// end to end to see that nothing in it was damaged (1.5 s for each GB, when it need not be fetched from the disk). `cache_bytes` bounds the memory
    /// that is used to hold pages of it; 16 MiB is plenty.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be opened, is in use, or is damaged.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.to_path_buf(), source };
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::on(path, file_backend(path, file)?, cache_bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (fresh, file) = Fresh::create(path).map_err(open)?;
                let store = Self::on(path, file_backend(path, file)?, cache_bytes)?;
                fresh.publish(path).map_err(open)?;
                Ok(store)
            }
            Err(error) => Err(open(error)),
        }
    }

    fn on(path: &Path, backend: impl StorageBackend, cache_bytes: usize) -> Result<Self, StoreError> {
        let database = Builder::new()
            .set_cache_size(cache_bytes)
            // without it redb trusts a file that was closed cleanly, and panics where it was altered since
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|error| opened(path, error))?;
        Ok(Self { path: path.to_path_buf(), database, overlay: Overlay::default(), stopped: false })
    }

    fn running(&self) -> Result<(), StoreError> {
        if self.stopped { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// The committed side of a table; `None` when nothing was ever committed to it.
    fn committed(&self, table: Table) -> Result<Option<Committed>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.refused(error))?;
        match transaction.open_table(Definition::new(table.0)) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// One transaction, one fsync.
    fn write(&self, overlay: Overlay) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        for (table, writes) in overlay {
            let mut table = transaction.open_table(Definition::new(table.0))?;
            for (key, write) in writes {
                match write {
                    Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(key.as_slice())?),
                }
            }
        }
        transaction.commit().map_err(CommitError::into)
    }

    fn refused(&self, error: impl Into<redb::Error>) -> StoreError {
        let path = self.path.clone();
        match error.into() {
            redb::Error::Io(source) => StoreError::Disk { path, source },
            redb::Error::Corrupted(detail) => StoreError::Corrupt { path, detail },
            error => StoreError::Engine { path, source: Box::new(error) },
        }
    }
}

impl Store for FileStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.running()?;
        if let Some(write) = self.overlay.get(table, key) {
            return Ok(write.as_ref().map(|value| value.to_vec()));
        }
        let Some(committed) = self.committed(table)? else {
            return Ok(None);
        };
        let value = committed.get(key).map_err(|error| self.refused(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn range(&self, table: Table, range: Range<&[u8]>, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.running()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let committed = self.committed(table)?;
        let below = committed
            .as_ref()
            .map(|committed| ReadableTable::range::<&[u8]>(committed, range.clone()))
            .transpose()
            .map_err(|error| self.refused(error))?
            .into_iter()
            .flatten()
            .map(|entry| entry.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())));
        self.overlay.merge(table, range, limit, below).map_err(|error: StorageError| self.refused(error))
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
        if self.overlay.is_empty() {
            return Ok(());
        }
        let overlay = mem::take(&mut self.overlay);
        self.write(overlay).map_err(|error| {
            self.stopped = true;
            self.refused(error)
        })
    }

    fn pending(&self) -> usize {
        self.overlay.len()
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("path", &self.path)
            .field("pending", &self.pending())
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}

/// A file that gets its name only when there is a store in it, so that a crash in the making leaves none that is
/// later taken for a damaged one.
struct Fresh(PathBuf);

impl Fresh {
    /// Creates it beside `path`, for its owner alone.
    fn create(path: &Path) -> io::Result<(Self, File)> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", process::id()));
        let fresh = PathBuf::from(name);
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&fresh)?;
        Ok((Self(fresh), file))
    }

    /// Gives it its name, unless another process was first, and makes the name durable.
    fn publish(self, path: &Path) -> io::Result<()> {
        fs::hard_link(&self.0, path)?;
        fs::remove_file(&self.0)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

fn file_backend(path: &Path, file: File) -> Result<FileBackend, StoreError> {
    FileBackend::new(file).map_err(|error| opened(path, error))
}

fn opened(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_path_buf();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse { path }
        }
        DatabaseError::Storage(StorageError::Corrupted(detail)) => StoreError::Corrupt { path, detail },
        // redb's word for a file that does not start as one of its own
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() == io::ErrorKind::InvalidData => {
            StoreError::Corrupt { path, detail: source.to_string() }
        }
        DatabaseError::Storage(StorageError::Io(source)) => StoreError::Open { path, source },
        error => StoreError::Engine { path, source: Box::new(error.into()) },
    }
}

#[cfg(test)]
mod tests {
    use super::disk::Disk;
    use super::*;

    const TABLE: Table = Table("table");

    fn open(disk: &Disk) -> Result<FileStore, StoreError> {
        FileStore::on(Path::new("disk"), disk.clone(), 1 << 20)
    }

    /// A disk with an empty store on it; its calls are counted from here.
    fn formatted() -> Disk {
        let disk = Disk::default();
        open(&disk).unwrap();
        disk.start_counting();
        disk
    }

    /// Writes two groups, the second of which overwrites and adds, until one fails; says how many were committed.
    fn write_groups(store: &mut FileStore) -> (u8, Option<StoreError>) {
        for (group, keys) in [(1_u8, 0..40_u8), (2, 20..60)] {
            for key in keys {
                store.put(TABLE, &[key], &[group; 700]).unwrap();
            }
            if let Err(error) = store.commit() {
                return (group - 1, Some(error));
            }
        }
        (2, None)
    }

    /// How many groups the store holds; panics when it holds a part of one.
    fn groups(store: &FileStore) -> u8 {
        let rows: Vec<(u8, u8)> = store
            .range(TABLE, &[][..]..&[255][..], 1000)
            .unwrap()
            .into_iter()
            .map(|(key, value)| {
                assert_eq!(value, [value[0]; 700]);
                (key[0], value[0])
            })
            .collect();
        let one: Vec<_> = (0..40).map(|key| (key, 1)).collect();
        let two: Vec<_> = (0..60).map(|key| (key, if key < 20 { 1 } else { 2 })).collect();
        if rows.is_empty() {
            0
        } else if rows == one {
            1
        } else {
            assert_eq!(rows, two, "a part of a group");
            2
        }
    }

    /// Every call to the disk fails once: never a panic, always an error, then refusal, and no part of a group.
    #[test]
    fn whichever_call_to_a_full_disk_fails_the_store_stops_and_reopens_whole() {
        let counted = formatted();
        assert!(write_groups(&mut open(&counted).unwrap()).1.is_none());
        let calls = counted.calls();
        assert!(calls > 10);
        for failing in 0..calls {
            let disk = formatted();
            disk.fail_at(failing);
            match open(&disk) {
                Err(error) => {
                    assert!(matches!(error, StoreError::Open { .. } | StoreError::Engine { .. }), "{error}");
                }
                Ok(mut store) => {
                    if let (_, Some(error)) = write_groups(&mut store) {
                        assert!(
                            matches!(error, StoreError::Disk { .. } | StoreError::Engine { .. }),
                            "{error}"
                        );
                        assert!(matches!(store.put(TABLE, b"k", b"v"), Err(StoreError::Stopped)));
                        assert!(matches!(store.get(TABLE, b"k"), Err(StoreError::Stopped)));
                        assert!(matches!(store.commit(), Err(StoreError::Stopped)));
                    }
                }
            }
            disk.repair();
            groups(&open(&disk).unwrap());
        }
    }

    /// The power fails before each call; of what was written since the last sync any part may have reached the disk.
    #[test]
    fn a_power_cut_loses_no_commit_and_leaves_no_part_of_one() {
        let counted = formatted();
        assert!(write_groups(&mut open(&counted).unwrap()).1.is_none());
        for failing in 0..counted.calls() {
            for seed in 0..8 {
                let disk = formatted();
                disk.fail_at(failing);
                let committed = open(&disk).map_or(0, |mut store| write_groups(&mut store).0);
                disk.power_cut(seed);
                let found = groups(&open(&disk).unwrap());
                assert!(found >= committed, "call {failing}, seed {seed}: {found} groups of {committed}");
            }
        }
    }
}
