use protocol::field::Fe;
use protocol::hpke_box::{OpeningKey, Suite};
use protocol::id::Deployment;
use protocol::policy::Policy;
use protocol::receipt::{RecordCheck, Refused, SeqRanges};
use protocol::release::query::MAX_EXCLUDED;
use protocol::roster::{Aggregator, BoxKey, Roster, RosterDocument, Utility, assemble, smallest_quorum};
use protocol::signature::SigningKey;
use protocol::unit::{SlotLength, Timestamp};
use store::MemoryStore;

use super::*;

/// The aggregators of a deployment, and what a sink has heard of them.
struct Town {
    keys: Vec<SigningKey>,
    rosters: Chain,
    store: MemoryStore,
    checks: Checks,
}

impl Town {
    fn new(n: u8, t: u8) -> Self {
        let keys: Vec<SigningKey> = (1..=n).map(|i| SigningKey::from_bytes(&[i; 32])).collect();
        let aggregator = |(point, key): (Point, &SigningKey)| Aggregator {
            id: format!("agg-{point}").parse().unwrap(),
            point,
            organisation: format!("Org {point}"),
            key: key.verifying_key(),
            box_keys: vec![BoxKey { key: box_key().sealing_key(), not_after: Timestamp(2_000_000_000) }],
        };
        let document = RosterDocument {
            deployment: "town".parse::<Deployment>().unwrap(),
            epoch: 1,
            previous: None,
            valid_from: Timestamp(0),
            valid_to: Timestamp(2_000_000_000),
            threshold: t,
            quorum: u8::try_from(smallest_quorum(n.into(), t.into())).unwrap(),
            slot: SlotLength::try_from(3_600).unwrap(),
            aggregators: Point::first(n.into()).into_iter().zip(&keys).map(aggregator).collect(),
            utility: Utility { key: registrar().verifying_key(), box_key: box_key().sealing_key() },
            policy: Policy::production(),
        };
        let rosters = Chain::new(accepted(document, &keys));
        Self { keys, rosters, store: MemoryStore::default(), checks: Checks::default() }
    }

    /// Goes on to the roster's successor.
    fn rotate(&mut self) {
        let current = self.rosters.current();
        let (epoch, previous) = (current.document().epoch + 1, Some(current.hash()));
        let document = RosterDocument { epoch, previous, ..current.document().clone() };
        assert!(self.rosters.follow(accepted(document, &self.keys)).unwrap());
    }

    /// What comes after a crash of the sink.
    fn restart(&mut self) {
        self.store.commit().unwrap();
        self.store.crash();
        self.checks = Checks::load(&self.store).unwrap().unwrap();
    }

    /// Aggregator i's receipt for records of a meter, under the first roster.
    fn receipt(&self, i: u8, meter: u8, values: &[(Rid, u64)]) -> Signed<Receipt> {
        let checks = values.iter().zip(1..).map(|((rid, value), seq)| RecordCheck {
            seq,
            rid: *rid,
            check: Check::of(rid, &[Fe::from_u64(*value)]),
        });
        let receipt = Receipt {
            point: Point::try_from(i).unwrap(),
            meter: MeterId::from([meter; 16]),
            roster_epoch: 1,
            stored: SeqRanges::default(),
            checks: checks.collect(),
            refused: Vec::new(),
            at: Timestamp(1_700_000_000),
        };
        self.sign(receipt, self.rosters.all().next().unwrap())
    }

    fn sign(&self, receipt: Receipt, roster: &Roster) -> Signed<Receipt> {
        let key = &self.keys[usize::from(u8::from(receipt.point)) - 1];
        Signed::sign(receipt, key, &roster.context())
    }

    fn take(&mut self, receipt: &Signed<Receipt>) -> Option<Rule> {
        let handled = self.checks.take(receipt, &self.rosters, &mut self.store).unwrap();
        handled.refusal.map(|refusal| refusal.rule)
    }

    /// Aggregators tell their values of one record of a meter: those on the line, but for some.
    fn tell(&mut self, (meter, record): (u8, u8), from: &[u8], wrong: &[u8]) -> Vec<Option<Rule>> {
        let told =
            |i: u8| 40 + 3 * u64::from(i) + if wrong.contains(&i) { 1 + u64::from(i).pow(3) } else { 0 };
        from.iter().map(|i| self.take(&self.receipt(*i, meter, &[(rid(meter, record), told(*i))]))).collect()
    }

    fn exclusions(&self, meters: &[u8]) -> Vec<Rid> {
        let meters: Vec<MeterId> = meters.iter().map(|meter| MeterId::from([*meter; 16])).collect();
        let exclusions = self.checks.exclusions(&meters, &self.store).unwrap();
        exclusions.iter().map(|exclusion| exclusion.verify(&self.rosters).unwrap()).collect()
    }

    fn excused(&self, i: u8, meter: u8) -> bool {
        self.checks.excuses(Point::try_from(i).unwrap(), MeterId::from([meter; 16]))
    }
}

