//! Bad messages: cut, flipped, of another shape, encoded otherwise, with hostile lengths or values. All are refused,
//! without a panic and without a large allocation.

use protocol::grid::{DealMessage, LoadVector};
use protocol::hpke_box::SealedBox;
use protocol::id::{Hash, Rid};
use protocol::receipt::Receipt;
use protocol::record::Record;
use protocol::release::inventory::{Held, Inventory};
use protocol::release::objection::Objection;
use protocol::release::query::{Ask, Query};
use protocol::release::result::{Pieces, ResultError, ResultShare};
use protocol::release::vote::Vote;
use protocol::revocation::Revocation;
use protocol::roster::RosterDocument;
use protocol::rule::Rule;
use protocol::share::{BadShareError, ForgedError, ShareMessage};
use protocol::signature::{Signature, Signed, SigningKey};
use protocol::tariff::{Tariff, TariffDocument};
use protocol::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::deployment::{Deployment, NOW, meter_key, point, signer, slots, stream};
use crate::samples::{self, Sample};
use value::Value;

mod grid;
mod item;
mod levelled;
mod value;

fn all() -> (Deployment, Vec<Sample>) {
    let deployment = samples::deployment();
    let samples = samples::all(&deployment);
    for Sample { name, bytes, body, believed, encoded_again } in &samples {
        assert!(believed(&deployment, bytes), "{name} is believed as it is");
        assert_eq!(encoded_again(body).as_ref(), Some(body), "{name}");
    }
    (deployment, samples)
}

/// Cut anywhere or longer by a byte, no message is believed and no body decodes.
#[test]
fn truncated_messages_are_refused() {
    let (deployment, samples) = all();
    for Sample { name, bytes, body, believed, encoded_again } in &samples {
        for len in 0..bytes.len() {
            assert!(!believed(&deployment, &bytes[..len]), "{name} cut to {len} bytes");
        }
        for len in 0..body.len() {
            assert_eq!(encoded_again(&body[..len]), None, "body of {name} cut to {len} bytes");
        }
        for extra in [0x00, 0x80, 0xf6, 0xff] {
            assert!(!believed(&deployment, &[&bytes[..], &[extra]].concat()), "{name} and {extra:#x}");
            assert_eq!(encoded_again(&[&body[..], &[extra]].concat()), None, "body of {name} and {extra:#x}");
        }
    }
}

/// With any bit flipped, no message is believed; a body is refused or is another value in its one encoding.
#[test]
fn flipped_messages_are_refused() {
    let (deployment, samples) = all();
    for Sample { name, bytes, body, believed, encoded_again } in &samples {
        for i in 0..bytes.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut flipped = bytes.clone();
                flipped[i] ^= bit;
                assert!(!believed(&deployment, &flipped), "{name}, byte {i} ^ {bit:#x}");
            }
        }
        for i in 0..body.len() {
            for bit in 0..8 {
                let mut flipped = body.clone();
                flipped[i] ^= 1 << bit;
                if let Some(again) = encoded_again(&flipped) {
                    assert_eq!(again, flipped, "{name}, byte {i}, bit {bit}");
                }
            }
        }
    }
}

/// One message is never taken for another: no body is believed, or decodes, as another kind's.
#[test]
fn no_message_is_another() {
    let (deployment, samples) = all();
    let kind = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    for one in &samples {
        for other in samples.iter().filter(|other| kind(other.name) != kind(one.name)) {
            assert!(!(other.believed)(&deployment, &one.bytes), "{} as {}", one.name, other.name);
            assert_eq!((other.encoded_again)(&one.body), None, "body of {} as {}", one.name, other.name);
        }
    }
}

