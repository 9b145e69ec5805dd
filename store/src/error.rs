//! Why the store failed.

use std::io;
use std::path::PathBuf;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be opened or created.
    #[error("cannot open the store {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process holds the file, or this one holds it twice.
    #[error("the store {} is in use by another process; stop that process first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a store, or it is damaged.
    #[error("the store {} is damaged or not a store ({detail}); move it away and read docs/operating.md (Disaster) before you restore a backup", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found to be wrong.
        detail: String,
    },
    /// The disk refused to read or write: full, read-only, or broken.
    #[error("cannot read or write the store {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The storage engine refused for another reason.
    #[error("the storage engine failed on the store {}", path.display())]
    Engine {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Box<redb::Error>,
    },
    /// An earlier commit failed, so that it is unknown what the disk holds.
    #[error("an earlier commit failed, so the state on the disk is unknown; restart the process")]
    Stopped,
    /// A memory store was told to fail, by [`MemoryStore::fail_next_commit`](crate::MemoryStore::fail_next_commit).
    #[error("the commit was made to fail")]
    Injected,
}