fn registrar() -> SigningKey {
    SigningKey::from_bytes(&[0x10; 32])
}

fn box_key() -> OpeningKey {
    OpeningKey::from_bytes(1, Suite::X25519, &[0x40; 32]).unwrap()
}

fn accepted(document: RosterDocument, keys: &[SigningKey]) -> Roster {
    let accepting: Vec<(Point, &SigningKey)> = Point::first(keys.len()).into_iter().zip(keys).collect();
    assemble(document, &registrar(), &accepting).unwrap()
}

fn rid(meter: u8, record: u8) -> Rid {
    let mut bytes = [meter; 32];
    bytes[0] = record;
    Rid::from(bytes)
}

fn meters(named: &[u8]) -> BTreeSet<MeterId> {
    named.iter().map(|meter| MeterId::from([*meter; 16])).collect()
}

fn points(named: &[u8]) -> BTreeSet<Point> {
    named.iter().map(|i| Point::try_from(*i).unwrap()).collect()
}

/// Three receipts, one of them false, while the fourth aggregator is away: nothing is left out and nobody is excused, for it is
/// open who is wrong. The fourth tells.
#[test]
fn one_liar_frames_no_meter_while_another_is_away() {
    let mut town = Town::new(4, 2);
    for meter in 1..=3 {
        assert_eq!(town.tell((meter, 1), &[1, 2, 3], &[3])[2], Some(Rule::BadShare));
    }
    assert_eq!(town.exclusions(&[1, 2, 3]), []);
    assert_eq!((town.checks.named_meters(), town.checks.named_aggregators()), (meters(&[]), points(&[])));
    assert_eq!(town.checks.unclear_meters(), meters(&[1, 2, 3]));
    assert!((1..=4).all(|i| (1..=3).all(|meter| !town.excused(i, meter))));
    for meter in 1..=3 {
        town.tell((meter, 1), &[4], &[]);
    }
    assert_eq!(town.exclusions(&[1, 2, 3]), []);
    assert_eq!((town.checks.named_meters(), town.checks.named_aggregators()), (meters(&[]), points(&[3])));
    assert!((1..=4).all(|i| (1..=3).all(|meter| town.excused(i, meter) == (i == 3))));
}

/// Odd for one meter names the meter, odd for several the aggregator; a record that no liar explains names its meter.
#[test]
fn naming_falls_on_what_is_common() {
    let mut town = Town::new(4, 2);
    town.tell((1, 1), &[1, 2, 3, 4], &[3]);
    assert_eq!((town.checks.named_meters(), town.checks.named_aggregators()), (meters(&[1]), points(&[])));
    town.tell((2, 1), &[1, 2, 3, 4], &[3]);
    assert_eq!((town.checks.named_meters(), town.checks.named_aggregators()), (meters(&[]), points(&[3])));
    town.tell((3, 1), &[1, 2, 3, 4], &[2, 3]);
    assert_eq!((town.checks.named_meters(), town.checks.named_aggregators()), (meters(&[3]), points(&[3])));
    assert_eq!(town.exclusions(&[1, 2, 3]), [rid(3, 1)]);
    assert!((1..=4).all(|i| town.excused(i, 3)));
    town.tell((4, 1), &[1, 2, 3, 4], &[]);
    assert_eq!(town.checks.judged(), 1);
}

/// What is proved stays proved after a restart and after a rotation, and receipts of different rosters prove together; so does
/// who is excused.
#[test]
fn proofs_outlive_restarts_and_rosters() {
    let mut town = Town::new(4, 2);
    town.tell((1, 1), &[1, 2, 3, 4], &[2, 3]);
    town.tell((2, 1), &[1, 2, 3, 4], &[4]);
    town.restart();
    assert_eq!(town.exclusions(&[1, 2]), [rid(1, 1)]);
    town.rotate();
    assert_eq!(town.exclusions(&[1, 2]), [rid(1, 1)]);
    assert!(town.excused(1, 1) && town.excused(4, 2) && !town.excused(3, 2));
    // The record of another meter is told of under both rosters.
    town.tell((3, 1), &[1, 2], &[2]);
    for i in [3, 4] {
        let receipt = town.receipt(i, 3, &[(rid(3, 1), 7)]);
        town.take(&town.sign(Receipt { roster_epoch: 2, ..(*receipt).clone() }, town.rosters.current()));
    }
    assert_eq!(town.exclusions(&[3]), [rid(3, 1)]);
    town.restart();
    assert_eq!(town.exclusions(&[1, 2, 3]), [rid(1, 1), rid(3, 1)]);
    assert_eq!(town.checks.named_meters(), meters(&[1, 2, 3]));
}