/// Every value has one encoding: longer heads, indefinite lengths and tags are refused at every item.
#[test]
fn other_encodings_are_refused() {
    let (deployment, samples) = all();
    for Sample { name, bytes, body, believed, encoded_again } in &samples {
        for (whole, is_body) in [(bytes, false), (body, true)] {
            for (what, bad) in item::other_encodings(whole) {
                let taken = if is_body { encoded_again(&bad).is_some() } else { believed(&deployment, &bad) };
                assert!(!taken, "{name} (body: {is_body}) with {what}");
            }
        }
    }
}

/// Lengths that claim up to 2^64 − 1 bytes or elements are refused and cost no memory.
#[test]
fn hostile_lengths_are_refused() {
    let (deployment, samples) = all();
    let before = peak_of_address_space();
    for Sample { name, bytes, body, believed, encoded_again } in &samples {
        for (what, bad) in item::hostile_lengths(bytes) {
            assert!(!believed(&deployment, &bad), "{name} with {what}");
        }
        for (what, bad) in item::hostile_lengths(body) {
            assert_eq!(encoded_again(&bad), None, "body of {name} with {what}");
        }
    }
    let grown = peak_of_address_space() - before;
    assert!(grown < 1 << 21, "the address space grew by {grown} KiB");
}

/// The most address space that this process had, in KiB; 0 where the system doesn't say.
fn peak_of_address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Every array of fixed fields has exactly those: one more or one fewer is refused. What may have another length is
/// listed here, and is a list in the CDDL.
#[test]
fn wrong_arity_is_refused() {
    let lists = [
        ("roster", vec!["8", "8.0.4", "8.1.4", "8.2.4"]),
        ("share", vec!["1"]),
        ("receipt", vec!["3", "4", "5"]),
        ("query-bill", vec!["2.Bill.0", "2.Bill.1", "3"]),
        ("query-group", vec!["2.Group.1", "3", "3.0.1"]),
        ("query-grid", vec!["2.Grid.1", "3"]),
        ("deal", vec!["3"]),
        (
            "inventory",
            vec!["2.Holdings", "2.Holdings.0.Records", "2.Holdings.2.Vector.0", "2.Holdings.3.Vector.0", "3"],
        ),
        ("inventory-refused", vec!["3"]),
        ("cut", vec!["1"]),
        ("votes", vec![""]),
        ("outcome", vec!["3", "4", "5"]),
        ("tariff", vec!["5", "6", "9"]),
        ("collective", vec!["1"]),
        ("word", vec!["2", "3"]),
        ("direction-ask", vec!["1.Ask.1.Forecast", "1.Ask.2"]),
        ("direction-cut", vec!["1.Cut", "1.Cut.0", "1.Cut.0.0.1"]),
        ("direction-open", vec!["1.Open.1", "1.Open.2"]),
        ("reply-holdings", vec!["2.Holdings", "2.Holdings.0", "2.Holdings.0.0.1"]),
        ("reply-answer", vec!["2.Answer.1"]),
    ];
    let (_, samples) = all();
    for Sample { name, body, encoded_again, .. } in &samples {
        let expected = lists.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, paths)| &paths[..]);
        let value = Value::parse(body);
        let mut found = Vec::new();
        for path in value.arrays() {
            let shorter = value.changed(&path, |items| drop(items.pop()));
            let longer =
                value.changed(&path, |items| items.push(items.last().unwrap_or(&Value::Null).clone()));
            let (shorter, longer) = (encoded_again(&shorter), encoded_again(&longer));
            if shorter.is_some() || longer.is_some() {
                found.push(path.join("."));
            }
        }
        assert_eq!(found, expected, "lists of {name}");
    }
}

