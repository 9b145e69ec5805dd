//! Parts: how a document longer than one message travels.
//!
//! Every document of a release goes in parts, most in one. Memory is bounded: a topic may have [`MAX_OPEN`] documents
//! in assembly of at most [`MAX_DOCUMENT`] bytes each; a newer one pushes the oldest out. What is lost that way, or by a
//! crash, comes again: every document is repeated until it is answered.

use std::collections::{BTreeMap, VecDeque};

use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::Hash;
use crate::signature::hash;
use crate::wire::{self, DecodeError, MAX_DOCUMENT};

/// The most bytes of a document in one part, so that every message stays below 16 KiB.
pub const PART_BYTES: usize = 15 * 1024;

/// The most documents in assembly on one topic.
pub const MAX_OPEN: usize = 4;

/// The most topics with documents in assembly.
pub const MAX_TOPICS: usize = 64;

/// A part of a document.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub(crate) struct Part {
    pub(crate) document: Hash,
    pub(crate) index: u16,
    pub(crate) total: u16,
    pub(crate) bytes: ByteBuf,
}

/// Why a part was refused.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// Not a part.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Numbers that don't fit a document.
    #[error(
        "part {index} of {total} with {len} bytes is not a part of a document of at most {MAX_DOCUMENT} bytes"
    )]
    Numbers {
        /// Which part.
        index: u16,
        /// Of how many.
        total: u16,
        /// Its bytes.
        len: usize,
    },
    /// The parts do not make the document they name.
    #[error("the parts do not make the document {0} that they name")]
    Hash(Hash),
}

/// Takes a document apart into messages: one of at most [`MAX_DOCUMENT`] bytes, or a blob
/// ([`crate::levelled::blob`]).
///
/// # Panics
///
/// For more than 65,535 parts; what makes documents and blobs keeps them far shorter.
pub fn split(document: &[u8]) -> Vec<Vec<u8>> {
    let name = hash("part", &[document]);
    let total =
        u16::try_from(document.len().div_ceil(PART_BYTES)).expect("documents and blobs have far fewer parts");
    document
        .chunks(PART_BYTES)
        .zip(0..)
        .map(|(bytes, index)| {
            wire::encode(&Part { document: name, index, total, bytes: ByteBuf::from(bytes) })
        })
        .collect()
}

/// Puts documents together again, by topic.
#[derive(Debug, Default)]
pub struct Assembly {
    open: BTreeMap<String, VecDeque<Open>>,
}

#[derive(Debug)]
struct Open {
    document: Hash,
    parts: Vec<Option<ByteBuf>>,
}

impl Assembly {
    /// Takes one part that came on `topic`; gives the document when it is whole.
    ///
    /// # Errors
    ///
    /// [`PartError`], with all other documents unchanged.
    pub fn take(&mut self, topic: &str, payload: &[u8]) -> Result<Option<Vec<u8>>, PartError> {
        let part: Part = wire::decode(payload)?;
        let Part { document, index, total, bytes } = part;
        let fits = index < total
            && usize::from(total) <= MAX_DOCUMENT.div_ceil(PART_BYTES)
            && !bytes.is_empty()
            && bytes.len() <= PART_BYTES
            && (index == total - 1 || bytes.len() == PART_BYTES);
        if !fits {
            return Err(PartError::Numbers { index, total, len: bytes.len() });
        }
        if total == 1 {
            return finish(document, &[Some(bytes)]).map(Some);
        }
        if self.open.len() >= MAX_TOPICS && !self.open.contains_key(topic) {
            self.open.pop_first();
        }
        let open = self.open.entry(topic.to_owned()).or_default();
        let parts = usize::from(total);
        let at = open.iter().position(|open| open.document == document && open.parts.len() == parts);
        let at = at.unwrap_or_else(|| {
            if open.len() == MAX_OPEN {
                open.pop_front();
            }
            open.push_back(Open { document, parts: vec![None; parts] });
            open.len() - 1
        });
        open[at].parts[usize::from(index)] = Some(bytes);
        if open[at].parts.iter().any(Option::is_none) {
            return Ok(None);
        }
        let whole = open.remove(at);
        if open.is_empty() {
            self.open.remove(topic);
        }
        whole.map(|whole| finish(document, &whole.parts)).transpose()
    }
}

fn finish(name: Hash, parts: &[Option<ByteBuf>]) -> Result<Vec<u8>, PartError> {
    let document: Vec<u8> = parts.iter().flatten().flat_map(|bytes| bytes.iter().copied()).collect();
    if hash("part", &[&document]) == name { Ok(document) } else { Err(PartError::Hash(name)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Parts in any order, each twice before the last one comes, make the document once.
        #[test]
        fn parts_make_the_document(len in 1_usize..80_000, rotate: prop::sample::Index) {
            let document: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let mut parts = split(&document);
            prop_assert!(parts.iter().all(|part| part.len() <= 16 * 1024));
            let n = parts.len();
            parts.rotate_left(rotate.index(n));
            let mut assembly = Assembly::default();
            let mut whole = Vec::new();
            for part in parts[..n - 1].iter().chain(&parts[..n - 1]).chain(parts.last()) {
                whole.extend(assembly.take("inventory/agg-1", part).unwrap());
            }
            prop_assert_eq!(whole, [document]);
        }
    }

    /// Hostile numbers, empty parts and foreign bytes are refused.
    #[test]
    fn refuses_hostile_parts() {
        let mut assembly = Assembly::default();
        let part = |index, total, bytes: &[u8]| {
            wire::encode(&Part { document: Hash::from([0; 32]), index, total, bytes: ByteBuf::from(bytes) })
        };
        for (index, total, len) in [
            (0, 0, 1),
            (1, 1, 1),
            (0, 2, 7),
            (0, u16::MAX, PART_BYTES),
            (0, 1, 0),
            (u16::MAX, 0, 1),
            (u16::MAX, u16::MAX, 1),
        ] {
            let refused = assembly.take("t", &part(index, total, &vec![1; len]));
            assert!(matches!(refused, Err(PartError::Numbers { .. })), "{index} of {total}, {len} bytes");
        }
        assert!(matches!(assembly.take("t", &part(0, 1, b"x")), Err(PartError::Hash(_))));
        assert!(matches!(assembly.take("t", b"x"), Err(PartError::Decode(_))));
    }

    /// Memory is bounded: the oldest document in assembly goes.
    #[test]
    fn the_oldest_document_goes() {
        let mut assembly = Assembly::default();
        let documents: Vec<Vec<u8>> = (0..6).map(|i| vec![i; PART_BYTES + 1]).collect();
        for document in &documents {
            assert!(assembly.take("t", &split(document)[0]).unwrap().is_none());
        }
        assert_eq!(assembly.open["t"].len(), MAX_OPEN);
        assert!(assembly.take("t", &split(&documents[0])[1]).unwrap().is_none());
        assert_eq!(assembly.take("t", &split(&documents[5])[1]).unwrap().as_deref(), Some(&documents[5][..]));
    }
}
