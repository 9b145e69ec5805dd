//! Bad messages of the grid path: chunks of key deals in another's place, and load vectors that their meter did not
//! make.

use protocol::grid::{ChunkError, Deal, DealMessage, LoadVector, MAX_CHUNKS, seal_deal};
use protocol::hpke_box::SealedBox;
use protocol::id::Hash;
use protocol::roster::Roster;
use protocol::signature::{Signed, SigningKey};
use protocol::wire;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::value::Value;
use crate::deployment::{Deployment, NOW, meter, meter_key, point, stream};
use crate::samples;

/// A chunk's fields: deal, point, hashes of the aggregator's chunks, index, box.
type Chunk = (ByteBuf, u8, Vec<Hash>, u16, SealedBox);

/// A deal of meter 1 with two chunks for each of three aggregators: the chunks of each.
fn dealt(roster: &Roster, seq: u64) -> [Vec<Chunk>; 3] {
    let plaintexts = [1, 2, 3].map(|i| Zeroizing::new(vec![i; 12_000]));
    let rng = &mut stream(seq.to_le_bytes()[0]);
    let sealed = seal_deal(&plaintexts, (meter(1), seq), &meter_key(1), roster, NOW, rng).unwrap();
    [0, 1, 2].map(|i| sealed.messages.iter().map(|of| wire::decode(&of[i].1).unwrap()).collect())
}

/// Whether a chunk is one that the meter of `key` signed for.
fn verify(chunk: &Chunk, key: &SigningKey, roster: &Roster) -> Result<(), ChunkError> {
    let message = DealMessage::parse(&wire::encode(chunk)).unwrap();
    message.verify(&key.verifying_key(), roster).map(|_| ())
}

/// A chunk in the place of another aggregator's, of another index or of another deal is not one that was signed for.
#[test]
fn swapped_chunks_are_foreign() {
    let deployment = samples::deployment();
    let roster = &deployment.roster;
    let ([first, second, _], [_, other, _]) = (dealt(roster, 40), dealt(roster, 60));
    let key = meter_key(1);
    for chunk in first.iter().chain(&second).chain(&other) {
        assert_eq!(verify(chunk, &key, roster), Ok(()));
    }
    let changed = |what: &str, change: &dyn Fn(&mut Chunk)| {
        let mut chunk = second[0].clone();
        change(&mut chunk);
        let expected = Err(ChunkError::Foreign { index: chunk.3, point: point(chunk.1.into()) });
        assert_eq!(verify(&chunk, &key, roster), expected, "{what}");
    };
    // points
    changed("another point", &|chunk| chunk.1 = 1);
    changed("a point of nobody", &|chunk| chunk.1 = 9);
    changed("another's box", &|chunk| chunk.4 = first[0].4.clone());
    changed("another's hashes", &|chunk| chunk.2.clone_from(&first[0].2));
    changed("another's hashes and box", &|chunk| {
        chunk.2.clone_from(&first[0].2);
        chunk.4 = first[0].4.clone();
    });
    // indexes
    changed("another index", &|chunk| chunk.3 = 1);
    changed("an index after the last", &|chunk| chunk.3 = 2);
    changed("the box of another index", &|chunk| chunk.4 = second[1].4.clone());
    changed("hashes in another order, and the box that is then first", &|chunk| {
        chunk.2.reverse();
        chunk.4 = second[1].4.clone();
    });
    changed("a hash too few", &|chunk| chunk.2.truncate(1));
    changed("a hash too many", &|chunk| chunk.2.push(chunk.2[0]));
    // deals
    changed("another deal", &|chunk| chunk.0 = other[0].0.clone());
    changed("the box of another deal", &|chunk| chunk.4 = other[0].4.clone());
    changed("the hashes and the box of another deal", &|chunk| {
        chunk.2.clone_from(&other[0].2);
        chunk.4 = other[0].4.clone();
    });
    // the index, its box and nothing else is the other chunk
    let mut whole = second[0].clone();
    (whole.3, whole.4) = (1, second[1].4.clone());
    assert_eq!(wire::encode(&whole), wire::encode(&second[1]));
    // a stranger's key, and the next roster
    let next = Deployment::with(3, 2, |document| document.epoch = 4).roster;
    assert_eq!(verify(&second[0], &meter_key(2), roster), Err(ChunkError::Signature));
    assert_eq!(verify(&second[0], &key, &next), Err(ChunkError::Signature));
}

/// The hash of an aggregator's chunks, without the crate's own functions.
fn list_hash(chunks: &[Hash]) -> Hash {
    let bytes: Vec<u8> = chunks.iter().flat_map(|hash| *hash.as_bytes()).collect();
    let preimage = [b"wv/1 chunks\0", &bytes[..]].concat();
    Hash::from(<[u8; 32]>::from(Sha256::digest(preimage)))
}

/// A chunk as aggregator 2's chunk 0 of a deal that meter j signs under this number, with these hashes of the
/// aggregator's chunks, and naming so many aggregators.
fn signed_anew(
    (chunk, hashes): (&Chunk, Vec<Hash>),
    (j, seq): (usize, u64),
    named: usize,
    roster: &Roster,
) -> Chunk {
    let mut chunks = vec![Hash::from([7; 32]); named];
    chunks[1] = list_hash(&hashes);
    let deal = Deal { roster_epoch: roster.document().epoch, meter: meter(j), seq, chunks };
    let deal = Signed::sign(deal, &meter_key(j), &roster.context());
    (deal.into_bytes().into(), 2, hashes, 0, chunk.4.clone())
}

