//! Key files: one key a file, mode 0600, never overwritten.
//!
//! A file is a comment for people and one line `LABEL HEX`. The label says what the key is, so that a meter's key is
//! never taken for an aggregator's.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use protocol::hpke_box::{OpeningKey, Suite};
use protocol::signature::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

const SIGNING: &str = "wattveil-ed25519-secret";
const VERIFYING: &str = "wattveil-ed25519-public";
const X25519: &str = "wattveil-x25519-secret";
const XWING: &str = "wattveil-xwing-secret";

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file can't be read or written.
    #[error("cannot open the key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A key is there already.
    #[error("the key file {} exists and is never overwritten; move it away first", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the secret.
    #[error("the key file {} may be read by others (mode {mode:o}); type: chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a key file, or one of another kind.
    #[error("{} is not a key file of kind {wanted}: it has no line `{wanted} HEX`", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The kind wanted.
        wanted: &'static str,
    },
}

/// Writes a new signing key.
///
/// # Errors
///
/// [`KeyFileError::Exists`], [`KeyFileError::Io`].
pub fn write_signing_key(path: &Path, key: &SigningKey) -> Result<(), KeyFileError> {
    write(path, SIGNING, key.as_bytes(), 0o600)
}

/// Reads a signing key.
///
/// # Errors
///
/// [`KeyFileError`].
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let bytes = read_secret(path, SIGNING)?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// Writes a new opening key; its number is in the file.
///
/// # Errors
///
/// [`KeyFileError::Exists`], [`KeyFileError::Io`].
pub fn write_opening_key(path: &Path, key: &OpeningKey) -> Result<(), KeyFileError> {
    let mut bytes = Zeroizing::new(key.key_id().to_be_bytes().to_vec());
    bytes.extend_from_slice(key.as_bytes());
    write(path, label(key.suite()), &bytes, 0o600)
}

/// Reads an opening key of either suite.
///
/// # Errors
///
/// [`KeyFileError`].
pub fn read_opening_key(path: &Path) -> Result<OpeningKey, KeyFileError> {
    let (bytes, suite) = match read_secret::<36>(path, X25519) {
        Ok(bytes) => (bytes, Suite::X25519),
        Err(KeyFileError::Kind { .. }) => (read_secret::<36>(path, XWING)?, Suite::XWing),
        Err(error) => return Err(error),
    };
    let (id, secret) = bytes.split_at(4);
    let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    OpeningKey::from_bytes(id, suite, secret)
        .ok_or_else(|| KeyFileError::Kind { path: path.into(), wanted: label(suite) })
}

/// Writes a new public key.
///
/// # Errors
///
/// [`KeyFileError::Exists`], [`KeyFileError::Io`].
pub fn write_verifying_key(path: &Path, key: &VerifyingKey) -> Result<(), KeyFileError> {
    write(path, VERIFYING, &key.to_bytes(), 0o644)
}

/// Reads a public key.
///
/// # Errors
///
/// [`KeyFileError`].
pub fn read_verifying_key(path: &Path) -> Result<VerifyingKey, KeyFileError> {
    let bytes = read::<32>(path, VERIFYING)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| KeyFileError::Kind { path: path.into(), wanted: VERIFYING })
}

fn label(suite: Suite) -> &'static str {
    match suite {
        Suite::X25519 => X25519,
        Suite::XWing => XWING,
    }
}

fn write(path: &Path, label: &str, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let at = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.into() },
        _ => KeyFileError::Io { path: path.into(), source },
    };
    let comment = if mode == 0o600 { "# secret: keep it on this machine\n" } else { "# public\n" };
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(comment);
    text.push_str(label);
    text.push(' ');
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes every byte");
    }
    text.push('\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(at)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at)
}

fn read_secret<const N: usize>(path: &Path, label: &'static str) -> Result<Zeroizing<[u8; N]>, KeyFileError> {
    let metadata = fs::metadata(path).map_err(|source| KeyFileError::Io { path: path.into(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.into(), mode });
    }
    read(path, label)
}

fn read<const N: usize>(path: &Path, label: &'static str) -> Result<Zeroizing<[u8; N]>, KeyFileError> {
    let text = fs::read_to_string(path).map_err(|source| KeyFileError::Io { path: path.into(), source })?;
    let text = Zeroizing::new(text);
    let hex = text.lines().find_map(|line| line.strip_prefix(label)?.strip_prefix(' '));
    hex.and_then(|hex| from_hex(hex.trim()))
        .ok_or_else(|| KeyFileError::Kind { path: path.into(), wanted: label })
}

fn from_hex<const N: usize>(hex: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    /// Keys round-trip, are 0600, are never overwritten, and are not taken for one another.
    #[test]
    fn keys_are_kept_apart_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let (signing, opening, public) =
            (directory.path().join("s.key"), directory.path().join("o.key"), directory.path().join("p.pub"));
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = SigningKey::generate(&mut rng);
        write_signing_key(&signing, &key).unwrap();
        assert_eq!(read_signing_key(&signing).unwrap().verifying_key(), key.verifying_key());
        assert_eq!(fs::metadata(&signing).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_signing_key(&signing, &key), Err(KeyFileError::Exists { .. })));
        for suite in [Suite::X25519, Suite::XWing] {
            let box_key = OpeningKey::generate(7, suite, &mut rng);
            write_opening_key(&opening, &box_key).unwrap();
            assert_eq!(read_opening_key(&opening).unwrap().sealing_key(), box_key.sealing_key());
            fs::remove_file(&opening).unwrap();
        }
        write_verifying_key(&public, &key.verifying_key()).unwrap();
        assert_eq!(read_verifying_key(&public).unwrap(), key.verifying_key());
        assert!(matches!(read_opening_key(&signing), Err(KeyFileError::Kind { .. })));
        assert!(matches!(read_verifying_key(&signing), Err(KeyFileError::Kind { .. })));
        fs::set_permissions(&signing, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = read_signing_key(&signing).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        assert!(matches!(
            read_signing_key(directory.path().join("no").as_path()),
            Err(KeyFileError::Io { .. })
        ));
    }
}
