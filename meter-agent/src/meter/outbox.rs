//! The outbox: sealed, signed bytes that wait for receipts, on disk; and batches that wait to be sealed.
//!
//! What must stay true, whatever steps the clock makes:
//! * a record is dropped by age only when it has been too old for a day in which time passed: a clock that is ahead for a
//!   while, or one step of it, drops nothing;
//! * a pause is as long as it was meant to be: when the clock goes back, what is due goes back with it.
//!
//! Rows: `record` seq → what it carries; `message` seq ‖ point → the bytes; `queue` first slot → a batch not yet sealed.

use std::collections::BTreeMap;

use protocol::id::Rid;
use protocol::receipt::SeqRanges;
use protocol::shamir::Point;
use protocol::share::SealedBatch;
use protocol::unit::Moment;
use protocol::wire;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

use super::error::MeterError;
use super::open_batch::FullBatch;
use super::pace::{Pace, Repeat};

const RECORD: Table = Table("record");
const MESSAGE: Table = Table("message");
const QUEUE: Table = Table("queue");
const NUMBER: Table = Table("number");

/// What messages carry, which decides where they are sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Cargo {
    /// Shares of a batch.
    Shares,
    /// A load vector.
    Vector,
    /// A chunk of a key deal.
    Deal,
}

/// What is put into the outbox under one number.
#[derive(Debug)]
pub(super) struct Entry {
    /// What it carries.
    pub(super) cargo: Cargo,
    /// Its name.
    pub(super) rid: Rid,
    /// A message for each aggregator that is to have it.
    pub(super) messages: Vec<(Point, Vec<u8>)>,
}

impl From<SealedBatch> for Entry {
    fn from(sealed: SealedBatch) -> Self {
        Self { cargo: Cargo::Shares, rid: sealed.rid, messages: sealed.messages }
    }
}

/// An entry's row.
#[derive(Clone, Debug, Deserialize_tuple, Serialize_tuple)]
struct Row {
    cargo: Cargo,
    rid: Rid,
    at: u64,
}

/// Milliseconds for which records have to be too old before they go.
const GRACE: u64 = 86_400_000;

/// Milliseconds between two looks that count as time that went by; what is above is a step of the clock, or a stop.
const LOOK: u64 = 60_000;

/// The outbox.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The outbox's birth in seconds, in the upper half; the counter of the next record in the lower.
    next: u64,
    records: BTreeMap<u64, Row>,
    waiting: BTreeMap<(u64, Point), Repeat>,
    /// Batches that wait to be sealed, oldest first.
    queued: Vec<FullBatch>,
    /// When what is due was last looked at.
    looked: Moment,
    /// When ages were last looked at, and for how many milliseconds some record has been too old.
    overdue: (Moment, u64),
}

impl Outbox {
    /// Continues from what the store holds; everything that waits is due now.
    pub(super) fn load(store: &dyn Store, now: Moment) -> Result<Self, MeterError> {
        let next = match store.get(NUMBER, b"")? {
            Some(bytes) => number(&bytes).ok_or_else(|| MeterError::damaged("the record counter"))?,
            // A new outbox of an old meter must not repeat the numbers of the one that was lost.
            None => now.timestamp().0 << 32,
        };
        let mut records = BTreeMap::new();
        for (key, value) in store::entries(RECORD, store)? {
            let seq = number(&key).ok_or_else(|| MeterError::damaged("a record's key"))?;
            records.insert(seq, MeterError::decode(&value, "a record")?);
        }
        let mut waiting = BTreeMap::new();
        for (key, _) in store::entries(MESSAGE, store)? {
            let point = key.get(8).and_then(|x| Point::try_from(*x).ok());
            let key = number(&key).zip(point).ok_or_else(|| MeterError::damaged("a message's key"))?;
            waiting.insert(key, Repeat::at(now));
        }
        let queued = store::entries(QUEUE, store)?;
        let queued = queued.iter().map(|(_, bytes)| MeterError::decode(bytes, "a queued batch"));
        let queued = queued.collect::<Result<_, _>>()?;
        Ok(Self { next, records, waiting, queued, looked: now, overdue: (now, 0) })
    }

