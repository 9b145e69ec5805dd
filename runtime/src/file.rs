//! Files that a role owns: durable, and never overwritten by accident. A secret is in a file of mode 0600 or is refused.

use std::error::Error;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The mode of a file that everybody may read.
const PUBLIC: u32 = 0o644;

/// The mode of a secret.
const SECRET: u32 = 0o600;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file or directory can't be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is there already.
    #[error("cannot write {}: the file exists and is never overwritten; move it away first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the secret.
    #[error(
        "{} holds a secret and other users may read it (mode {mode:o}); type: chmod 600 {}",
        path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file does not hold what it should.
    #[error("the content of {} was refused", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Makes a directory that only its owner may enter, and those above it.
///
/// # Errors
///
/// [`FileError::Write`].
pub fn new_directory(path: &Path) -> Result<PathBuf, FileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map(|()| path.to_owned()).map_err(|source| FileError::Write { path: path.into(), source })
}

/// Writes a new file that everybody may read.
///
/// # Errors
///
/// [`FileError::Exists`], [`FileError::Write`].
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_new(path, bytes, PUBLIC)
}

/// Writes a new file that only its owner may read.
///
/// # Errors
///
/// [`FileError::Exists`], [`FileError::Write`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_new(path, bytes, SECRET)
}

/// Reads a file and parses its bytes.
///
/// # Errors
///
/// [`FileError::Read`], [`FileError::Content`].
pub fn read<T, E>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T, FileError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let bytes = fs::read(path).map_err(|source| FileError::Read { path: path.into(), source })?;
    parse(&bytes).map_err(|error| FileError::Content { path: path.into(), source: error.into() })
}

/// Reads a text file and parses it.
///
/// # Errors
///
/// [`FileError::Read`], [`FileError::Content`].
pub fn read_text<T, E>(path: &Path, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, FileError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let text = fs::read_to_string(path).map_err(|source| FileError::Read { path: path.into(), source })?;
    parse(&text).map_err(|error| FileError::Content { path: path.into(), source: error.into() })
}

/// Reads a secret that nobody else may read and parses it; the text is wiped from memory afterwards.
///
/// # Errors
///
/// [`FileError::Open`], and as [`read_text`].
pub fn read_secret<T, E>(path: &Path, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, FileError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let at = |source: io::Error| FileError::Read { path: path.into(), source };
    // mode and content of one file, whatever its name means a moment later
    let mut file = fs::File::open(path).map_err(at)?;
    let metadata = file.metadata().map_err(at)?;
    if let Some(mode) = open_to_others(&metadata) {
        return Err(FileError::Open { path: path.into(), mode });
    }
    // large enough at once: a buffer that grows leaves copies behind
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX).min(1 << 20);
    let mut text = Zeroizing::new(String::with_capacity(size + 1));
    file.read_to_string(&mut text).map_err(at)?;
    parse(&text).map_err(|error| FileError::Content { path: path.into(), source: error.into() })
}

/// The mode of a file or directory that other users may read, write or enter; nothing if it is its owner's alone.
pub fn open_to_others(metadata: &fs::Metadata) -> Option<u32> {
    let mode = metadata.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Writes a file in the place of another, whole or not at all. The mode of the file before stays.
///
/// # Errors
///
/// [`FileError::Write`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mode = fs::metadata(path).map_or(PUBLIC, |metadata| metadata.permissions().mode() & 0o777);
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&name)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&name, path)?;
        // the name, too, is durable before anybody learns of it
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        fs::File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    write().map_err(|source| FileError::Write { path: path.into(), source })
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let at = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists { path: path.into() },
        _ => FileError::Write { path: path.into(), source },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(at)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<u32, std::num::ParseIntError> {
        text.trim().parse()
    }

    /// Files are never overwritten; secrets are 0600 when written and refused when open.
    #[test]
    fn secrets_are_private_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = new_directory(&directory.path().join("a/b")).unwrap().join("secret");
        write_secret(&path, b"7\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_secret(&path, number).unwrap(), 7);
        assert!(matches!(write_secret(&path, b"8"), Err(FileError::Exists { .. })));
        assert!(matches!(write_public(&path, b"8"), Err(FileError::Exists { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read_secret(&path, number).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        assert_eq!(read_text(&path, number).unwrap(), 7, "what is public may be read by others");
        replace(&path, b"9").unwrap();
        assert_eq!(read_text(&path, number).unwrap(), 9);
        assert_eq!(open_to_others(&fs::metadata(&path).unwrap()), Some(0o640), "the mode stays");
        assert!(matches!(read_text(&path, str::parse::<bool>), Err(FileError::Content { .. })));
        assert!(matches!(read_secret(&directory.path().join("no"), number), Err(FileError::Read { .. })));
    }
}