/// A field of another type is refused, at every place; only what is optional may be null.
#[test]
fn wrong_types_are_refused() {
    let optional = [
        ("certificate", vec!["6"]),
        ("roster", vec!["2"]),
        ("query-bill", vec!["2.Bill.1.0.1"]),
        ("inventory", vec!["2.Holdings.2.Vector.1"]),
    ];
    let (_, samples) = all();
    for Sample { name, body, encoded_again, .. } in &samples {
        let expected = optional.iter().find(|(of, _)| of == name).map_or(&[][..], |(_, paths)| &paths[..]);
        let value = Value::parse(body);
        let mut found = Vec::new();
        for path in value.paths() {
            for other in Value::one_of_each() {
                let same_kind = value.at(&path).kind() == other.kind();
                let is_none = *value.at(&path) == Value::Null;
                if same_kind || is_none && matches!(other.kind(), "integer" | "bytes") {
                    continue;
                }
                if encoded_again(&value.replaced(&path, &other)).is_some() {
                    assert_eq!(other, Value::Null, "{name}: {} as {other:?}", path.join("."));
                    found.push(path.join("."));
                }
            }
        }
        assert_eq!(found, expected, "optional fields of {name}");
    }
}

/// `value` as bytes with the item at `path` replaced.
fn with<T: Serialize>(value: &T, path: &str, item: impl Into<Value>) -> Vec<u8> {
    let path: Vec<String> = path.split('.').map(str::to_owned).collect();
    Value::parse(&wire::encode(value)).replaced(&path, &item.into())
}

fn decodes<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    wire::decode::<T>(bytes).is_ok()
}

/// The reason of a revocation is a line of 1 to 120 bytes.
#[test]
fn reasons_that_are_no_line_are_refused() {
    let reasoned = |text: &str| {
        let mut bytes = wire::encode(&samples::revocation());
        bytes.truncate(bytes.len() - "moved out".len() - 1);
        bytes.extend(wire::encode(&text));
        decodes::<Revocation>(&bytes)
    };
    assert!(reasoned("moved out") && reasoned("x") && reasoned(&"a".repeat(120)));
    assert!(!reasoned("") && !reasoned("two\nlines") && !reasoned("\0") && !reasoned(&"a".repeat(121)));
}

/// Points are 1 to 10 wherever they stand.
#[test]
fn points_out_of_range_are_refused() {
    let deployment = samples::deployment();
    let receipt = samples::receipt(&deployment, &samples::sealed(&deployment), 1);
    for (bad, fits) in [(0_u64, false), (1, true), (10, true), (11, false), (255, false), (256, false)] {
        assert_eq!(decodes::<Receipt>(&with(&receipt, "0", bad)), fits, "receipt of {bad}");
        assert_eq!(decodes::<Vote>(&with(&samples::vote(), "2", bad)), fits, "vote of {bad}");
        assert_eq!(decodes::<Inventory>(&with(&samples::refusing_inventory(), "1", bad)), fits, "{bad}");
        let cut = with(&samples::cut(), "1.0.0", bad);
        assert_eq!(decodes::<protocol::release::cut::Cut>(&cut), fits, "cut citing {bad}");
        let outcome = with(&samples::outcome(), "5.0", bad);
        assert_eq!(decodes::<protocol::release::outcome::Outcome>(&outcome), fits, "outcome naming {bad}");
        assert_eq!(decodes::<ResultShare>(&with(&samples::result(&deployment), "2", bad)), fits, "{bad}");
        assert_eq!(decodes::<Objection>(&with(&samples::objection(), "2", bad)), fits, "objection of {bad}");
        let document = deployment.roster.document();
        assert_eq!(decodes::<RosterDocument>(&with(document, "8.0.1", bad)), fits, "roster with {bad}");
        let share = &samples::sealed(&deployment).messages[0].1;
        let share = Value::parse(share).replaced(&["2".to_owned()], &bad.into());
        assert_eq!(ShareMessage::parse(&share).is_ok(), fits, "share for {bad}");
        let chunk = &samples::deal(&deployment).messages[0][0].1;
        let chunk = Value::parse(chunk).replaced(&["1".to_owned()], &bad.into());
        assert_eq!(DealMessage::parse(&chunk).is_ok(), fits, "chunk for {bad}");
    }
}

