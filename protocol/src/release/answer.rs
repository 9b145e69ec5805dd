//! Answers: the released values of a selection, computed on shares.
//!
//! All of them are linear, so the same functions give a share of the value from shares and the value from values.

use zeroize::Zeroizing;

use crate::field::Fe;
use crate::id::Rid;
use crate::release::inventory::Held;
use crate::release::result::Answers;
use crate::release::selection::{Billed, Scope, Selection, effective_prices};
use crate::share::ShareVector;
use crate::tariff::Tariff;
use crate::unit::{SlotLength, SlotRange};

/// Answers every released entry of a selection from the shares that `shares` looks up; an entry for which a record is not
/// held gets none.
pub fn answers(
    selection: &Selection,
    tariffs: &[Tariff],
    slot: SlotLength,
    mut shares: impl FnMut(&Rid) -> Option<ShareVector>,
) -> Answers {
    match selection {
        Selection::Bill(_) => {
            selection.billed().map(|billed| bill(billed, tariffs, slot, &mut shares)).collect()
        }
        Selection::Group(_) => selection
            .days()
            .map(|day| {
                let records: Vec<Held> =
                    day.members.iter().flat_map(|(_, records)| records).copied().collect();
                curve(day.slots, &records, &mut shares)
            })
            .collect(),
        Selection::Grid(_) => selection
            .interval()
            .map(|interval| {
                let records = selection.records().map(|(_, held)| held).collect::<Vec<Held>>();
                curve(interval.slots, &records, &mut shares)
            })
            .into_iter()
            .collect(),
    }
}

/// `[R_end − R_start, price under each tariff…, completeness?]` of a billed meter.
fn bill(
    billed: &Billed,
    tariffs: &[Tariff],
    slot: SlotLength,
    shares: &mut impl FnMut(&Rid) -> Option<ShareVector>,
) -> Option<Zeroizing<Vec<Fe>>> {
    let vectors: Vec<ShareVector> =
        billed.records.iter().map(|held| shares(&held.rid)).collect::<Option<_>>()?;
    let fits = vectors.iter().zip(&billed.records).all(|(v, held)| v.energies().len() == held.slots.len());
    let (first, last) = (vectors.first()?, vectors.last().filter(|_| fits)?);
    let opening = match &billed.anchor {
        Some(anchor) => shares(&anchor.rid)?.close(),
        None => first.open(),
    };
    let difference = last.close() - opening;
    let mut values = Zeroizing::new(vec![difference]);
    if billed.scope == Scope::Registers {
        return Some(values);
    }
    let energies: Vec<(usize, Fe)> = billed
        .known()
        .zip(vectors.iter().flat_map(|vector| vector.energies().iter().copied()))
        .map(|(known, energy)| ((known.0 - billed.window.start().0) as usize, energy))
        .collect();
    for tariff in tariffs {
        // Σ_known p_t·x_t + p_s·(difference − Σ_known x_t), with p_s the substitute price
        let prices = effective_prices(billed, tariff, slot)?;
        let substitute = i64::from(u32::from(tariff.substitute()));
        let base = Fe::from_i64(substitute) * difference;
        let amount = energies.iter().fold(base, |sum, (index, energy)| {
            sum + Fe::from_i64(i64::from(u32::from(prices[*index])) - substitute) * *energy
        });
        values.push(amount);
    }
    if billed.scope == Scope::Complete {
        values.push(energies.iter().fold(difference, |rest, (_, energy)| rest - *energy));
    }
    Some(values)
}

/// The sum of records in each slot of a day.
fn curve(
    day: SlotRange,
    records: &[Held],
    shares: &mut impl FnMut(&Rid) -> Option<ShareVector>,
) -> Option<Zeroizing<Vec<Fe>>> {
    let mut sums = Zeroizing::new(vec![Fe::ZERO; day.len()]);
    for held in records {
        let vector = shares(&held.rid).filter(|vector| vector.energies().len() == held.slots.len())?;
        add_within(&mut sums, day, held.slots, vector.energies());
    }
    Some(sums)
}

fn add_within(sums: &mut [Fe], day: SlotRange, slots: SlotRange, energies: &[Fe]) {
    for (t, energy) in slots.numbers().zip(energies) {
        if let Some(sum) = t.checked_sub(day.start().0).and_then(|index| sums.get_mut(index as usize)) {
            *sum += *energy;
        }
    }
}
