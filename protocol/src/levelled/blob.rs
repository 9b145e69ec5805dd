//! Blobs: bytes longer than a document, named by a signed one, that travel as parts of their own.
//!
//! Memory is bounded by what signed documents announce: parts of anything else are dropped, and come again.

use std::collections::BTreeMap;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::Hash;
use crate::part::{Part, PartError, split};
use crate::signature::hash;
use crate::wire;

/// The longest blob, in bytes: a relinearisation share of the largest profile has 36 MB.
pub const MAX_BLOB: u32 = 64 << 20;

/// The name of a blob: what a signed document says of it.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Eq, Ord, PartialEq, PartialOrd, Serialize_tuple)]
pub struct Blob {
    /// The hash that its parts name it by.
    pub hash: Hash,
    /// Its bytes.
    pub len: u32,
}

impl Blob {
    /// The name of these bytes.
    ///
    /// # Panics
    ///
    /// For more than 4 GiB.
    pub fn of(bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("a blob is far below 4 GiB");
        Self { hash: hash("part", &[bytes]), len }
    }

    /// Whether these are its bytes.
    pub fn names(&self, bytes: &[u8]) -> bool {
        *self == Self::of(bytes)
    }

    /// The messages that carry these bytes.
    pub fn parts(bytes: &[u8]) -> Vec<Vec<u8>> {
        split(bytes)
    }
}

/// Puts announced blobs together again, whatever the order of their parts.
#[derive(Debug, Default)]
pub struct Depot {
    expected: BTreeMap<Hash, Expected>,
}

#[derive(Debug)]
struct Expected {
    len: usize,
    missing: usize,
    parts: Vec<Option<Vec<u8>>>,
}

impl Depot {
    /// Takes parts of this blob from now on; memory is used as they come.
    ///
    /// A blob of more than [`MAX_BLOB`] bytes, or of none, is never expected.
    pub fn expect(&mut self, blob: Blob) {
        let (len, total) = (blob.len as usize, (blob.len as usize).div_ceil(crate::part::PART_BYTES));
        if blob.len <= MAX_BLOB && total > 0 {
            let fresh = || Expected { len, missing: total, parts: vec![None; total] };
            self.expected.entry(blob.hash).or_insert_with(fresh);
        }
    }

    /// No longer takes parts of this blob.
    pub fn forget(&mut self, hash: &Hash) {
        self.expected.remove(hash);
    }

    /// How many blobs are expected.
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// Takes one part; gives the blob when it is whole, which is then no longer expected. Parts of what nobody announced are
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`PartError`]; parts that do not make the blob they name are forgotten, and wanted anew.
    pub fn take(&mut self, payload: &[u8]) -> Result<Option<(Blob, Vec<u8>)>, PartError> {
        let part: Part = wire::decode(payload)?;
        let Some(expected) = self.expected.get_mut(&part.document) else { return Ok(None) };
        let (index, total) = (usize::from(part.index), usize::from(part.total));
        let last = expected.len - (expected.parts.len() - 1) * crate::part::PART_BYTES;
        let wanted = if index + 1 == expected.parts.len() { last } else { crate::part::PART_BYTES };
        if total != expected.parts.len() || index >= total || part.bytes.len() != wanted {
            return Err(PartError::Numbers { index: part.index, total: part.total, len: part.bytes.len() });
        }
        if expected.parts[index].replace(part.bytes.into_vec()).is_none() {
            expected.missing -= 1;
        }
        if expected.missing > 0 {
            return Ok(None);
        }
        let bytes: Vec<u8> =
            expected.parts.iter_mut().flat_map(|part| part.take().unwrap_or_default()).collect();
        let blob = Blob::of(&bytes);
        if blob.hash == part.document {
            self.expected.remove(&part.document);
            return Ok(Some((blob, bytes)));
        }
        // Somebody mixed in bytes of their own: all of it comes again.
        expected.missing = expected.parts.len();
        Err(PartError::Hash(part.document))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Parts in any order, doubled, make the blob once; nothing that was not announced uses memory.
        #[test]
        fn parts_make_the_blob(len in 1_usize..60_000, rotate: prop::sample::Index) {
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let blob = Blob::of(&bytes);
            let mut parts = Blob::parts(&bytes);
            let mut depot = Depot::default();
            prop_assert!(depot.take(&parts[0]).unwrap().is_none() && depot.is_empty());
            depot.expect(blob);
            let n = parts.len();
            parts.rotate_left(rotate.index(n));
            let mut whole = Vec::new();
            for part in parts[..n - 1].iter().chain(&parts[..n - 1]).chain(parts.last()) {
                whole.extend(depot.take(part).unwrap());
            }
            prop_assert_eq!(whole, [(blob, bytes)]);
            prop_assert!(depot.is_empty());
        }
    }

    /// A changed part spoils one round of parts; the next round makes the blob.
    #[test]
    fn spoilt_blobs_come_again() {
        let bytes = vec![7; 40_000];
        let (blob, parts) = (Blob::of(&bytes), Blob::parts(&bytes));
        let mut depot = Depot::default();
        depot.expect(blob);
        let foreign: Part = wire::decode(&parts[1]).unwrap();
        let foreign = Part { bytes: vec![8; foreign.bytes.len()].into(), ..foreign };
        assert!(depot.take(&parts[0]).unwrap().is_none());
        assert!(depot.take(&wire::encode(&foreign)).unwrap().is_none());
        assert!(matches!(depot.take(&parts[2]), Err(PartError::Hash(_))));
        for part in &parts[..2] {
            assert!(depot.take(part).unwrap().is_none());
        }
        assert_eq!(depot.take(&parts[2]).unwrap(), Some((blob, bytes)));
        let short = Part { bytes: vec![8; 3].into(), ..foreign };
        depot.expect(blob);
        assert!(matches!(depot.take(&wire::encode(&short)), Err(PartError::Numbers { .. })));
        depot.expect(Blob { hash: blob.hash, len: MAX_BLOB + 1 });
        assert_eq!(depot.len(), 1);
    }
}
