//! A released interval as it is published: rounded, with the statistics that its sums give.

use std::fmt;

use grid::sum::{Quantiles, Statistics, bin_name};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::unit::{Slot, SlotLength};
use serde_json::{Value, json};
use utility_sink::sink::{Agreement, Interval};

/// The columns of a slot's row.
pub(super) const COLUMNS: [&str; 6] =
    ["group", "slot_start", "members", "total_wh", "mean_wh", "standard_deviation_wh"];

/// A slot as it is published.
#[derive(Clone, Debug)]
pub(super) struct SlotRow {
    pub(super) start: Timestamp,
    /// The members' energy, rounded to the grain, Wh.
    pub(super) total: i64,
    /// Across the members, rounded to a hundredth of the grain, Wh; none where the ciphertexts were not opened.
    pub(super) mean: Option<f64>,
    pub(super) deviation: Option<f64>,
}

/// Order statistics across the members, from a histogram.
#[derive(Clone, Debug)]
struct Order {
    name: &'static str,
    quantiles: Quantiles,
}

/// A released interval, rounded.
#[derive(Clone, Debug)]
pub struct Day {
    pub(super) group: String,
    pub(super) members: usize,
    pub(super) slots: Vec<SlotRow>,
    agreement: Agreement,
    total: i64,
    export: Option<i64>,
    orders: Vec<Order>,
}

impl Day {
    /// Rounds a released interval to multiples of `grain` watt-hours.
    pub fn new(interval: &Interval, slot: SlotLength, grain: u32) -> Self {
        let statistics = interval.sums.as_ref().map(Statistics::of);
        let start = |number: u32| {
            let seconds = i64::try_from(slot.start_of(Slot(number)).0).unwrap_or(i64::MAX);
            Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
        };
        let fine = f64::from(grain.max(1)) / 100.0;
        let of_slot = |t: usize| statistics.as_ref().and_then(|statistics| statistics.slots.get(t));
        let slots =
            interval.slots.numbers().zip(&interval.energies).enumerate().map(|(t, (number, energy))| {
                SlotRow {
                    start: start(number),
                    total: rounded(energy.0, grain),
                    mean: of_slot(t).map(|slot| nearest(slot.mean, fine)),
                    deviation: of_slot(t).map(|slot| nearest(slot.deviation(), fine)),
                }
            });
        let orders = |statistics: &Statistics| {
            let order = |name, quantiles: &Quantiles| Order { name, quantiles: *quantiles };
            vec![order("mean power", &statistics.means), order("highest slot", &statistics.peaks)]
        };
        Self {
            group: interval.group.to_string(),
            members: interval.members.len(),
            slots: slots.collect(),
            agreement: interval.agreement,
            total: rounded(interval.energies.iter().map(|energy| energy.0).sum(), grain),
            export: statistics.as_ref().map(|statistics| rounded(statistics.export, grain)),
            orders: statistics.as_ref().map(orders).unwrap_or_default(),
        }
    }

    /// The day that it begins on, in UTC.
    pub fn date(&self) -> Date {
        self.slots.first().map_or(Date::ZERO, |slot| slot.start.to_zoned(TimeZone::UTC).date())
    }

    /// The slot with the highest total, the first of several.
    fn peak(&self) -> Option<&SlotRow> {
        self.slots.iter().rev().max_by_key(|slot| slot.total)
    }

    fn lowest(&self) -> Option<&SlotRow> {
        self.slots.iter().min_by_key(|slot| slot.total)
    }

    /// The rows of a table of slots.
    pub(super) fn rows(&self) -> impl Iterator<Item = [String; 6]> {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        self.slots.iter().map(move |slot| {
            [
                self.group.clone(),
                slot.start.to_string(),
                self.members.to_string(),
                slot.total.to_string(),
                number(slot.mean),
                number(slot.deviation),
            ]
        })
    }