/// A deal names every aggregator once, and no more chunks than one may have: a meter's signature does not help.
#[test]
fn deals_of_another_shape_are_foreign() {
    let deployment = samples::deployment();
    let roster = &deployment.roster;
    let [_, second, _] = dealt(roster, 40);
    let foreign = Err(ChunkError::Foreign { index: 0, point: point(2) });
    for (named, expected) in [(2, foreign), (3, Ok(())), (4, foreign)] {
        let chunk = signed_anew((&second[0], second[0].2.clone()), (1, 40), named, roster);
        assert_eq!(verify(&chunk, &meter_key(1), roster), expected, "{named} of 3 aggregators");
    }
    for (chunks, expected) in [(1, Ok(())), (MAX_CHUNKS, Ok(())), (MAX_CHUNKS + 1, foreign)] {
        let mut hashes = vec![Hash::from([8; 32]); chunks];
        hashes[0] = second[0].2[0];
        let chunk = signed_anew((&second[0], hashes), (1, 40), 3, roster);
        assert_eq!(verify(&chunk, &meter_key(1), roster), expected, "{chunks} chunks");
    }
}

/// A box opens under the meter, the number, the index and the roster that it was sealed for: who signs another's boxes
/// as its own deals nothing.
#[test]
fn boxes_signed_anew_do_not_open() {
    let deployment = samples::deployment();
    let roster = &deployment.roster;
    let [_, second, _] = dealt(roster, 40);
    let opens = |chunk: &Chunk, j: usize, roster: &Roster| {
        let message = DealMessage::parse(&wire::encode(chunk)).unwrap();
        let chunk = message.verify(&meter_key(j).verifying_key(), roster).unwrap();
        chunk.open(&deployment.openers[1..2], roster).is_ok()
    };
    let of = |i: usize| (&second[i], vec![second[0].2[i]]);
    assert!(opens(&signed_anew(of(0), (1, 40), 3, roster), 1, roster));
    assert!(!opens(&signed_anew(of(0), (2, 40), 3, roster), 2, roster), "another meter");
    assert!(!opens(&signed_anew(of(0), (1, 41), 3, roster), 1, roster), "another number");
    assert!(!opens(&signed_anew(of(1), (1, 40), 3, roster), 1, roster), "chunk 1 as chunk 0");
    let next = Deployment::with(3, 2, |document| document.epoch = 4).roster;
    assert!(!opens(&signed_anew(of(0), (1, 40), 3, &next), 1, &next), "another roster");
}

/// A chunk has exactly its five fields, each of its own type.
#[test]
fn chunks_of_another_shape_are_refused() {
    let deployment = samples::deployment();
    let bytes = &samples::deal(&deployment).messages[0][1].1;
    let value = Value::parse(bytes);
    assert!(DealMessage::parse(bytes).is_ok());
    assert!(DealMessage::parse(&value.changed(&[], |fields| drop(fields.pop()))).is_err(), "four fields");
    assert!(DealMessage::parse(&value.changed(&[], |fields| fields.push(0.into()))).is_err(), "six fields");
    for path in value.paths() {
        for other in Value::one_of_each() {
            if other.kind() != value.at(&path).kind() {
                let bad = value.replaced(&path, &other);
                assert!(DealMessage::parse(&bad).is_err(), "{} as {other:?}", path.join("."));
            }
        }
    }
    for (index, fits) in [(0, true), (65_535, true), (65_536, false)] {
        let chunk = value.replaced(&["3".to_owned()], &Value::from(index));
        assert_eq!(DealMessage::parse(&chunk).is_ok(), fits, "chunk {index}");
    }
}

/// A load vector is believed from the key of the meter that it names only, under its roster, and with its own
/// signature.
#[test]
fn load_vectors_of_another_key_are_forged() {
    let deployment = samples::deployment();
    let context = deployment.roster.context();
    let [ours, theirs] = [1, 2].map(|j| meter_key(j).verifying_key());
    let good = Signed::sign(samples::load_vector(), &meter_key(1), &context);
    assert!(Signed::<LoadVector>::open(good.bytes(), &ours, &context).is_ok());
    // meter 2 signs what says that it is meter 1's
    let forged = Signed::sign(samples::load_vector(), &meter_key(2), &context);
    assert_eq!(forged.meter, meter(1));
    assert!(Signed::<LoadVector>::open(forged.bytes(), &ours, &context).is_err());
    assert!(Signed::<LoadVector>::open(good.bytes(), &theirs, &context).is_err());
    // another roster
    let next = Deployment::with(3, 2, |document| document.epoch = 4).roster.context();
    assert!(Signed::<LoadVector>::open(good.bytes(), &ours, &next).is_err());
    // the signature of another load vector, under another deal
    let other = LoadVector { deal: Hash::from([0xdf; 32]), ..samples::load_vector() };
    let other = Signed::sign(other, &meter_key(1), &context);
    let (body, _): (ByteBuf, ByteBuf) = wire::decode(other.bytes()).unwrap();
    let (_, signature): (ByteBuf, ByteBuf) = wire::decode(good.bytes()).unwrap();
    assert!(Signed::<LoadVector>::open(other.bytes(), &ours, &context).is_ok());
    assert!(Signed::<LoadVector>::open(&wire::encode(&(body, signature)), &ours, &context).is_err());
}