/// Slots that run backwards or are none are refused in queries, inventories and load vectors.
#[test]
fn slots_run_forwards() {
    let held = Held { slots: slots(5, 7), rid: Rid::from([1; 32]) };
    for (end, fits) in [(7_u64, true), (6, true), (5, false), (4, false), (0, false), (1 << 32, false)] {
        assert_eq!(decodes::<Held>(&with(&held, "0.1", end)), fits, "held 5..{end}");
        let mut query = samples::bill_query();
        query.period = slots(5, 7);
        assert_eq!(decodes::<Query>(&with(&query, "1.1", end)), fits, "period 5..{end}");
        let mut query = samples::grid_query();
        let Ask::Grid(ask) = &mut query.ask else { panic!("an interval is asked for") };
        ask.window = slots(5, 7);
        assert_eq!(decodes::<Query>(&with(&query, "2.Grid.2.1", end)), fits, "window 5..{end}");
        let vector = LoadVector { slots: slots(5, 7), ..samples::load_vector() };
        assert_eq!(decodes::<LoadVector>(&with(&vector, "3.1", end)), fits, "load vector of 5..{end}");
    }
}

/// Numbers of rules that don't exist are refused; those that exist are taken.
#[test]
fn unknown_rules_are_refused() {
    let deployment = samples::deployment();
    let receipt = samples::receipt(&deployment, &samples::sealed(&deployment), 1);
    for number in 0..=300_u64 {
        let known = Rule::ALL.iter().any(|rule| u64::from(u8::from(*rule)) == number);
        assert_eq!(decodes::<Receipt>(&with(&receipt, "5.0.1", number)), known, "receipt: rule {number}");
        let inventory = with(&samples::refusing_inventory(), "2.Refused", number);
        assert_eq!(decodes::<Inventory>(&inventory), known, "inventory: rule {number}");
        let objection = with(&samples::objection(), "3", number);
        assert_eq!(decodes::<Objection>(&objection), known, "objection: rule {number}");
    }
}

/// A head is of version 1 and kind 1, has no flags and 1 to 192 slots below 2^32.
#[test]
fn foreign_heads_are_refused() {
    let record = Record { head: samples::head(), boxes: vec![Hash::from([0; 32]); 3], grid: None };
    let taken = |path: &str, value: u64| Record::decode(&with(&record, path, value)).is_ok();
    for (path, what, good, bad) in [
        ("0.0", "protocol version", vec![1], vec![0, 2, 255]),
        ("0.1", "kind", vec![1], vec![0, 2, 255, 256]),
        ("0.2", "roster epoch", vec![0, u64::from(u32::MAX)], vec![1 << 32]),
        ("0.4", "seq", vec![0, u64::MAX], vec![]),
        ("0.5", "version", vec![0, 255], vec![256]),
        ("0.6", "first slot", vec![0, (1 << 32) - 3], vec![(1 << 32) - 2, (1 << 32) - 1, 1 << 32]),
        ("0.7", "slots", vec![1, 192], vec![0, 193, 65_535, 65_536]),
        ("0.8", "flags", vec![0], vec![1, 128, 255]),
    ] {
        assert!(good.iter().all(|value| taken(path, *value)), "{what} {good:?}");
        assert!(bad.iter().all(|value| !taken(path, *value)), "{what} {bad:?}");
    }
    // the meter's name has 16 bytes, a box hash 32
    for len in [0, 15, 17, 32] {
        assert!(Record::decode(&with(&record, "0.3", vec![0; len])).is_err());
    }
    for len in [0, 16, 31, 33] {
        assert!(Record::decode(&with(&record, "1.0", vec![0; len])).is_err());
    }
}

