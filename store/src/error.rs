//! Why the store refused.

use std::io;
use std::path::PathBuf;

/// Why the store refused.
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
    #[error("the store {} is in use by another process; stop that one first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no store, or it was damaged.
    #[error("the store {} is damaged or no store ({detail}); put it aside and look up Disaster in docs/operating.md: what the role can do without it, and whether a backup may take its place", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found to be wrong.
        detail: String,
    },
    /// The disk refused to read or write: full, read-only, or broken.
    #[error("the disk refused the store {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The storage engine refused for another reason.
    #[error("the storage engine refused the store {}", path.display())]
    Engine {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Box<redb::Error>,
    },
    /// An earlier commit failed, so that it is unknown what the disk holds.
    #[error("a commit failed before, and what the disk holds is unknown; start the process again")]
    Stopped,
    /// A memory store was told to fail, by [`MemoryStore::fail_next_commit`](crate::MemoryStore::fail_next_commit).
    #[error("the commit was made to fail")]
    Injected,
}