    pub(super) fn backlog(&self) -> usize {
        self.waiting.len() + self.queued.len()
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    pub(super) fn sealed(&self) -> u64 {
        self.next & u64::from(u32::MAX)
    }

    pub(super) fn owed(&self) -> BTreeMap<Point, usize> {
        let mut owed = BTreeMap::new();
        for (_, point) in self.waiting.keys() {
            *owed.entry(*point).or_default() += 1;
        }
        owed
    }

    /// Keeps a full batch until it can be sealed.
    pub(super) fn queue(&mut self, batch: FullBatch, store: &mut dyn Store) -> Result<(), StoreError> {
        store.put(QUEUE, &batch.slots.start().0.to_be_bytes(), &wire::encode(&batch))?;
        self.queued.push(batch);
        Ok(())
    }

    /// Takes all batches that wait to be sealed out of the queue, oldest first.
    pub(super) fn take_queued(&mut self, store: &mut dyn Store) -> Result<Vec<FullBatch>, StoreError> {
        for batch in &self.queued {
            store.remove(QUEUE, &batch.slots.start().0.to_be_bytes())?;
        }
        Ok(std::mem::take(&mut self.queued))
    }

    /// The next record's number.
    pub(super) fn next_seq(&mut self, store: &mut dyn Store) -> Result<u64, StoreError> {
        let seq = self.next;
        self.next += 1;
        store.put(NUMBER, b"", &self.next.to_be_bytes())?;
        Ok(seq)
    }

    /// Keeps a sealed record and its messages.
    pub(super) fn insert(
        &mut self,
        seq: u64,
        entry: &Entry,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let record = Row { cargo: entry.cargo, rid: entry.rid, at: now.0 };
        store.put(RECORD, &seq.to_be_bytes(), &wire::encode(&record))?;
        for (point, payload) in &entry.messages {
            store.put(MESSAGE, &message_key(seq, *point), payload)?;
            self.waiting.insert((seq, *point), Repeat::at(now));
        }
        self.records.insert(seq, record);
        Ok(())
    }

    /// The messages that are due, oldest records first.
    pub(super) fn due(&mut self, now: Moment, most: usize) -> Vec<(u64, Point)> {
        let back = self.looked.since(now);
        if back > 0 {
            for repeat in self.waiting.values_mut() {
                repeat.set_back(back);
            }
        }
        self.looked = now;
        self.waiting.iter().filter(|(_, r)| r.due <= now).map(|(key, _)| *key).take(most).collect()
    }

    /// Notes that a message was sent.
    pub(super) fn sent<R: CryptoRng>(
        &mut self,
        seq: u64,
        point: Point,
        now: Moment,
        pace: &Pace,
        rng: &mut R,
    ) {
        if let Some(repeat) = self.waiting.get_mut(&(seq, point)) {
            repeat.sent(now, pace, rng);
        }
    }

    /// Drops what an aggregator has stored.
    pub(super) fn acknowledge(
        &mut self,
        point: Point,
        stored: &SeqRanges,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        for &(from, to) in stored.as_slice() {
            let done: Vec<u64> = self.records.range(from..=to).map(|(seq, _)| *seq).collect();
            for seq in done {
                self.drop_for(point, seq, store)?;
            }
        }
        Ok(())
    }

    /// Drops one record that an aggregator names as stored.
    pub(super) fn acknowledge_one(
        &mut self,
        point: Point,
        seq: u64,
        rid: &Rid,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        if self.records.get(&seq).is_some_and(|row| row.rid == *rid) {
            self.drop_for(point, seq, store)?;
        }
        Ok(())
    }

    /// Drops one message, and its record with the last of them.
    pub(super) fn drop_for(
        &mut self,
        point: Point,
        seq: u64,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        if self.waiting.remove(&(seq, point)).is_some() {
            store.remove(MESSAGE, &message_key(seq, point))?;
            if self.points_of(seq).is_empty() {
                self.records.remove(&seq);
                store.remove(RECORD, &seq.to_be_bytes())?;
            }
        }
        Ok(())
    }

    /// Drops the records that are older than the retention, once it is sure that they are.
    pub(super) fn expire(
        &mut self,
        now: Moment,
        retention: u64,
        store: &mut dyn Store,
    ) -> Result<(), StoreError> {
        let over = |row: &Row| now.since(Moment(row.at)) > retention;
        let gone: Vec<u64> = self.records.iter().filter(|(_, row)| over(row)).map(|(seq, _)| *seq).collect();
        let (looked, been) = self.overdue;
        let been = if gone.is_empty() { 0 } else { been + now.since(looked).min(LOOK) };
        self.overdue = (now, been);
        if been < GRACE {
            return Ok(());
        }
        for seq in gone {
            for point in self.points_of(seq) {
                self.drop_for(point, seq, store)?;
            }
        }
        Ok(())
    }

    /// What an entry carries, if it still waits.
    pub(super) fn cargo(&self, seq: u64) -> Option<Cargo> {
        self.records.get(&seq).map(|row| row.cargo)
    }

    /// The aggregators that an entry waits for.
    fn points_of(&self, seq: u64) -> Vec<Point> {
        let first = Point::try_from(1).expect("points begin at 1");
        let of_entry = self.waiting.range((seq, first)..).take_while(|((of, _), _)| *of == seq);
        of_entry.map(|((_, point), _)| *point).collect()
    }
}

/// The bytes of a message.
pub(super) fn message(seq: u64, point: Point, store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
    store.get(MESSAGE, &message_key(seq, point))
}

fn message_key(seq: u64, point: Point) -> Vec<u8> {
    [&seq.to_be_bytes()[..], &[u8::from(point)]].concat()
}

/// The number that a key begins with.
fn number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use store::MemoryStore;