/// Residues of p and above are refused in receipts, in shares and in results; those below are taken.
#[test]
fn residues_from_p_on_are_refused() {
    const P: u64 = protocol::field::MODULUS;
    let deployment = samples::deployment();
    let receipt = samples::receipt(&deployment, &samples::sealed(&deployment), 1);
    for (residue, fits) in [(0, true), (P - 1, true), (P, false), (P + 1, false), (u64::MAX, false)] {
        assert_eq!(decodes::<Receipt>(&with(&receipt, "4.0.2", residue)), fits, "check {residue}");
        let opened = share_with(&deployment, &[1, residue, 2, 3].map(u64::to_le_bytes).concat());
        let refused = BadShareError::Elements { found: 32, wanted: 4 };
        assert_eq!(opened, if fits { Ok(()) } else { Err(refused) }, "share {residue}");
        let plain = plain([ByteBuf::from([1, residue].map(u64::to_le_bytes).concat())]);
        assert_eq!(result_with(&deployment, &plain, &[2]).is_ok(), fits, "result {residue}");
    }
}

/// A box with another number of elements, or of bytes that are none, is the meter's fault.
#[test]
fn shares_of_another_length_are_refused() {
    let deployment = samples::deployment();
    for (len, fits) in [(32, true), (0, false), (24, false), (31, false), (33, false), (40, false)] {
        assert_eq!(share_with(&deployment, &vec![0; len]).is_ok(), fits, "{len} bytes");
    }
}

/// Results of another shape are refused.
#[test]
fn results_of_another_shape_are_refused() {
    let deployment = samples::deployment();
    let answer = |len: usize| ByteBuf::from(vec![0; len]);
    assert_eq!(result_with(&deployment, &plain([answer(16), answer(8)]), &[2, 1]), Ok(()));
    assert_eq!(result_with(&deployment, &plain([Some(answer(16)), None]), &[2, 1]), Ok(()));
    for lengths in [&[][..], &[2], &[1, 2], &[2, 2], &[2, 1, 0], &[2, usize::MAX / 8]] {
        let result = result_with(&deployment, &plain([answer(16), answer(8)]), lengths);
        assert_eq!(result, Err(ResultError::Shape), "{lengths:?}");
    }
    assert_eq!(result_with(&deployment, &"text", &[1]), Err(ResultError::Shape));
    assert_eq!(result_with(&deployment, &plain([answer(7)]), &[1]), Err(ResultError::Shape));
    // the answers alone, and with more than the pieces beside them
    let none = None::<Pieces>;
    assert_eq!(result_with(&deployment, &([answer(8)],), &[1]), Err(ResultError::Shape));
    assert_eq!(result_with(&deployment, &([answer(8)], &none, &none), &[1]), Err(ResultError::Shape));
}

/// Pieces of another shape than a sum and a list of partial decryptions are refused.
#[test]
fn pieces_of_another_shape_are_refused() {
    let deployment = samples::deployment();
    let (sum, partial) = (ByteBuf::from([1; 3]), ByteBuf::from([2; 2]));
    let open = |pieces: Value| {
        let bytes = wire::encode(&([ByteBuf::from([0; 8])], samples::pieces()));
        let plain = Value::parse(&bytes).replaced(&["1".to_owned()], &pieces);
        open_result(&deployment, &plain, &[1])
    };
    let bytes = |bytes: &ByteBuf| Value::from(bytes.to_vec());
    let list = |items: &[&ByteBuf]| Value::Array(items.iter().map(|item| bytes(item)).collect());
    for (what, pieces) in [
        ("none", Value::Null),
        ("a sum alone", Value::Array(vec![bytes(&sum), list(&[])])),
        ("a sum and two partials", Value::Array(vec![bytes(&sum), list(&[&partial, &partial])])),
    ] {
        assert_eq!(open(pieces), Ok(()), "{what}");
    }
    for (what, pieces) in [
        ("no fields", Value::Array(Vec::new())),
        ("no partials", Value::Array(vec![bytes(&sum)])),
        ("partials that are one", Value::Array(vec![bytes(&sum), bytes(&partial)])),
        ("partials that are a sum", Value::Array(vec![list(&[&sum]), list(&[&partial])])),
        ("the partials first", Value::Array(vec![list(&[&partial]), bytes(&sum)])),
        ("no sum", Value::Array(vec![Value::Null, list(&[&partial])])),
        ("no list", Value::Array(vec![bytes(&sum), Value::Null])),
        ("a partial that is none", Value::Array(vec![bytes(&sum), Value::Array(vec![Value::Null])])),
        ("a partial of numbers", Value::Array(vec![bytes(&sum), Value::Array(vec![1.into()])])),
        ("a third field", Value::Array(vec![bytes(&sum), list(&[&partial]), Value::Null])),
        ("a sum for all", bytes(&sum)),
    ] {
        assert_eq!(open(pieces), Err(ResultError::Shape), "{what}");
    }
}