/// Two records that are odd at one aggregator each are left out if these are two; a third that is odd follows.
#[test]
fn records_of_one_meter_prove_together() {
    let mut town = Town::new(4, 2);
    town.tell((1, 1), &[1, 2, 3, 4], &[2]);
    town.tell((1, 2), &[1, 2, 3, 4], &[2]);
    assert_eq!(town.exclusions(&[1]), []);
    town.tell((2, 1), &[1, 2, 3, 4], &[3]);
    assert_eq!(town.exclusions(&[1, 2]), [], "of two meters");
    town.tell((1, 3), &[1, 2, 3, 4], &[3]);
    let mut excluded = town.exclusions(&[1]);
    excluded.sort_unstable();
    assert_eq!(excluded, [rid(1, 2), rid(1, 3)], "the newest of each kind");
    town.tell((1, 4), &[1, 2, 3, 4], &[2]);
    assert_eq!(town.exclusions(&[1]).len(), 3);
}

/// A liar that tells of countless records, in receipts as long as they may be, pushes out its own words only; what is kept of it is
/// bounded, and a bad dealer is found in spite of it.
#[test]
fn a_flood_pushes_out_its_own_words_only() {
    let mut town = Town::new(4, 2);
    town.tell((1, 1), &[1, 2, 3], &[2, 3]);
    let record = |number: u32| {
        let mut bytes = [0xee; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Rid::from(bytes)
    };
    let flood = |town: &mut Town, receipts: u32, values: u32, refused: u64| {
        for receipt in 0..receipts {
            let said: Vec<(Rid, u64)> =
                (0..values).map(|value| (record(receipt * values + value), 1)).collect();
            let refused =
                (0..refused).map(|seq| Refused { seq: u64::MAX - seq, rule: Rule::Forged }).collect();
            let receipt = Receipt { refused, ..(*town.receipt(4, 9, &said)).clone() };
            assert_eq!(town.take(&town.sign(receipt, town.rosters.current())), None);
            let account = &town.checks.accounts[&Point::try_from(4).unwrap()];
            assert!(account.values <= MAX_VALUES && account.bytes <= MAX_BYTES);
        }
    };
    flood(&mut town, 700, 128, 0);
    assert!(town.checks.open.len() <= MAX_VALUES + 1);
    flood(&mut town, 20_000, 1, 128);
    let account = &town.checks.accounts[&Point::try_from(4).unwrap()];
    assert!(account.receipts.len() < 20_000 && town.checks.open.len() <= account.values + 1);
    assert_eq!(town.checks.open[&(MeterId::from([1; 16]), rid(1, 1))].len(), 3);
    town.tell((1, 1), &[4], &[]);
    assert_eq!(town.exclusions(&[1]), [rid(1, 1)]);
    let longer = Receipt {
        refused: vec![Refused { seq: 1, rule: Rule::Forged }; MAX_CHECKS + 1],
        ..(*town.receipt(4, 9, &[])).clone()
    };
    assert_eq!(town.take(&town.sign(longer, town.rosters.current())), Some(Rule::Malformed));
}

/// What is known of meters is bounded, in memory and in the store.
#[test]
fn what_is_known_is_bounded() {
    let mut town = Town::new(4, 2);
    let odd = Verdict::Odd(vec![Point::try_from(2).unwrap()]);
    let meter = |number: usize| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        MeterId::from(bytes)
    };
    for number in 0..MAX_KNOWN + 10 {
        for record in 0..2 {
            town.checks.know(meter(number), odd.clone(), rid(1, record), &mut town.store).unwrap();
        }
    }
    assert_eq!((town.checks.known.len(), town.checks.order.len()), (MAX_KNOWN, MAX_KNOWN));
    assert_eq!(store::entries(ODD, &town.store).unwrap().len(), MAX_KNOWN);
    assert!(!town.checks.excuses(points(&[2]).pop_first().unwrap(), meter(9)));
    town.restart();
    assert_eq!(town.checks.known.len(), MAX_KNOWN);
    assert!(town.checks.excuses(points(&[2]).pop_first().unwrap(), meter(10)));
}

/// Of a meter that deals everything badly the newest records are left out, as many as a query takes, and another bad dealer's
/// have their turn.
#[test]
fn a_meter_fills_no_store_and_no_query() {
    let mut town = Town::new(4, 2);
    let all: Vec<Rid> = (0..100).map(|record| rid(1, record)).collect();
    for i in 1..=4 {
        let said: Vec<(Rid, u64)> = all.iter().map(|rid| (*rid, u64::from(i * i))).collect();
        town.take(&town.receipt(i, 1, &said));
    }
    town.tell((2, 1), &[1, 2, 3, 4], &[2, 3]);
    let excluded = town.exclusions(&[1, 2]);
    assert_eq!(excluded.len(), MAX_EXCLUDED);
    assert!(
        excluded.contains(&rid(2, 1)) && excluded.contains(&rid(1, 99)) && !excluded.contains(&rid(1, 84))
    );
    assert_eq!(store::entries(Table("bad-dealing"), &town.store).unwrap().len(), 4 * MAX_EXCLUDED + 1);
    town.restart();
    assert_eq!(town.exclusions(&[1, 2]), excluded);
}
