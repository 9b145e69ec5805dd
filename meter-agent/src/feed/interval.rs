//! Energies of intervals: an interval begins where the last one ended, and where none did, its beginning is a slot's start too.

use protocol::unit::Timestamp;
use rust_decimal::Decimal;

use crate::measurement::{Measurement, Quantity};

/// The most seconds by which clocks and timers let an interval begin before or after the last one's end.
const JITTER: u32 = 5;

/// Makes an interval that begins within the clock's jitter of the last measurement begin there. Where it begins later, or is
/// the first, gives its beginning as a measurement of its own: no energy yet.
pub(super) fn begin(measurement: &mut Measurement, last: Option<Timestamp>) -> Option<Measurement> {
    let Measurement { at, import, export, device } = measurement;
    let Quantity::Energy { seconds, .. } = *import else { return None };
    let start = Timestamp(at.0.checked_sub(seconds.into())?);
    if let Some(last) = last {
        // a tenth at most: a short interval that is missing is not jitter
        let jitter = u64::from(JITTER.min(seconds / 10));
        if *at > last && start.0.abs_diff(last.0) <= jitter {
            let whole = u32::try_from(at.since(last)).unwrap_or(seconds);
            for quantity in [Some(import), export.as_mut()].into_iter().flatten() {
                if let Quantity::Energy { seconds, .. } = quantity {
                    *seconds = whole;
                }
            }
            return None;
        }
        if start <= last {
            return None;
        }
    }
    let none = Quantity::Energy { energy: Decimal::ZERO, seconds: 0 };
    let export = export.filter(|export| matches!(export, Quantity::Energy { .. })).map(|_| none);
    Some(Measurement { at: start, import: none, export, device: device.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn energy(at: u64, seconds: u32) -> Measurement {
        let import = Quantity::Energy { energy: 7.into(), seconds };
        Measurement { at: Timestamp(at), import, export: Some(import), device: None }
    }

    /// The length that an interval is given, and when its beginning is given apart.
    fn begun(at: u64, seconds: u32, last: Option<u64>) -> (u32, Option<u64>) {
        let mut measurement = energy(at, seconds);
        let first = begin(&mut measurement, last.map(Timestamp));
        let (Quantity::Energy { seconds: import, .. }, Some(Quantity::Energy { seconds: export, .. })) =
            (measurement.import, measurement.export)
        else {
            panic!("energies stay energies")
        };
        assert_eq!(import, export);
        if let Some(first) = &first {
            assert!(first.import == Quantity::Energy { energy: 0.into(), seconds: 0 });
        }
        (import, first.map(|first| first.at.0))
    }

    /// Jitter moves a beginning, in both channels; a gap is given apart; what overlaps or comes late is left as it is.
    #[test]
    fn intervals_begin_where_the_last_ended() {
        assert_eq!(begun(1_800, 900, None), (900, Some(900)));
        assert_eq!(begun(1_800, 900, Some(900)), (900, None));
        assert_eq!(begun(1_801, 900, Some(900)), (901, None));
        assert_eq!(begun(1_800, 900, Some(905)), (895, None));
        assert_eq!(begun(1_800, 900, Some(906)), (900, None));
        assert_eq!(begun(1_800, 900, Some(894)), (900, Some(900)));
        assert_eq!(begun(1_800, 900, Some(1_800)), (900, None));
        assert_eq!(begun(20, 10, Some(8)), (10, Some(10)));
        assert_eq!(begun(20, 10, Some(9)), (11, None));
        assert_eq!(begun(10, 900, None), (900, None));
    }
}