/// Answers without pieces, as an aggregator seals them.
fn plain<T: Serialize, const N: usize>(answers: [T; N]) -> (Vec<T>, Option<Pieces>) {
    (answers.into(), None)
}

/// Opens a share box with this plaintext, signed by its meter.
fn share_with(deployment: &Deployment, plaintext: &[u8]) -> Result<(), BadShareError> {
    let roster = &deployment.roster;
    let head = samples::head();
    let boxes: Vec<SealedBox> = (1..=3)
        .map(|i| {
            let aad = [&roster.hash().as_bytes()[..], &wire::encode(&head), &[i]].concat();
            let key = roster.document().aggregators[usize::from(i) - 1].box_key_at(NOW).unwrap();
            key.seal(b"wv/1 share", &aad, plaintext, &mut stream(i)).unwrap()
        })
        .collect();
    let hashes = (1..=3).zip(&boxes).map(|(i, sealed)| sealed.hash(point(i))).collect();
    let record = wire::encode(&Record { head, boxes: hashes, grid: None });
    let rid = protocol::record::rid(roster, &record);
    let signature = meter_key(1).sign("record", &roster.context(), rid.as_bytes());
    let message = wire::encode(&(ByteBuf::from(record), signature, 1, &boxes[0]));
    let message = ShareMessage::parse(&message).unwrap();
    let verified = message.verify(&meter_key(1).verifying_key(), roster).unwrap();
    verified.open(&deployment.openers[..1], roster).map(|_| ())
}

/// Opens a result box with this plaintext.
fn result_with(
    deployment: &Deployment,
    plain: &impl Serialize,
    lengths: &[usize],
) -> Result<(), ResultError> {
    open_result(deployment, &wire::encode(plain), lengths)
}

/// Opens a result box with these bytes.
fn open_result(deployment: &Deployment, plain: &[u8], lengths: &[usize]) -> Result<(), ResultError> {
    let roster = &deployment.roster;
    let cut = Hash::from([0xcc; 32]);
    let aad = [&roster.hash().as_bytes()[..], cut.as_bytes(), &[1]].concat();
    let key = &roster.document().utility.box_key;
    let sealed = key.seal(b"wv/1 result", &aad, plain, &mut stream(1)).unwrap();
    let result = ResultShare { query: samples::vote().query, cut, point: point(1), sealed };
    result.open(&deployment.sink, roster, lengths).map(|_| ())
}

