//! Rosters of n aggregators, quarter-hours, a load vector a day.

use protocol::hpke_box::{OpeningKey, Suite};
use protocol::policy::Policy;
use protocol::roster::{Aggregator, BoxKey, Roster, RosterDocument, Utility, assemble, smallest_quorum};
use protocol::shamir::Point;
use protocol::signature::SigningKey;
use protocol::unit::{SlotLength, Timestamp};

fn secret(byte: usize) -> [u8; 32] {
    [u8::try_from(byte).unwrap(); 32]
}

/// A roster whose t of n aggregators open sums.
pub(crate) fn roster(n: usize, t: usize) -> Roster {
    roster_of("grid", n, t)
}

/// The same, of a deployment.
pub(crate) fn roster_of(deployment: &str, n: usize, t: usize) -> Roster {
    let signers: Vec<SigningKey> = (1..=n).map(|i| SigningKey::from_bytes(&secret(i))).collect();
    let opener = |i| OpeningKey::from_bytes(1, Suite::X25519, &secret(0x40 + i)).unwrap().sealing_key();
    let points = Point::first(n);
    let document = RosterDocument {
        deployment: deployment.parse().unwrap(),
        epoch: 1,
        previous: None,
        valid_from: Timestamp(0),
        valid_to: Timestamp(u64::MAX),
        threshold: u8::try_from(t).unwrap(),
        quorum: u8::try_from(smallest_quorum(n, t)).unwrap(),
        slot: SlotLength::try_from(900).unwrap(),
        aggregators: (1..=n)
            .map(|i| Aggregator {
                id: format!("agg-{i}").parse().unwrap(),
                point: points[i - 1],
                organisation: format!("Org {i}"),
                key: signers[i - 1].verifying_key(),
                box_keys: vec![BoxKey { key: opener(i), not_after: Timestamp(u64::MAX) }],
            })
            .collect(),
        utility: Utility {
            key: SigningKey::from_bytes(&secret(0x20)).verifying_key(),
            box_key: opener(0x30),
        },
        policy: Policy::production(),
    };
    let accepting: Vec<(Point, &SigningKey)> = points.into_iter().zip(&signers).collect();
    assemble(document, &SigningKey::from_bytes(&secret(0x10)), &accepting).unwrap()
}