    use super::*;

    const START: Moment = Moment(1_000_000_000);

    fn outbox(records: u8, store: &mut MemoryStore) -> Outbox {
        let mut outbox = Outbox::load(store, START).unwrap();
        for number in 0..records {
            let messages = Point::first(2).into_iter().map(|point| (point, vec![number])).collect();
            let sealed = SealedBatch { rid: Rid::from([number; 32]), messages };
            let seq = outbox.next_seq(store).unwrap();
            outbox.insert(seq, &sealed.into(), START, store).unwrap();
        }
        outbox
    }

    /// A record is dropped with its last message; what was not acknowledged waits, also after a restart, and is due at once.
    #[test]
    fn records_go_with_their_last_message() {
        let mut store = MemoryStore::default();
        let mut outbox = outbox(3, &mut store);
        let [one, two] = Point::first(2)[..] else { panic!("two points") };
        let first = outbox.due(START, 1)[0].0;
        let stored = SeqRanges::try_from(vec![(first, first + 1)]).unwrap();
        outbox.acknowledge(one, &stored, &mut store).unwrap();
        assert_eq!((outbox.owed()[&one], outbox.owed()[&two]), (1, 3));
        outbox.acknowledge_one(two, first, &Rid::from([0; 32]), &mut store).unwrap();
        outbox.acknowledge_one(two, first + 1, &Rid::from([9; 32]), &mut store).unwrap();
        assert_eq!(outbox.records.len(), 2, "another record's name acknowledges nothing");
        store.commit().unwrap();
        let mut again = Outbox::load(&store, START).unwrap();
        assert_eq!((again.owed(), again.next), (outbox.owed(), outbox.next));
        assert_eq!(again.due(START, 10).len(), 3);
    }

    /// A record is dropped when it has been too old for a day; a clock that is a year ahead, once or for an hour, drops none.
    #[test]
    fn steps_of_the_clock_let_nothing_go() {
        const YEAR: u64 = 365 * 86_400_000;
        let mut store = MemoryStore::default();
        let mut outbox = outbox(3, &mut store);
        let retention = 92 * 86_400_000;
        for ahead in 0..100 {
            outbox.expire(START.plus(YEAR * (1 + ahead % 2)), retention, &mut store).unwrap();
            outbox.expire(START.plus(ahead), retention, &mut store).unwrap();
        }
        let minute = |outbox: &mut Outbox, number: u64, store: &mut MemoryStore| {
            outbox.expire(START.plus(YEAR + number * 60_000), retention, store).unwrap();
            outbox.records.len()
        };
        for number in 0..60 {
            assert_eq!(minute(&mut outbox, number, &mut store), 3);
        }
        outbox.expire(START.plus(3_600_000), retention, &mut store).unwrap();
        for number in 0..24 * 60 {
            let wanted = if number < 24 * 60 - 1 { 3 } else { 0 };
            assert_eq!(minute(&mut outbox, number, &mut store), wanted, "minute {number}");
        }
        assert_eq!(outbox.backlog(), 0);
    }

    /// After a step back of any length what was sent is sent again when its pause is over.
    #[test]
    fn a_step_back_stretches_no_pause() {
        let mut store = MemoryStore::default();
        let mut outbox = outbox(1, &mut store);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let year = START.plus(365 * 86_400_000);
        let [one, two] = outbox.due(year, 2)[..] else { panic!("two messages") };
        for (seq, point) in [one, two] {
            outbox.sent(seq, point, year, &Pace::default(), &mut rng);
        }
        assert_eq!(outbox.due(START, 2), []);
        assert_eq!(outbox.due(START.plus(7_000), 2), [one, two]);
    }
}