/// A box that was swapped, re-addressed or taken under another roster is not the signed one.
#[test]
fn re_addressed_shares_are_forged() {
    let deployment = samples::deployment();
    let sealed = samples::sealed(&deployment);
    let key = meter_key(1).verifying_key();
    let verify = |bytes: &[u8], roster| ShareMessage::parse(bytes).unwrap().verify(&key, roster).map(|_| ());
    let [first, second] = [0, 1].map(|i| Value::parse(&sealed.messages[i].1));
    let path = |i: usize| [i.to_string()];
    // aggregator 1's box to aggregator 2, and aggregator 2's box with 1's address
    let swapped = second.replaced(&path(3), first.at(&path(3)));
    assert_eq!(verify(&swapped, &deployment.roster), Err(ForgedError::Box(point(2))));
    let addressed = second.replaced(&path(2), &1_u64.into());
    assert_eq!(verify(&addressed, &deployment.roster), Err(ForgedError::Box(point(1))));
    // a point that is in no roster
    let nobody = second.replaced(&path(2), &9_u64.into());
    assert_eq!(verify(&nobody, &deployment.roster), Err(ForgedError::Box(point(9))));
    // the same bytes under the next roster, and a stranger's key
    let next = Deployment::with(3, 2, |document| document.epoch = 4);
    assert!(matches!(verify(&sealed.messages[1].1, &next.roster), Err(ForgedError::Signature(_))));
    let stranger = ShareMessage::parse(&sealed.messages[1].1).unwrap();
    assert!(stranger.verify(&meter_key(2).verifying_key(), &deployment.roster).is_err());
    // a record of two boxes under a roster of three
    let record = Record { head: samples::head(), boxes: vec![Hash::from([0; 32]); 2], grid: None };
    let record = wire::encode(&record);
    let rid = protocol::record::rid(&deployment.roster, &record);
    let signature = meter_key(1).sign("record", &deployment.roster.context(), rid.as_bytes());
    let short = first.replaced(&path(0), &record.into());
    let short = Value::parse(&short).replaced(&path(1), &wire::encode(&signature)[2..].to_vec().into());
    assert_eq!(verify(&short, &deployment.roster), Err(ForgedError::Box(point(1))));
}

/// One signature a message and key: s + ℓ, a second form of the same signature, and keys and nonces of small order
/// are refused [RFC 8032, section 5.1.7; the strict rules].
#[test]
fn signatures_are_not_malleable() {
    // ℓ = 2^252 + 27742317777372353535851937790883648493, little-endian
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let deployment = samples::deployment();
    let context = deployment.roster.context();
    let good = samples::signed_vote(&deployment).into_bytes();
    let at = good.len() - 32;
    let mut bad = good.clone();
    let mut carry = 0;
    for (byte, l) in bad[at..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(l);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    let key = signer(2).verifying_key();
    assert!(Signed::<Vote>::open(&good, &key, &context).is_ok());
    assert!(Signed::<Vote>::open(&bad, &key, &context).is_err(), "s + ℓ");
    let mut neutral = good;
    neutral[at - 32..].fill(0);
    neutral[at - 32] = 1;
    assert!(Signed::<Vote>::open(&neutral, &key, &context).is_err(), "R = 1, s = 0");
    assert!(decodes::<Signature>(&wire::encode(&SigningKey::from_bytes(&[1; 32]).sign("x", &context, b""))));
}

/// A tariff whose numbers don't fit together is refused when it is checked, whatever decodes.
#[test]
fn hostile_tariffs_are_refused() {
    let slot = samples::deployment().roster.slot();
    assert!(Tariff::new(samples::tariff(), slot).is_ok());
    for (path, what, value) in [
        ("6.0.0", "days", Value::from(128)),
        ("6.0.1", "an empty window", 1_260.into()),
        ("6.0.2", "a window past midnight", 1_441.into()),
        ("6.0.3", "a window's band", 2.into()),
        ("7", "the other band", 2.into()),
        ("8", "the substitute band", 255.into()),
        ("9.0.0", "an offset from after the start", 1_800_000_000.into()),
        ("9.0.1", "an offset of more than a day", 86_401.into()),
        ("9.0.1", "the least offset", Value::Integer(i128::from(i32::MIN))),
        ("5", "no bands", Value::Array(Vec::new())),
        ("9", "no offsets", Value::Array(Vec::new())),
    ] {
        let document = wire::decode::<TariffDocument>(&with(&samples::tariff(), path, value)).unwrap();
        assert!(Tariff::new(document, slot).is_err(), "{what}");
    }
    for (path, value) in [("5.0.1", (1_u64 << 20) + 1), ("3", 1 << 32), ("6.0.0", 256), ("6.0.1", 1 << 16)] {
        assert!(!decodes::<TariffDocument>(&with(&samples::tariff(), path, value)), "{path} = {value}");
    }
}
