//! What every party has beside its own keys: the registrar's public key, and the roster that the registrar signed.

use std::path::Path;

use anyhow::Context as _;
use protocol::roster::Roster;
use protocol::signature::VerifyingKey;

/// Reads the registrar's key and the roster that it signed.
///
/// # Errors
///
/// A file that can't be read, or a roster that the registrar did not sign.
pub fn read_roster(registrar: &Path, roster: &Path) -> anyhow::Result<(VerifyingKey, Roster)> {
    let registrar = keyfile::read_verifying_key(registrar)?;
    let bytes =
        std::fs::read(roster).with_context(|| format!("cannot read the roster {}", roster.display()))?;
    let accepted = Roster::accept(&bytes, &registrar)
        .with_context(|| format!("the roster {} was refused", roster.display()))?;
    Ok((registrar, accepted))
}
