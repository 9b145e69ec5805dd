//! One town at a time.

use std::fs::File;
use std::path::Path;

/// Waits until no other test runs twenty processes: also not one of another program, as `cargo nextest` has it.
pub(crate) fn alone() -> File {
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("processes.lock")).unwrap();
    lock.lock().unwrap();
    lock
}