    /// For a program.
    pub fn to_json(&self) -> Value {
        let slots: Vec<Value> = self
            .slots
            .iter()
            .map(|slot| {
                json!({
                    "start": slot.start.to_string(),
                    "total_wh": slot.total,
                    "mean_wh": slot.mean,
                    "standard_deviation_wh": slot.deviation,
                    "variance_wh2": slot.deviation.map(|deviation| deviation * deviation),
                })
            })
            .collect();
        let edges =
            |edges: Option<(u32, Option<u32>)>| edges.map(|(from, to)| json!({ "from": from, "to": to }));
        let orders: serde_json::Map<String, Value> = self
            .orders
            .iter()
            .map(|order| {
                let of = |q| edges(order.quantiles.at(q));
                let value = json!({
                    "min": of(0.0), "median": of(0.5), "p90": of(0.9), "max": of(1.0),
                    "members_in_bin": order.quantiles.counts(),
                });
                (format!("{}_w", order.name.replace(' ', "_")), value)
            })
            .collect();
        json!({
            "group": self.group,
            "date": self.date().to_string(),
            "members": self.members,
            "total_wh": self.total,
            "export_wh": self.export,
            "peak": self.peak().map(|slot| json!({ "start": slot.start.to_string(), "total_wh": slot.total })),
            "across_members": orders,
            "paths_agree": self.agreement == Agreement::Agrees,
            "slots": slots,
        })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = match self.agreement {
            Agreement::Agrees => "shares and ciphertexts agree".to_owned(),
            Agreement::Differs(slots) => {
                format!("SHARES AND CIPHERTEXTS DIFFER in {slots} slots: a member sent different values")
            }
            Agreement::Implausible => {
                "THE CIPHERTEXTS HOLD NO LOADS: a member sent other data. The curve comes from the shares"
                    .to_owned()
            }
            Agreement::Unopened => {
                "the ciphertexts were not opened: too few pieces agree, or a member dealt a bad key"
                    .to_owned()
            }
        };
        writeln!(f, "{} {}: {} members, {} Wh; {paths}", self.group, self.date(), self.members, self.total)?;
        let time = |slot: &SlotRow| slot.start.to_zoned(TimeZone::UTC).strftime("%H:%M").to_string();
        if let (Some(peak), Some(lowest)) = (self.peak(), self.lowest()) {
            writeln!(
                f,
                "  peak {} Wh at {}, lowest {} Wh at {} (UTC)",
                peak.total,
                time(peak),
                lowest.total,
                time(lowest)
            )?;
        }
        if let Some(export) = self.export {
            writeln!(f, "  exported {export} Wh, as reported by the meters")?;
        }
        for Order { name, quantiles } in &self.orders {
            let of = |q| quantiles.at(q).map_or_else(|| "-".to_owned(), bin_name);
            writeln!(
                f,
                "  {name} of a member, W: min {}, median {}, 90 % {}, max {}",
                of(0.0),
                of(0.5),
                of(0.9),
                of(1.0)
            )?;
        }
        let widest = self.slots.iter().filter_map(|slot| slot.deviation).fold(0.0, f64::max);
        if widest > 0.0 {
            writeln!(f, "  standard deviation across members: at most {widest} Wh in a slot")?;
        }
        Ok(())
    }
}

/// To the nearest multiple of the grain, halves up.
fn rounded(value: i64, grain: u32) -> i64 {
    let grain = i64::from(grain.max(1));
    (value + grain / 2).div_euclid(grain) * grain
}

/// To the nearest multiple of a step, as a decimal of two places at most.
fn nearest(value: f64, step: f64) -> f64 {
    ((value / step).round() * step * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding is to the nearest multiple, for any sign.
    #[test]
    fn energies_are_rounded_to_the_grain() {
        let cases =
            [(0, 10, 0), (4, 10, 0), (5, 10, 10), (14, 10, 10), (-4, 10, 0), (-6, 10, -10), (7, 1, 7)];
        for (value, grain, wanted) in cases {
            assert_eq!(rounded(value, grain), wanted, "{value} to {grain}");
        }
        assert!((nearest(12.3456, 0.1) - 12.3).abs() < 1e-9);
    }
}
