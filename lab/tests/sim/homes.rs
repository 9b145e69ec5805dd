//! What the homes really used, and what their bills and curves must therefore be.

use meter_agent::meter::Reading;
use protocol::id::Hash;
use protocol::release::selection::{Billed, Day, Scope};
use protocol::tariff::{Band, Offset, Tariff, TariffDocument, Window};
use protocol::unit::{Amount, Price, Register, Slot, SlotLength, SlotRange, Timestamp, WattHours};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use utility_sink::sink::{Bill, Curve};

/// The first slot: midnight, in hours of the epoch.
pub(crate) const FIRST: Slot = Slot(480_000);

/// Slots a day.
pub(crate) const DAY: u32 = 24;

/// Slots of an interval of the grid path.
pub(crate) const INTERVAL: u32 = 6;

/// Interval `part` of day `index`.
pub(crate) fn interval(index: u32, part: u32) -> SlotRange {
    let start = FIRST.0 + index * DAY + part * INTERVAL;
    range(start, start + INTERVAL)
}

/// The slots of batch `index` of the first day.
pub(crate) fn day_part(index: u32) -> SlotRange {
    range(FIRST.0 + index * 6, FIRST.0 + (index + 1) * 6)
}

/// Hours.
pub(crate) fn slot_length() -> SlotLength {
    SlotLength::try_from(3_600).expect("an hour is a slot length")
}

/// Day `index` of the replay.
pub(crate) fn day(index: u32) -> SlotRange {
    range(FIRST.0 + index * DAY, FIRST.0 + (index + 1) * DAY)
}

pub(crate) fn range(start: u32, end: u32) -> SlotRange {
    SlotRange::new(Slot(start), Slot(end)).expect("tests ask for slots in order")
}

/// Every home's energy in every slot.
#[derive(Clone, Debug)]
pub(crate) struct Homes {
    energies: Vec<Vec<i64>>,
    opening: Vec<u64>,
}

impl Homes {
    /// Draws the homes. Home i uses a digit of 1 to 10 at place i of a number to the base 32, so that a sum over up to
    /// three homes tells which of them was counted how often.
    pub(crate) fn draw(homes: usize, days: u32, rng: &mut ChaCha8Rng) -> Self {
        let energies = (0..homes)
            .map(|home| (0..days * DAY).map(|_| rng.random_range(1..=10) << (5 * (home % 3))).collect())
            .collect();
        let opening = (0..homes).map(|_| rng.random_range(0..1 << 30)).collect();
        Self { energies, opening }
    }

    /// The last reading's slot.
    pub(crate) fn end(&self) -> Slot {
        Slot(FIRST.0 + u32::try_from(self.energies[0].len()).expect("a few days"))
    }

    /// The register at the start of `at`.
    pub(crate) fn register(&self, home: usize, at: Slot) -> Register {
        let used: i64 = self.energies[home][..(at.0 - FIRST.0) as usize].iter().sum();
        let watt_hours = self.opening[home] + u64::try_from(used).expect("energies are positive");
        Register::try_from(watt_hours).expect("registers stay small")
    }

    /// The registers at the start of `at`. Now and then the meter leaves out its export register, but for the starts of intervals.
    pub(crate) fn reading(&self, home: usize, at: Slot) -> Reading {
        let exported: i64 = (FIRST.0..at.0).map(|slot| self.exported(home, slot)).sum();
        let told = at.0.is_multiple_of(INTERVAL)
            || !(at.0 + u32::try_from(home).expect("a few homes")).is_multiple_of(3);
        let register = u64::try_from(7_000 + exported).expect("energies are positive");
        let export = told.then(|| Register::try_from(register).expect("registers stay small"));
        Reading { export, ..Reading::new(at, self.register(home, at)) }
    }

    /// What a home exports in a slot.
    pub(crate) fn exported(&self, home: usize, slot: u32) -> i64 {
        (self.energy(home, slot) * 3 + i64::from(slot)) % 17
    }

    pub(crate) fn energy(&self, home: usize, slot: u32) -> i64 {
        self.energies[home][(slot - FIRST.0) as usize]
    }

    /// The energies of slots.
    pub(crate) fn energies(&self, home: usize, slots: SlotRange) -> Vec<WattHours> {
        slots.numbers().map(|slot| WattHours(self.energy(home, slot))).collect()
    }

    /// The bill that a selection must give.
    pub(crate) fn bill(
        &self,
        home: usize,
        billed: &Billed,
        tariffs: &[(Hash, Tariff)],
        given: &Bill,
    ) -> Bill {
        let window = billed.window;
        let used: i64 = window.numbers().map(|slot| self.energy(home, slot)).sum();
        let amounts = tariffs.iter().map(|(hash, tariff)| {
            let prices = tariff.prices(window, slot_length()).expect("the tariff covers the replay");
            let priced = window.numbers().zip(prices).map(|(slot, price)| {
                let known = billed.records.iter().any(|held| held.slots.contains(Slot(slot)));
                i64::from(u32::from(if known { price } else { tariff.substitute() }))
                    * self.energy(home, slot)
            });
            (*hash, Amount(priced.sum()))
        });
        Bill {
            meter: billed.meter,
            window,
            energy: WattHours(used),
            amounts: if billed.scope == Scope::Registers { Vec::new() } else { amounts.collect() },
            scope: billed.scope,
            missing: u32::try_from(billed.missing()).expect("a few days"),
            unaccounted: (billed.scope == Scope::Complete).then_some(WattHours(0)),
            query: given.query,
        }
    }

    /// The curve that a selection must give.
    pub(crate) fn curve(&self, members: &[usize], day: &Day, given: &Curve) -> Curve {
        let sum = |slot| members.iter().map(|home| self.energy(*home, slot)).sum();
        Curve {
            group: given.group.clone(),
            slots: day.slots,
            members: u32::try_from(members.len()).expect("a few homes"),
            energies: day.slots.numbers().map(|slot| WattHours(sum(slot))).collect(),
            query: given.query,
        }
    }
}

/// A tariff of one price, and one with a dear evening; slots without a record cost the base price.
pub(crate) fn tariffs() -> Vec<TariffDocument> {
    let band =
        |name: &str, price| Band { name: name.into(), price: Price::try_from(price).expect("a price") };
    let tariff = |id: &str, bands, windows| TariffDocument {
        id: id.parse().expect("a name"),
        currency: "USD".into(),
        zone: "UTC".into(),
        valid_from: FIRST,
        valid_to: Slot(FIRST.0 + 400 * DAY),
        bands,
        windows,
        otherwise: 0,
        substitute: 0,
        offsets: vec![Offset { from: Timestamp(0), seconds: 0 }],
    };
    let evening = Window { days: 127, from_minute: 16 * 60, to_minute: 22 * 60, band: 1 };
    vec![
        tariff("flat", vec![band("flat", 30_000)], Vec::new()),
        tariff("evening", vec![band("base", 20_011), band("peak", 47_017)], vec![evening]),
    ]
}
