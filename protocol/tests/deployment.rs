//! A deployment with fixed keys, for tests.

use protocol::hpke_box::{OpeningKey, Suite};
use protocol::id::MeterId;
use protocol::policy::Policy;
use protocol::roster::{Aggregator, BoxKey, Roster, RosterDocument, Utility, assemble, smallest_quorum};
use protocol::shamir::Point;
use protocol::signature::SigningKey;
use protocol::unit::{Slot, SlotLength, SlotRange, Timestamp};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// When tests take place: 2023-11-17T09:33:20Z, in hour 472,305.
pub(crate) const NOW: Timestamp = Timestamp(1_700_300_000);

/// A deployment with every secret in one place, as only a test has it.
pub(crate) struct Deployment {
    pub(crate) registrar: SigningKey,
    pub(crate) openers: Vec<OpeningKey>,
    pub(crate) utility: SigningKey,
    pub(crate) sink: OpeningKey,
    pub(crate) roster: Roster,
}

impl Deployment {
    /// n aggregators with threshold t and the smallest quorum, suite 1, production policy, hours.
    pub(crate) fn new(n: usize, t: usize) -> Self {
        Self::with(n, t, |_| ())
    }

    /// The same with a changed roster document.
    pub(crate) fn with(n: usize, t: usize, change: impl FnOnce(&mut RosterDocument)) -> Self {
        let mut document = document(n, t);
        change(&mut document);
        let signers: Vec<SigningKey> = (1..=n).map(signer).collect();
        let accepting: Vec<(Point, &SigningKey)> = Point::first(n).into_iter().zip(&signers).collect();
        let roster = assemble(document, &registrar(), &accepting).unwrap();
        Self {
            registrar: registrar(),
            openers: (1..=n).map(|i| opener(i, Suite::X25519)).collect(),
            utility: utility(),
            sink: sink(),
            roster,
        }
    }
}

/// Thirty-two equal bytes.
fn secret(byte: usize) -> [u8; 32] {
    [u8::try_from(byte).unwrap(); 32]
}

/// The registrar's key.
pub(crate) fn registrar() -> SigningKey {
    SigningKey::from_bytes(&secret(0x10))
}

/// The utility's key.
pub(crate) fn utility() -> SigningKey {
    SigningKey::from_bytes(&secret(0x20))
}

/// The key that results are sealed to.
pub(crate) fn sink() -> OpeningKey {
    OpeningKey::from_bytes(1, Suite::X25519, &secret(0x21)).unwrap()
}

/// Aggregator i's signing key.
pub(crate) fn signer(i: usize) -> SigningKey {
    SigningKey::from_bytes(&secret(0x30 + i))
}

/// Aggregator i's opening key.
pub(crate) fn opener(i: usize, suite: Suite) -> OpeningKey {
    OpeningKey::from_bytes(1, suite, &secret(0x40 + i)).unwrap()
}

/// Meter j's key.
pub(crate) fn meter_key(j: usize) -> SigningKey {
    SigningKey::from_bytes(&secret(0x60 + j))
}

/// Meter j's name.
pub(crate) fn meter(j: usize) -> MeterId {
    MeterId::from([u8::try_from(j).unwrap(); 16])
}

/// The points 1 to n.
pub(crate) fn point(i: usize) -> Point {
    Point::try_from(u8::try_from(i).unwrap()).unwrap()
}

/// The slots `start..end`.
pub(crate) fn slots(start: u32, end: u32) -> SlotRange {
    SlotRange::new(Slot(start), Slot(end)).unwrap()
}

/// The ChaCha20 key stream of a key of 32 equal bytes and nonce 0.
pub(crate) fn stream(byte: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([byte; 32])
}

/// What the registrar signs for n aggregators with threshold t.
pub(crate) fn document(n: usize, t: usize) -> RosterDocument {
    RosterDocument {
        deployment: "demo".parse().unwrap(),
        epoch: 3,
        previous: Some([0xaa; 32].into()),
        valid_from: Timestamp(1_700_000_000),
        valid_to: Timestamp(1_800_000_000),
        threshold: u8::try_from(t).unwrap(),
        quorum: u8::try_from(smallest_quorum(n, t)).unwrap(),
        slot: SlotLength::try_from(3600).unwrap(),
        aggregators: (1..=n)
            .map(|i| Aggregator {
                id: format!("agg-{i}").parse().unwrap(),
                point: point(i),
                organisation: format!("Org {i}"),
                key: signer(i).verifying_key(),
                box_keys: vec![BoxKey {
                    key: opener(i, Suite::X25519).sealing_key(),
                    not_after: Timestamp(1_750_000_000),
                }],
            })
            .collect(),
        utility: Utility { key: utility().verifying_key(), box_key: sink().sealing_key() },
        policy: Policy { grid_interval: 0, ..Policy::production() },
    }
}
