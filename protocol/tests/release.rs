//! Releases: what is selected, what it is worth, what is refused, and what nobody can learn from it.

use protocol::id::Rid;
use protocol::policy::Policy;
use protocol::release::inventory::Held;
use protocol::tariff::{Band, Offset, Tariff, TariffDocument, Window};
use protocol::unit::{Price, Slot, SlotLength, SlotRange, Timestamp};

use crate::deployment::Deployment;

mod answers;
mod attacks;
mod grid;
mod refusals;
mod selection;

/// Midnight UTC of 2023-11-17, in hours.
const MIDNIGHT: u32 = 472_296;

/// Four aggregators, two of which suffice, with rules on the scale of days: k = 2, bills of 2 days with 80 % of their
/// slots, cells of 6 slots.
fn days() -> Deployment {
    Deployment::with(4, 2, |document| {
        document.policy = Policy {
            k: 2,
            bill_days: 2,
            coverage: 800,
            functionals: 4,
            smallest_cell: 6,
            tariff_meters: 1,
            late_grace: 86_400,
            grid_interval: 21_600,
        };
    })
}

fn hour() -> SlotLength {
    SlotLength::try_from(3600).unwrap()
}

/// A tariff in UTC whose band is a function of the hour.
fn tariff(prices: &[u32], band_of: impl Fn(u32) -> u8, substitute: u8) -> Tariff {
    let bands =
        prices.iter().map(|&price| Band { name: "band".into(), price: Price::try_from(price).unwrap() });
    let minutes = |hour: u32| u16::try_from(hour * 60).unwrap();
    let document = TariffDocument {
        id: "test".parse().unwrap(),
        currency: "EUR".into(),
        zone: "UTC".into(),
        valid_from: Slot(0),
        valid_to: Slot(600_000),
        bands: bands.collect(),
        windows: (0..24)
            .map(|h| Window {
                days: 0x7f,
                from_minute: minutes(h),
                to_minute: minutes(h + 1),
                band: band_of(h),
            })
            .collect(),
        otherwise: 0,
        substitute,
        offsets: vec![Offset { from: Timestamp(0), seconds: 0 }],
    };
    Tariff::new(document, hour()).unwrap()
}

/// Dear from 16 to 22 o'clock; gaps are cheap.
fn time_of_use() -> Tariff {
    tariff(&[20_000, 50_000], |hour| u8::from((16..22).contains(&hour)), 0)
}

/// One price.
fn flat() -> Tariff {
    tariff(&[30_000], |_| 0, 0)
}

/// Record `number` of a meter.
fn held(slots: SlotRange, meter: u8, number: u8) -> Held {
    let mut rid = [meter; 32];
    rid[0] = number;
    Held { slots, rid: Rid::from(rid) }
}
